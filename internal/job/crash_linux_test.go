package job

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crashPoints are the places in the script at which its supervisor is killed, each a remark "# @crash NAME" on a line of
// its own. Those of a start are found by starting again, the others by looking.
var crashPoints = []struct {
	name   string
	start  bool // the start is cut, and repeated
	cancel bool // the run is cancelled, and does not listen
}{
	{"before-lock", true, false}, {"after-lock", true, false}, {"after-slot", true, false}, {"after-fork", true, false},
	{"after-hello", false, false}, {"after-term", false, true}, {"after-kill", false, true}, {"after-sweep", false, false},
	{"after-write", false, false}, {"after-rename", false, false}, {"after-unlock", false, false},
}

var crashMark = regexp.MustCompile(`(?m)^ *# @crash ([a-z-]+)$`)

// breakable installs a supervisor that dies where RUNCTL_CRASH says, after it wrote that into RUNCTL_CRASHED.
func (m *shellMachine) breakable(t *testing.T) {
	t.Helper()
	text := source(nil)
	require.Len(t, crashMark.FindAllString(text, -1), len(crashPoints))
	for _, p := range crashPoints {
		require.Contains(t, text, "# @crash "+p.name+"\n")
	}
	text = crashMark.ReplaceAllString(text, `[ "$$RUNCTL_CRASH" != $1 ] || { echo $1 >"$$RUNCTL_CRASHED"; kill -s KILL $$$$; }`)
	require.NoError(t, os.MkdirAll(filepath.Join(m.root, "v1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(m.root, "v1", "sup-"+scriptID), []byte(text), 0o600))
}

// with is the machine with more in its environment.
func (m *shellMachine) with(env ...string) *shellMachine {
	return &shellMachine{root: m.root, env: append(env, m.env...)}
}

// mount puts a file system onto the machine's root, where everybody may pass.
func (m *shellMachine) mount(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("mount", append(args, m.root)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() { _ = syscall.Unmount(m.root, syscall.MNT_DETACH) })
	require.NoError(t, os.Chmod(m.root, 0o755))
}

// disks are what a supervisor may meet when it writes.
var disks = []struct {
	name string
	full bool
	make func(t *testing.T, m *shellMachine)
}{
	{"ext4 full", true, func(t *testing.T, m *shellMachine) {
		image := filepath.Join(t.TempDir(), "image")
		require.NoError(t, os.WriteFile(image, nil, 0o600))
		require.NoError(t, os.Truncate(image, 3<<20))
		out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", "-N", "1024", "-O", "^has_journal", image).CombinedOutput()
		require.NoError(t, err, "%s", out)
		m.mount(t, "-o", "loop", image)
	}},
	{"tmpfs full", true, func(t *testing.T, m *shellMachine) {
		m.mount(t, "-t", "tmpfs", "-o", "size=1m,nr_inodes=4096", "tmpfs")
	}},
	{"mv that does and denies it", false, func(t *testing.T, m *shellMachine) { m.lyingMv(t, `"$@"; exit 1`) }},
	{"mv that does not and claims it", false, func(t *testing.T, m *shellMachine) { m.lyingMv(t, `>/dev/null; exit 0`) }},
}

func (m *shellMachine) lyingMv(t *testing.T, lie string) {
	t.Helper()
	m.instead(t, "mv", "echo >"+m.root+"/lied\n$real "+lie)
}

func TestWhereverASupervisorDiesTheJobRanOnceAndItsCodeIsTrue(t *testing.T) {
	ofTheScript(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount file systems and to run jobs as another user")
	}
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		for _, user := range []string{"", "nobody"} {
			for _, disk := range disks {
				t.Run(strings.TrimSpace(user+" "+disk.name), func(t *testing.T) {
					t.Parallel()
					m := plain.another(t)
					disk.make(t, m)
					m.breakable(t)
					m.runsAs(t, user)
					for _, p := range crashPoints {
						t.Run(p.name, func(t *testing.T) { m.crash(t, p.name, p.start, p.cancel, disk.full) })
					}
					if !disk.full {
						assert.FileExists(t, filepath.Join(m.root, "lied"))
					}
				})
			}
		}
	})
}

// runsAs lets the jobs of a machine run as a user, to whom it opens the way; empty: as root.
func (m *shellMachine) runsAs(t *testing.T, user string) {
	t.Helper()
	if user == "" {
		return
	}
	for dir := m.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(m.root, "guard"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(m.root, "guard", "user"), []byte(user+"\n"), 0o600))
}

// crash has the supervisor of one run die at the point.
func (m *shellMachine) crash(t *testing.T, point string, again, cancel, full bool) {
	crashed, seen := filepath.Join(t.TempDir(), "crashed"), filepath.Join(t.TempDir(), "seen")
	require.NoError(t, os.WriteFile(seen, nil, 0o666))
	for dir, mode := seen, os.FileMode(0o666); dir != os.TempDir(); dir, mode = filepath.Dir(dir), 0o755 {
		require.NoError(t, os.Chmod(dir, mode))
	}
	fill := map[bool]string{true: `cat /dev/zero >"$RUNCTL_OUTPUT_DIR/fill" 2>/dev/null; `}[full]
	s := sh(point, fill+`echo "$(id -u)" >>'`+seen+`'; exit 7`)
	want := []any{"exit", 7, EndSelf}
	if cancel {
		s.Argv[2] = fill + `trap '' TERM; echo "$(id -u)" >>'` + seen + `'; while :; do sleep 1000; done`
		want = []any{"cancel", 137, EndKill}
	}
	err := Start(t.Context(), m.with("RUNCTL_CRASH="+point, "RUNCTL_CRASHED="+crashed), s)
	if again {
		require.Error(t, err)
		var refused *Refused
		require.NotErrorAs(t, err, &refused, "nobody may know")
		require.NoError(t, Start(t.Context(), m, s))
	} else {
		require.NoError(t, err)
	}
	starts := func() string { text, _ := os.ReadFile(seen); return string(text) }
	if cancel {
		require.Eventually(t, func() bool { return starts() != "" }, patience, 10*time.Millisecond)
		require.NoError(t, Cancel(t.Context(), m, point, 300*time.Millisecond))
	}
	require.Eventually(t, func() bool { text, _ := os.ReadFile(crashed); return string(text) == point+"\n" }, patience, 10*time.Millisecond, "it never came to that point")
	require.True(t, m.leaves(m.pid(point, "1")))
	r := done(t, m, point)
	assert.Equal(t, want, []any{r.Cause, r.Code, r.End})
	uid := "0\n"
	if _, err := os.Stat(filepath.Join(m.root, "guard", "user")); err == nil {
		uid = "65534\n"
	}
	assert.Equal(t, uid, starts(), "once, and as whom it should")
	switch point {
	case "after-write", "after-rename", "after-unlock": // the receipt is there
	default:
		assert.NotZero(t, m.pid(point, "2"), "by another supervisor")
	}
	assert.Equal(t, r, done(t, m, point), "for ever")
	require.Eventually(t, func() bool { _, err := os.Lstat(filepath.Join(m.root, "own", point, "f")); return err == nil }, patience, 10*time.Millisecond)
	if full {
		require.NoError(t, os.Remove(filepath.Join(m.root, "run", point, "job", "outputs", "fill")))
	}
}
