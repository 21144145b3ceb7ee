package job

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowd starts processes of a user until there are so many, and returns what ends them.
func crowd(t *testing.T, uid uint32, n int) (leave func()) {
	t.Helper()
	var all []*exec.Cmd
	for range n {
		c := exec.Command("sleep", "1000")
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		require.NoError(t, c.Start())
		all = append(all, c)
	}
	leave = func() {
		for _, c := range all {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
		all = nil
	}
	t.Cleanup(leave)
	return leave
}

// TestAContainersFirstProcessNeedsNoForkToStay takes from it the room for another process, which ends a shell. It must
// begin again in its own place, and know where it was.
func TestAContainersFirstProcessNeedsNoForkToStay(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs setpriv and root")
	}
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		uid := map[string]uint32{"dash": 64321, "bash": 64322, "sh": 64323, "busybox": 64324}[filepath.Base(t.Name())] // nobody else's
		id := strconv.Itoa(int(uid))
		s := sh("r", "echo one; read x <"+m.root+"/1; echo two; read x <"+m.root+"/2; echo three; exit 3")
		for _, gate := range []string{"/1", "/2"} {
			require.NoError(t, syscall.Mkfifo(m.root+gate, 0o666))
			require.NoError(t, os.Chmod(m.root+gate, 0o666))
		}
		v := vesselOf(t.TempDir(), s)
		k := m.bootAs(t, scriptOf(t, v), setpriv, "--reuid="+id, "--regid="+id, "--clear-groups", bash, "-c", `ulimit -S -u 40; exec "$@"`, "sh")
		k.until("one", func() bool { return string(k.log) == "one\n" })
		k.until("it was tried", func() bool { return k.birth().Start.SelfEnd == "ok" })
		pid := k.cmd.Process.Pid
		leave := crowd(t, uid, 60)
		tell(t, m.root+"/1", "go")
		k.until("it began again", func() bool {
			line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			return strings.Count(string(line), "\x00") > 8
		})
		leave()
		tell(t, m.root+"/2", "go")
		assert.Equal(t, 3, k.receipt().Code)
		assert.Equal(t, "one\ntwo\nthree\n", string(k.log), "every byte once")
		assert.Len(t, k.journal.Births(), 1)
		for _, p := range k.pieces {
			assert.Zero(t, p.Lost)
		}
	})
}
