package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/internal/execfile"
)

// shellMachine runs argument lists on this computer, with the shell under test as its sh and a root of its own.
type shellMachine struct {
	root string
	env  []string
}

func (m *shellMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var path string
	for _, e := range m.env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path, _, _ = strings.Cut(p, ":")
		}
	}
	if len(argv) > 4 && argv[3] == protocolTag && len(otherSupervisor) > 0 {
		argv = slices.Concat(otherSupervisor, argv[4:])
	}
	program := argv[0]
	if !filepath.IsAbs(program) {
		program = filepath.Join(path, program)
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Args[0], cmd.Env = argv[0], m.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// otherSupervisor, from RUNCTL_TEST_SUPERVISOR, is a command that is called with a verb and its arguments instead of
// the script: the tests are the protocol's, not the script's.
var otherSupervisor = strings.Fields(os.Getenv("RUNCTL_TEST_SUPERVISOR"))

// ofTheScript skips what only the script can be asked.
func ofTheScript(t *testing.T) {
	t.Helper()
	if len(otherSupervisor) > 0 {
		t.Skip("looks into the script itself")
	}
}

// shells are the machines under test: a directory that comes first in PATH holds their sh. The busybox machine has
// nothing but busybox; the ps machine has no /proc, as macOS.
var shells = []struct {
	name, program string
	only          bool // no other tools than the program's own
	noproc        bool
}{{name: "dash", program: "dash"}, {name: "bash", program: "bash"}, {name: "sh", program: "sh"},
	{name: "busybox", program: "busybox", only: true}, {name: "ps", program: "bash", noproc: true}}

// TestMain lets more tests run at once than there are processors: they wait for processes most of the time.
func TestMain(m *testing.M) {
	if os.Getenv("RUNCTL_TEST_CONTROLLER") != "" {
		renewForEver()
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	os.Exit(m.Run())
}

// onEveryShell runs the test on a fresh machine of each kind that this computer has, at the same time.
func onEveryShell(t *testing.T, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	onShells(t, true, test)
}

// onEveryLinux leaves out the machine without /proc, whose clock shows whole seconds.
func onEveryLinux(t *testing.T, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	onShells(t, false, test)
}

func onShells(t *testing.T, noproc bool, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	t.Parallel()
	seen := map[string]bool{}
	for _, shell := range shells {
		program, err := exec.LookPath(shell.program)
		if err == nil {
			program, err = filepath.EvalSymlinks(program)
		}
		if err != nil || seen[program] && !shell.noproc || shell.noproc && !noproc {
			continue
		}
		seen[program] = true
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			require.NoError(t, os.Chmod(filepath.Dir(bin), 0o755)) // for jobs of other users
			path := bin + ":" + os.Getenv("PATH")
			names := []string{"sh"}
			if shell.only {
				path = bin
				list, err := exec.Command(program, "--list").Output()
				require.NoError(t, err)
				names = strings.Fields(string(list))
			}
			for _, name := range names {
				require.NoError(t, os.Symlink(program, filepath.Join(bin, name)))
			}
			m := &shellMachine{root: enginetest.Dir(t)}
			m.env = []string{"PATH=" + path, "HOME=" + t.TempDir(), "RUNCTL_ROOT=" + m.root, "LC_ALL=C"}
			if shell.noproc {
				m.env = append(m.env, "RUNCTL_PROC=/nonexistent")
			}
			t.Cleanup(func() { m.killEverything(t) })
			test(t, m)
		})
	}
}

// another is a machine of the same kind with a root of its own.
func (m *shellMachine) another(t *testing.T) *shellMachine {
	t.Helper()
	own := &shellMachine{root: enginetest.Dir(t)}
	for _, e := range m.env {
		if !strings.HasPrefix(e, "RUNCTL_ROOT=") {
			own.env = append(own.env, e)
		}
	}
	own.env = append(own.env, "RUNCTL_ROOT="+own.root)
	t.Cleanup(func() { own.killEverything(t) })
	return own
}

// identity is a process by a link of own/RUN, 0 when there is none.
func (m *shellMachine) pid(run, link string) int {
	text, _ := os.Readlink(filepath.Join(m.root, "own", run, link))
	parts := strings.Split(text, ":")
	if len(parts) < 3 {
		return 0
	}
	pid, _ := strconv.Atoi(parts[1])
	return pid
}

func (m *shellMachine) supervisor(t *testing.T, run string) int {
	t.Helper()
	pid := 0
	for n := 1; m.pid(run, strconv.Itoa(n)) != 0; n++ {
		pid = m.pid(run, strconv.Itoa(n))
	}
	require.NotZero(t, pid, "no supervisor")
	return pid
}

