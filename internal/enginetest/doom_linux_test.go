package enginetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const doomed = "RUNCTL_TEST_DOOMED"

// A test's process is killed while processes of its own sessions, servers and directories are there.
func TestWhatAKilledTestHasLeftEndsAndNothingElse(t *testing.T) {
	left, holder, err := os.Pipe() // whoever is left holds it
	require.NoError(t, err)
	defer left.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildThatIsKilled$", "-test.v")
	cmd.Env = append(os.Environ(), doomed+"=1")
	cmd.ExtraFiles = []*os.File{holder}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, holder.Close())
	told := map[string]string{}
	for lines := bufio.NewScanner(out); told["ready"] == "" && lines.Scan(); {
		if word, text, ok := strings.Cut(lines.Text(), ": "); ok {
			told[word] = text
		}
	}
	require.NotEmpty(t, told["ready"], "%v", told)
	var stranger int
	_, err = fmt.Sscan(told["stranger"], &stranger)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(stranger, syscall.SIGKILL) })
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	require.NoError(t, left.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = left.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "somebody is left")
	assert.Eventually(t, func() bool { return !answers(told["sshd"]) }, time.Minute, 20*time.Millisecond)
	assert.Eventually(t, func() bool { _, err := os.Stat(told["dir"]); return os.IsNotExist(err) }, time.Minute, 20*time.Millisecond)
	assert.NoError(t, syscall.Kill(stranger, 0), "a directory that its test has removed is nobody's mark")
}

func TestChildThatIsKilled(t *testing.T) {
	if os.Getenv(doomed) == "" {
		return // it does not end by itself, in a process of its own
	}
	syscall.CloseOnExec(3) // only who is given it holds it
	holder := os.NewFile(3, "holder")
	start := func(holder *os.File, env, script string, args ...string) int {
		cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "A=" + env}
		if holder != nil {
			cmd.ExtraFiles = []*os.File{holder}
		}
		ownSession(cmd)
		require.NoError(t, cmd.Start())
		return cmd.Process.Pid
	}
	var gone string
	t.Run("one that came to its end", func(t *testing.T) { gone = Dir(t) })
	dir := Dir(t)
	start(holder, dir, "exec sleep 1000")
	start(holder, "", `: >"$1"; exec tail -f "$1"`, dir+"/below")
	start(holder, dir, `trap '' TERM HUP; while :; do sh -c "sleep 1000; :"; done`)
	fmt.Println("stranger:", start(nil, gone, "exec sleep 1000"))
	fmt.Println("sshd:", SSHD(t).Addr)
	fmt.Println("dir:", dir)
	fmt.Println("ready: yes")
	select {}
}
