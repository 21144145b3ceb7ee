package job

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onEveryRoot runs the test where jobs may be given to another user.
func onEveryRoot(t *testing.T, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	onEveryLinux(t, test)
}

// asUser is the machine as somebody sees it who may not be root there; the root must be theirs.
func (m *shellMachine) asUser(t *testing.T, uid int) prefixed {
	t.Helper()
	setpriv, err := exec.LookPath("setpriv")
	require.NoError(t, err)
	require.NoError(t, os.Chown(m.root, uid, uid))
	require.NoError(t, os.Chmod(filepath.Dir(m.root), 0o755))
	return prefixed{m, []string{setpriv, fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups", "--"}}
}

func TestAJobOfAnotherUserHasItsDirectoriesAndNothingOfOurs(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		m.runsAs(t, "")
		require.NoError(t, os.Chmod(filepath.Dir(m.root), 0o755))
		require.NoError(t, os.Chmod(m.root, 0o700))
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: time.Hour, User: "nobody"}))
		ready, gate := fifo(t), fifo(t)
		for _, f := range []string{ready, gate} {
			for dir, mode := f, os.FileMode(0o666); dir != os.TempDir(); dir, mode = filepath.Dir(dir), 0o755 {
				require.NoError(t, os.Chmod(dir, mode))
			}
		}
		outside := filepath.Join(filepath.Dir(ready), "new", "checkpoints")
		s := sh("r", `id -u; id -G; echo "$HOME $USER $LOGNAME"; umask
			test "$TOKEN" = `+canary[:6]+`"`+canary[6:]+`" || echo no token
			for f in work outputs; do echo $f >../$f/mine || echo "cannot write $f"; done
			mkdir "$RUNCTL_CHECKPOINT_DIR/s1" && echo s1 >"$RUNCTL_CHECKPOINT_DIR/latest" || echo no checkpoints
			cd "$RUNCTL_OUTPUT_DIR" && echo more >more || echo no outputs
			for f in ../../ctl ../../ctl/spec ../../ctl/exit.slot ../../out ../../../../own ../../../../guard ../.. ../../.. ../../../..; do
				ls $f/ >/dev/null 2>&1 && echo "can list $f"; cat $f >/dev/null 2>&1 && echo "can read $f"; echo x 2>/dev/null >$f/x && echo "can write $f"; rm -f $f 2>/dev/null && echo "can remove $f"
			done 2>/dev/null
			kill -9 $PPID 2>/dev/null && echo "killed the keeper"
			cat /proc/$PPID/environ >/dev/null 2>&1 && echo "can read the keeper's environment"
			echo up >`+ready+`; read x <`+gate+`; exit 5`)
		s.Env = map[string]string{"TOKEN": canary}
		s.CheckpointDir = outside
		setpriv, err := exec.LookPath("setpriv")
		require.NoError(t, err)
		start(t, prefixed{m, []string{setpriv, "--groups=4242", "--"}}, s) // of which the job gets none
		hear(t, ready)
		m.private(t)
		tell(t, gate, "go")
		r := done(t, m, "r")
		home, err := exec.Command("sh", "-c", "echo ~nobody").Output()
		require.NoError(t, err)
		assert.Equal(t, []any{"exit", 5, "s1"}, []any{r.Cause, r.Code, r.Checkpoint})
		assert.Equal(t, "65534\n65534\n"+strings.TrimSpace(string(home))+" nobody nobody\n0022\n", text(t, m, "r"))
		var tar strings.Builder
		require.NoError(t, Get(t.Context(), m, "r", "outputs", false, []string{"more"}, &tar))
		assert.NotZero(t, tar.Len())
		m.private(t)

		start(t, m, sh("k", "kill -9 $$"))
		r = done(t, m, "k")
		assert.Equal(t, []any{"signal", 137, "KILL"}, []any{r.Cause, r.Code, r.Signal}, "the status of another user's process")
		only := filepath.Join(filepath.Dir(ready), "only-root")
		require.NoError(t, os.WriteFile(only, []byte("#!/bin/sh\n"), 0o700))
		for program, cause := range map[string]string{only: "notexec", "no-such-program": "notfound"} {
			run := "c" + hexOf(program)
			start(t, m, Spec{Run: run, Digest: "d", Argv: []string{program}})
			assert.Equal(t, cause, done(t, m, run).Cause)
		}
	})
}

