//go:build linux || darwin

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
