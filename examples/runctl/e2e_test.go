//go:build linux || darwin

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a command may take before it counts as hanging.
const patience = 45 * time.Second

// bin is where the real commands are, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "runctl-e2e-")
	if err == nil {
		bin = dir
		build := exec.Command("go", "build", "-o", dir+"/", "runctl/examples/runctl", "runctl/examples/train")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the commands cannot be built:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// computer is one with its own state directory, on which runctl is used as people do.
type computer struct {
	t   *testing.T
	dir string
}

func newComputer(t *testing.T) *computer {
	t.Helper()
	c := &computer{t, t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(c.dir, "work"), 0o755))
	t.Cleanup(c.noProcessIsLeft)
	return c
}

// noProcessIsLeft looks for processes that know of this computer's directories. A supervisor frees its lock after
// it has written the receipt, so the last ones may be on their way out.
func (c *computer) noProcessIsLeft() {
	var left map[int]string
	if !assert.Eventually(c.t, func() bool { left = c.processes(); return len(left) == 0 }, 10*time.Second, 20*time.Millisecond) {
		for pid, cmdline := range left {
			c.t.Errorf("process %d is left: %q", pid, cmdline)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (c *computer) processes() map[int]string {
	left := map[int]string{}
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range found {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		if pid, err := strconv.Atoi(filepath.Base(p)); err == nil && (bytes.Contains(cmdline, []byte(c.dir)) || bytes.Contains(environ, []byte(c.dir))) {
			left[pid] = string(cmdline)
		}
	}
	return left
}

func (c *computer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "runctl"), args...)
	cmd.Dir = filepath.Join(c.dir, "work")
	cmd.Env = append(os.Environ(), "RUNCTL_STATE_DIR="+filepath.Join(c.dir, "state"), "RUNCTL_OWNER=e2e", "HOME="+c.dir,
		"PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

// run executes runctl in a process of its own.
func (c *computer) run(args ...string) result {
	c.t.Helper()
	return finish(c.t, c.command(args...))
}

// finish runs a command to its end, which must come in time.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// follower is runctl in a process of its own, whose stdout is read line by line.
type follower struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	pipe   io.Closer
	stderr bytes.Buffer
	late   *time.Timer
}

func (c *computer) start(args ...string) *follower {
	c.t.Helper()
	f := &follower{t: c.t, cmd: c.command(args...)}
	f.cmd.Stderr = &f.stderr
	pipe, err := f.cmd.StdoutPipe()
	require.NoError(c.t, err)
	f.stdout, f.pipe = bufio.NewReader(pipe), pipe
	require.NoError(c.t, f.cmd.Start())
	f.late = time.AfterFunc(patience, func() { _ = f.cmd.Process.Kill() })
	c.t.Cleanup(func() { f.late.Stop() })
	return f
}

// line returns the next line of stdout as soon as it is there.
func (f *follower) line() string {
	f.t.Helper()
	s, err := f.stdout.ReadString('\n')
	require.NoError(f.t, err, "after %q: %s", s, &f.stderr)
	return s
}

func (f *follower) wait() (rest string, code int) {
	f.t.Helper()
	b, err := io.ReadAll(f.stdout)
	require.NoError(f.t, err)
	_ = f.cmd.Wait()
	return string(b), f.cmd.ProcessState.ExitCode()
}

// gate is a fifo at which a job waits until the test opens it.
func (c *computer) gate() (path string, open func()) {
	c.t.Helper()
	path = filepath.Join(c.dir, "gate")
	require.NoError(c.t, syscall.Mkfifo(path, 0o600))
	return path, func() {
		c.t.Helper()
		require.NoError(c.t, os.WriteFile(path, []byte("go\n"), 0o600))
	}
}

// record is what the test needs of a run's record.
type record struct {
	Phase   string `json:"phase"`
	Outcome string `json:"outcome"`
	Exit    *int   `json:"exit"`
	Receipt *struct {
		ExitCode   int    `json:"exit_code"`
		Cause      string `json:"cause"`
		Checkpoint string `json:"checkpoint"`
	} `json:"receipt"`
}

func (c *computer) record(name string) record {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "state", "runs", name+".json"))
	require.NoError(c.t, err)
	var r record
	require.NoError(c.t, json.Unmarshal(data, &r))
	return r
}

// nothingLeft requires that no run and no machine is left.
func (c *computer) nothingLeft() {
	c.t.Helper()
	r := c.run("ps", "-p", "local")
	require.Equal(c.t, 0, r.code, r.stderr)
	assert.Equal(c.t, 1, strings.Count(r.stdout, "\n"), "only the head of the table: %s", r.stdout)
}