func TestWhatAUsersJobNamesIsReadAsThatUser(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		m.runsAs(t, "nobody")
		require.NoError(t, os.Chmod(filepath.Dir(m.root), 0o755))
		hidden := filepath.Join(t.TempDir(), "hidden")
		require.NoError(t, os.WriteFile(hidden, []byte(canary), 0o600))
		start(t, m, sh("r", `echo mine >mine; ln -s `+hidden+` link; ln -s `+filepath.Dir(hidden)+` dir; ln -s mine alias`))
		done(t, m, "r")
		read := func(name string) string {
			var b strings.Builder
			_ = Tail(t.Context(), m, "r", PlaceWork, name, false, 0, &b)
			_ = Get(t.Context(), m, "r", PlaceWork, false, []string{name}, &b)
			return b.String()
		}
		for _, name := range []string{"mine", "alias"} {
			assert.Contains(t, read(name), "mine\n")
		}
		for _, name := range []string{"link", "dir/hidden"} { // which a tree never names, but the job may have put there since
			assert.NotContains(t, read(name), canary)
			assert.NoError(t, Sums(t.Context(), m, "r", PlaceWork, []string{name}, func(name string, _ [32]byte) error {
				t.Errorf("the checksum of %s was told", name)
				return nil
			}))
		}
	})
}

// private demands that nothing below the root can be read by others, but for what is the job's.
func (m *shellMachine) private(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(m.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		rel, _ := filepath.Rel(m.root, name)
		info, err := d.Info()
		if err != nil {
			return nil
		}
		switch parts := strings.Split(rel, "/"); {
		case len(parts) > 2 && parts[0] == "run" && parts[2] == "job":
			assert.EqualValues(t, 65534, info.Sys().(*syscall.Stat_t).Uid, rel)
			if len(parts) < 5 && d.IsDir() {
				assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), rel)
			}
		case d.IsDir() && (rel == "." || rel == "run" || len(parts) == 2 && parts[0] == "run"):
			assert.Equal(t, os.FileMode(0o711), info.Mode().Perm(), rel)
		case d.IsDir():
			assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), rel)
		default:
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), rel)
		}
		return nil
	}))
}

func TestAUserThatCannotBeIsRefused(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		refusedWith(t, RefusedMachine, Arm(t.Context(), m, Guard{Lifetime: time.Hour, User: "no-such-user"}))
		m.runsAs(t, "no-such-user")
		refusedWith(t, RefusedMachine, Start(t.Context(), m, sh("r", "true")))
		m.root = filepath.Join(m.root, "closed", "root")
		require.NoError(t, os.MkdirAll(m.root, 0o700))
		m.env = append(m.env, "RUNCTL_ROOT="+m.root)
		m.runsAs(t, "nobody")
		require.NoError(t, os.Chmod(filepath.Dir(m.root), 0o700))
		err := Start(t.Context(), m, sh("r", "true"))
		refusedWith(t, RefusedMachine, err)
		assert.ErrorContains(t, err, "/var/lib")
		assert.Equal(t, PhaseNone, phase(t, m, "r"))
		require.NoError(t, os.Chmod(filepath.Dir(m.root), 0o755))
		start(t, m, sh("r", "exit 4"))
		assert.Equal(t, 4, done(t, m, "r").Code)
	})
}

func TestWhoIsNotRootRunsJobsAsItself(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		mine := m.asUser(t, 54320)
		require.NoError(t, Arm(t.Context(), mine, Guard{Lifetime: time.Hour, User: "nobody"}))
		start(t, mine, sh("r", "id -u"))
		assert.Zero(t, done(t, mine, "r").Code)
		assert.Equal(t, "54320\n", text(t, mine, "r"))
		start(t, mine, sh("leaves", `(setsid sh -c 'trap "" TERM; while :; do sleep 0.05; done' &) ; sleep 0.2`))
		assert.NotZero(t, done(t, mine, "leaves").Stragglers, "without a cgroup its mark is enough")
	})
}