// processes are the pids of everything that runs for this machine.
func (m *shellMachine) processes() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && (bytes.Contains(env, []byte("RUNCTL_ROOT="+m.root+"\x00")) || bytes.Contains(env, []byte("="+m.root+"/run/"))) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// powerOff kills every process of the machine at once: first nobody may react, then nobody is left.
func (m *shellMachine) powerOff(t *testing.T) {
	t.Helper()
	stopped := map[int]bool{}
	for quiet := 0; quiet < 5; <-time.After(10 * time.Millisecond) {
		quiet++
		for _, pid := range m.processes() { // those that were just forked too
			if !stopped[pid] {
				stopped[pid], quiet = true, 0
				_ = syscall.Kill(pid, syscall.SIGSTOP)
			}
		}
	}
	for pid := range stopped {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for pid := range stopped {
		require.True(t, m.leaves(pid))
	}
}

// killEverything ends what a failed test left behind, and fails a test that left a keeper or a supervisor.
func (m *shellMachine) killEverything(t *testing.T) {
	_ = os.RemoveAll(filepath.Join(m.root, "guard")) // a guard ends with its directory
	for _, pid := range m.processes() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if !t.Failed() && !t.Skipped() && !m.leaves(pid) {
			t.Errorf("left behind: %d %q", pid, line)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// leaves waits a little for a process that is on its way out, such as a supervisor after its receipt.
func (m *shellMachine) leaves(pid int) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return true
		}
	}
	return false
}

// sh is a run of a shell script.
func sh(run, script string) Spec {
	return Spec{Run: run, Digest: "d-" + run, Argv: []string{"sh", "-c", script}, Grace: 20 * time.Second}
}

// start starts a run. What a slow computer leaves unsure is asked again, as a controller does: the same start is one job.
func start(t *testing.T, m Machine, s Spec) {
	t.Helper()
	err := Start(t.Context(), m, s)
	for late := time.Now().Add(patience); err != nil && strings.Contains(err.Error(), "not known whether it took effect") && time.Now().Before(late); {
		err = Start(t.Context(), m, s)
	}
	require.NoError(t, err)
}

// done waits for the run's receipt.
func done(t *testing.T, m Machine, run string) Receipt {
	t.Helper()
	s, err := Wait(t.Context(), m, run, patience)
	require.NoError(t, err)
	require.Equal(t, PhaseDone, s.Phase, s.Evidence)
	require.NotNil(t, s.Receipt)
	assert.Equal(t, run, s.Receipt.Run)
	assert.Equal(t, "supervisor", s.Receipt.Source)
	return *s.Receipt
}

// text is the whole log of a run.
func text(t *testing.T, m Machine, run string) string {
	t.Helper()
	var out strings.Builder
	next, err := Log(t.Context(), m, run, 0, true, &out)
	require.NoError(t, err)
	require.EqualValues(t, out.Len(), next)
	return out.String()
}

// fifo makes one that a job can wait on; its name is in the job's argument list.
func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	return name
}

// patience is how long a test waits for a process on a busy computer.
const patience = 2 * time.Minute

// hear waits until a job writes a line into the fifo, and says what.
func hear(t *testing.T, name string) string {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.SetReadDeadline(time.Now().Add(patience)))
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b...) {
		_, err := f.Read(b)
		require.NoError(t, err, "nobody spoke")
		if b[0] == '\n' {
			return string(line)
		}
	}
}

// tell lets go a job that reads the fifo.
func tell(t *testing.T, name, word string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			_, err = f.WriteString(word + "\n")
			require.NoError(t, err)
			require.NoError(t, f.Close())
			return
		}
		require.ErrorIs(t, err, syscall.ENXIO)
		require.True(t, time.Now().Before(deadline), "nobody listens")
	}
}

func hasNoProc(m *shellMachine) bool {
	return slices.Contains(m.env, "RUNCTL_PROC=/nonexistent")
}

func hexOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))[:12] }

// prefixed runs everything under another command.
type prefixed struct {
	*shellMachine
	by []string
}

func (p prefixed) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	return p.shellMachine.Exec(ctx, append(slices.Clone(p.by), argv...), stdin, stdout, stderr)
}

// instead puts a script in the place of a program, to which it is $real.
func (m *shellMachine) instead(t *testing.T, program, script string) {
	t.Helper()
	path, _ := strings.CutPrefix(m.env[0], "PATH=")
	bin := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(bin), 0o755))
	var sh, real string
	for _, dir := range strings.Split(path, ":") {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil && real == "" {
			real = filepath.Join(dir, program)
		}
		if _, err := os.Stat(filepath.Join(dir, "sh")); err == nil && sh == "" {
			sh = filepath.Join(dir, "sh")
		}
	}
	require.NotEmpty(t, real, program)
	require.NoError(t, execfile.Write(filepath.Join(bin, program), "#!"+sh+"\nreal="+real+"\n"+script+"\n"))
	require.NoError(t, os.Symlink(sh, filepath.Join(bin, "sh")))
	m.env[0] = "PATH=" + bin + ":" + path
}

// stat is what /proc says of a process behind its name: state, parent, group, session and so on, field 3 first.
func stat(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}