func (c *computer) saved(run string) string {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "work", "runctl-out", run, "log"))
	require.NoError(c.t, err)
	return string(data)
}

func TestTheTrainersLogIsStdoutByteForByte(t *testing.T) {
	c := newComputer(t)
	r := c.run("-p", "local", "run", "--name", "train", "--", "train", "--steps", "60", "--every", "10")
	require.Equal(t, 0, r.code, r.stderr)
	direct := exec.Command(filepath.Join(bin, "train"), "--steps", "60", "--every", "10")
	direct.Dir = t.TempDir()
	want := finish(t, direct)
	require.Equal(t, 0, want.code)
	assert.Equal(t, modelPath(want.stdout), modelPath(r.stdout))
	assert.Equal(t, r.stdout, c.saved("train"))
	model, err := os.ReadFile(filepath.Join(c.dir, "work", "runctl-out", "train", "model.json"))
	require.NoError(t, err, "no flag asked for it: it is what the job put into its output directory")
	same, err := os.ReadFile(filepath.Join(direct.Dir, "outputs", "model.json"))
	require.NoError(t, err)
	assert.Equal(t, string(same), string(model))
	assert.Contains(t, r.stderr, "log and outputs: runctl-out/train/; record: ")
	assert.Contains(t, r.stderr, "cost none (own machine)")
	for line := range strings.Lines(r.stderr) {
		assert.True(t, strings.HasPrefix(line, "· "), line)
	}
	c.nothingLeft()
}

// modelPath cuts what differs between two directories.
func modelPath(log string) string {
	head, _, _ := strings.Cut(log, "model ")
	return head
}

func TestOutputIsLive(t *testing.T) {
	c := newComputer(t)
	gate, open := c.gate()
	f := c.start("run", "-p", "local", "sh", "-c", "echo one; cat "+gate+"; printf two")
	assert.Equal(t, "one\n", f.line(), "before the job goes on")
	open()
	rest, code := f.wait()
	assert.Equal(t, "go\ntwo", rest)
	assert.Equal(t, 0, code, &f.stderr)
	c.nothingLeft()
}

func TestTheExitCodeIsTheJobs(t *testing.T) {
	c := newComputer(t)
	plain := filepath.Join(c.dir, "work", "plain")
	require.NoError(t, os.WriteFile(plain, []byte("text"), 0o644))
	for _, tc := range []struct {
		code int
		args []string
	}{
		{7, []string{"sh", "-c", "exit 7"}},
		{122, []string{"sh", "-c", "exit 122"}},
		{137, []string{"sh", "-c", "kill -KILL $$"}},
		{143, []string{"sh", "-c", "kill -TERM $$"}},
		{127, []string{"no-such-command"}},
		{126, []string{"./plain"}},
	} {
		r := c.run(append([]string{"run", "-p", "local", "--"}, tc.args...)...)
		assert.Equal(t, tc.code, r.code, "%v: %s", tc.args, r.stderr)
	}
	c.nothingLeft()
}

func TestACommandThatIsKilledLosesNothing(t *testing.T) {
	c := newComputer(t)
	gate, open := c.gate()
	f := c.start("run", "-p", "local", "--name", "job", "--", "sh", "-c", "echo one; cat "+gate+"; echo two; exit 5")
	assert.Equal(t, "one\n", f.line())
	require.NoError(t, f.cmd.Process.Kill())
	_, code := f.wait()
	assert.Equal(t, -1, code)

	assert.Equal(t, "one\n", c.run("logs", "job").stdout)
	assert.Contains(t, c.run("ps").stdout, "running")
	logs := c.start("logs", "-f")
	assert.Equal(t, "one\n", logs.line())
	waiter := c.start("wait", "job")
	open()
	rest, code := logs.wait()
	assert.Equal(t, "go\ntwo\n", rest)
	assert.Equal(t, 0, code)
	rest, code = waiter.wait()
	assert.Equal(t, 5, code, &waiter.stderr)
	assert.Empty(t, rest)
	assert.Empty(t, waiter.stderr.String())

	r := c.run("attach", "job")
	assert.Equal(t, 5, r.code, r.stderr)
	assert.Equal(t, "one\ngo\ntwo\n", r.stdout)
	assert.Equal(t, r.stdout, c.saved("job"))
	c.nothingLeft()
	assert.Equal(t, "one\ngo\ntwo\n", c.run("logs", "job").stdout)
	assert.Equal(t, 5, c.run("wait", "job").code)
}