func TestNothingThatAJobStartedGetsOutOfItsCgroup(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		if out, err := exec.Command("sh", "-c", `d=$(sed -n 's/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p' /proc/mounts | head -n 1)/runctl-try-$$ && mkdir "$d" && test -w "$d/cgroup.kill"; e=$?; rmdir "$d"; exit $e`).CombinedOutput(); err != nil {
			t.Skipf("no cgroup2 here that root may write: %s", out)
		}
		escaped := fifo(t)
		start(t, m, sh("r", `env -i PATH="$PATH" setsid sh -c 'trap "" TERM; echo $$ >`+escaped+`; while :; do sleep 1000; done' & wait`))
		var pid int
		_, err := fmt.Sscan(hear(t, escaped), &pid)
		require.NoError(t, err)
		require.NoError(t, Cancel(t.Context(), m, "r", time.Second))
		r := done(t, m, "r")
		assert.NotZero(t, r.Stragglers)
		assert.True(t, m.leaves(pid))
		link, err := os.Readlink(filepath.Join(m.root, "own", "r", "k"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { _, err := os.Stat(link); return err != nil }, patience, 20*time.Millisecond, "the cgroup goes too")

		up, gate := fifo(t), fifo(t)
		start(t, m, sh("gone", "echo up >"+up+"; read x <"+gate))
		hear(t, up)
		link, err = os.Readlink(filepath.Join(m.root, "own", "gone", "k"))
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(m.root))
		tell(t, gate, "go")
		require.Eventually(t, func() bool { _, err := os.Stat(link); return err != nil }, patience, 20*time.Millisecond, "also of a run that was removed")
	})
}

// TestWithoutACgroupWhoHidesItsMarkEscapes writes down what is not promised.
func TestWithoutACgroupWhoHidesItsMarkEscapes(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		mine := m.asUser(t, 54321)
		escaped := fifo(t)
		for dir, mode := escaped, os.FileMode(0o666); dir != os.TempDir(); dir, mode = filepath.Dir(dir), 0o755 {
			require.NoError(t, os.Chmod(dir, mode))
		}
		start(t, mine, sh("r", `env -i PATH="$PATH" setsid sh -c 'echo $$ >`+escaped+`; exec sleep 1000' & wait`))
		var pid int
		_, err := fmt.Sscan(hear(t, escaped), &pid)
		require.NoError(t, err)
		require.NoError(t, Cancel(t.Context(), mine, "r", 0))
		assert.Zero(t, done(t, mine, "r").Stragglers)
		assert.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "it lives on")
	})
}

func TestWhereNoProcessCanBeMadeTheEndComesAllTheSame(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		uid := map[string]int{"dash": 54322, "bash": 54323, "busybox": 54324}[filepath.Base(t.Name())]
		mine := m.asUser(t, uid)
		mine.by = append(mine.by, "sh", "-c", `ulimit -u 60; exec "$@"`, "sh")
		calls := m.withSteps(t, map[string]string{"10-forks": "/bin/true | /bin/true", "20-builtin": ""})
		for dir := calls; dir != os.TempDir(); dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o777)
		}
		require.NoError(t, exec.Command("chown", "-R", fmt.Sprint(uid), m.root).Run())
		require.NoError(t, os.WriteFile(calls, nil, 0o666))
		require.NoError(t, os.Chmod(calls, 0o666))
		begun := up(t, mine)
		g := Guard{Lifetime: 15 * time.Second, Grace: time.Second}
		require.NoError(t, Arm(t.Context(), mine, g))
		start(t, mine, sh("r", `trap '' TERM; while :; do sleep 1000 & done`))
		all := off(t, calls, "20-builtin", 2*patience)
		for _, c := range all {
			assert.Equal(t, "lifetime", c.cause)
			assert.GreaterOrEqual(t, c.up, begun+g.Lifetime, "not for a lack of processes")
		}
		for _, pid := range m.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}
