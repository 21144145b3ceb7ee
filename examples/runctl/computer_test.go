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

	"runctl/internal/enginetest"
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
	c := &computer{t, enginetest.Dir(t)}
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