func TestInterruptsReachTheTrainer(t *testing.T) {
	for sig, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		c := newComputer(t)
		f := c.start("run", "-p", "local", "--name", "train", "--", "train", "--steps", "1000000", "--every", "1", "--pause", "10ms")
		f.line()
		require.NoError(t, f.cmd.Process.Signal(sig))
		_, code := f.wait()
		assert.Equal(t, want, code, &f.stderr)
		r := c.record("train")
		assert.Equal(t, "cancelled", r.Outcome)
		assert.Equal(t, 143, r.Receipt.ExitCode, "the trainer saved and said so")
		assert.NotEmpty(t, r.Receipt.Checkpoint)
		c.nothingLeft()
	}
}

func TestCancelReachesADetachedTrainer(t *testing.T) {
	c := newComputer(t)
	r := c.run("run", "-d", "-p", "local", "--name", "train", "--", "train", "--steps", "1000000", "--every", "1", "--pause", "10ms")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, "train\n", r.stdout)
	logs := c.start("logs", "-f", "train")
	logs.line()
	r = c.run("cancel", "train")
	assert.Equal(t, 0, r.code, r.stderr)
	_, code := logs.wait()
	assert.Equal(t, 0, code, "the log has an end")
	assert.Equal(t, "cancelled", c.record("train").Outcome)
	c.nothingLeft()
}

func TestResumeGoesOnWhereAnEarlierRunFailed(t *testing.T) {
	c := newComputer(t)
	args := []string{"--", "train", "--steps", "40", "--every", "10", "--checkpoint-every", "10"}
	whole := c.run(append([]string{"run", "-p", "local", "--name", "whole"}, args...)...)
	require.Equal(t, 0, whole.code, whole.stderr)
	r := c.run(append(append([]string{"run", "-p", "local", "--name", "first"}, args...), "--fail-at", "20")...)
	require.Equal(t, 3, r.code, r.stderr)
	assert.NotEmpty(t, c.record("first").Receipt.Checkpoint)
	r = c.run(append([]string{"run", "-p", "local", "--name", "second", "--resume", "first"}, args...)...)
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stdout, "resumed from step 20")
	_, want, _ := strings.Cut(modelPath(whole.stdout), "step 20")
	_, end, _ := strings.Cut(want, "\n")
	assert.True(t, strings.HasSuffix(modelPath(r.stdout), end), "%q then %q", r.stdout, end)
	c.nothingLeft()
}

func TestAReaderThatLeavesDoesNotEndTheRun(t *testing.T) {
	c := newComputer(t)
	gate, open := c.gate()
	f := c.start("run", "-p", "local", "--name", "job", "--", "sh", "-c", "echo one; cat "+gate+"; seq 100000; exit 3")
	assert.Equal(t, "one\n", f.line())
	require.NoError(t, f.pipe.Close())
	open()
	_ = f.cmd.Wait()
	assert.Equal(t, 3, f.cmd.ProcessState.ExitCode(), &f.stderr)
	assert.True(t, strings.HasSuffix(c.saved("job"), "\n100000\n"), "the log is whole all the same")
	c.nothingLeft()
}

func TestManyAtOnceShareAStateDirectory(t *testing.T) {
	c := newComputer(t)
	var all []*follower
	for n := range 6 {
		all = append(all, c.start("run", "-p", "local", "--", "sh", "-c", fmt.Sprintf("echo %d; exit %d", n, n+1)))
	}
	for n, f := range all {
		rest, code := f.wait()
		assert.Equal(t, fmt.Sprintf("%d\n", n), rest)
		assert.Equal(t, n+1, code, &f.stderr)
	}
	c.nothingLeft()
}

func TestGoRunUnderGoRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it links two programs")
	}
	c := newComputer(t)
	cmd := c.command()
	goTool, err := exec.LookPath("go")
	require.NoError(t, err)
	cmd.Path = goTool
	cmd.Args = []string{"go", "run", "./examples/runctl", "-p", "local", "run", "--name", "train", "--", "go", "run", "./examples/train", "--steps", "20"}
	cmd.Dir = filepath.Join("..", "..")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		v, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(v)))
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join("..", "..", "runctl-out", "train")) })
	r := finish(t, cmd)
	require.Equal(t, 0, r.code, r.stderr)
	log, err := os.ReadFile(filepath.Join("..", "..", "runctl-out", "train", "log"))
	require.NoError(t, err)
	assert.Equal(t, string(log), r.stdout)
	assert.Contains(t, r.stdout, "final loss")
	assert.FileExists(t, filepath.Join("..", "..", "runctl-out", "train", "model.json"))
	c.nothingLeft()
}
