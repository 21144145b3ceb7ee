package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/internal/job"
)

// shellMachine runs argument lists on this computer, with the shell under test as its sh and a root of its own.
type shellMachine struct {
	root, bin string
	env       []string
}

func (m *shellMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(m.bin, argv[0]), argv[1:]...)
	cmd.Args[0], cmd.Env = argv[0], m.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Minute
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// onEveryShell runs the test on a fresh machine of each kind that this computer has, at the same time. The busybox
// machine has nothing but busybox, and the bare one no openssl.
func onEveryShell(t *testing.T, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	t.Parallel()
	for _, shell := range []string{"dash", "bash", "busybox"} {
		program, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			test(t, newShell(t, program))
		})
	}
}

func newShell(t testing.TB, program string) *shellMachine {
	bin := t.TempDir()
	path, names := bin+":"+os.Getenv("PATH"), []string{"sh"}
	if filepath.Base(program) == "busybox" {
		list, err := exec.Command(program, "--list").Output()
		require.NoError(t, err)
		path, names = bin, strings.Fields(string(list))
	}
	for _, name := range names {
		require.NoError(t, os.Symlink(program, filepath.Join(bin, name)))
	}
	m := &shellMachine{root: enginetest.Dir(t), bin: bin}
	m.env = []string{"PATH=" + path, "HOME=" + t.TempDir(), "RUNCTL_ROOT=" + m.root}
	return m
}

// begin starts a run whose job does what the script says and then waits until the test is over. It returns when the
// script was done.
func (m *shellMachine) begin(t testing.TB, script string) {
	t.Helper()
	ready, gate := filepath.Join(m.root, "ready"), filepath.Join(m.root, "gate")
	require.NoError(t, syscall.Mkfifo(ready, 0o600))
	require.NoError(t, syscall.Mkfifo(gate, 0o600))
	require.NoError(t, job.Start(t.Context(), m, job.Spec{Run: "r", Digest: "d", Argv: []string{"sh", "-c", script + "\necho >" + ready + "; read x <" + gate}}))
	_, err := os.ReadFile(ready)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = job.Cancel(context.Background(), m, "r", 0)
		_, _ = job.Wait(context.Background(), m, "r", 10*time.Second)
		for late := time.After(10 * time.Second); os.RemoveAll(m.root) != nil; { // its supervisor is on its way out
			select {
			case <-late:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// outputs is the directory of the run's outputs, work its own.
func (m *shellMachine) outputs() string { return filepath.Join(m.root, "run/r/job/outputs") }
func (m *shellMachine) work() string    { return filepath.Join(m.root, "run/r/job/work") }
