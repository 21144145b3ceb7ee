package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
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

// asCommand makes the test binary behave as the command itself.
const asCommand = "TRAIN_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a run of the command in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// startProcess runs the command with its directories under dir.
func startProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return startResumed(t, "", dir, args...)
}

// startResumed is startProcess with a value for RUNCTL_RESUME.
func startResumed(t *testing.T, resume, dir string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.Env = append(os.Environ(), asCommand+"=1", "RUNCTL_RESUME="+resume,
		"RUNCTL_CHECKPOINT_DIR="+filepath.Join(dir, "checkpoints"),
		"RUNCTL_OUTPUT_DIR="+filepath.Join(dir, "outputs"))
	p.cmd.Stderr = &p.stderr
	pipe, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.stdout = bufio.NewReader(pipe)
	require.NoError(t, p.cmd.Start())
	return p
}

// waitLine reads the output up to a line that starts with prefix.
func (p *process) waitLine(prefix string) {
	p.t.Helper()
	for {
		line, err := p.stdout.ReadString('\n')
		require.NoErrorf(p.t, err, "no line %q; stderr: %s", prefix, &p.stderr)
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

// finish returns the rest of the output and the exit code, -1 for a process
// that a signal ended.
func (p *process) finish() (string, int) {
	p.t.Helper()
	rest, err := io.ReadAll(p.stdout)
	require.NoError(p.t, err)
	_ = p.cmd.Wait() // the state tells more than the error
	return string(rest), p.cmd.ProcessState.ExitCode()
}

// modelAfter trains to the given step without interruption and returns the
// bytes of the model.
func modelAfter(t *testing.T, steps string) []byte {
	t.Helper()
	dir := t.TempDir()
	res := runIn(t, dir, "--steps", steps)
	require.Equal(t, exitOK, res.code, res.stderr)
	return readModel(t, dir)
}

func readModel(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "outputs", modelName))
	require.NoError(t, err)
	return data
}

func TestSignalSavesCheckpointAndResumes(t *testing.T) {
	for _, tc := range []struct {
		sig  syscall.Signal
		code int
	}{{syscall.SIGTERM, 143}, {syscall.SIGINT, 130}} {
		t.Run(tc.sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			// The pause also shows that a signal is not left waiting for it.
			p := startProcess(t, dir, "--every", "1", "--pause", "1h")
			p.waitLine("step 1 ")
			require.NoError(t, p.cmd.Process.Signal(tc.sig))
			out, code := p.finish()
			assert.Equal(t, "saved checkpoint step 1\n", out)
			assert.Equal(t, tc.code, code)
			assert.Empty(t, p.stderr.String())
			assert.NoFileExists(t, filepath.Join(dir, "outputs", modelName))

			p = startProcess(t, dir, "--steps", "20")
			out, code = p.finish()
			assert.Equal(t, exitOK, code, p.stderr.String())
			assert.True(t, strings.HasPrefix(out, "resumed from step 1\n"), out)
			assert.Equal(t, modelAfter(t, "20"), readModel(t, dir))
		})
	}
}

func TestSecondSignalDoesNotTearTheSave(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "checkpoints"), 0o777))
	// A pipe in the place of the temporary file holds the save up half-way.
	pipe := filepath.Join(dir, "checkpoints", checkpointName(1)+tempSuffix)
	require.NoError(t, syscall.Mkfifo(pipe, 0o666))
	r, err := os.OpenFile(pipe, os.O_RDWR|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(30*time.Second)))

	p := startProcess(t, dir, "--every", "1", "--pause", "1h")
	p.waitLine("step 1 ")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	_, err = io.ReadFull(r, make([]byte, len(magic)))
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	go io.Copy(io.Discard, r) // ends when r is closed

	// A pipe cannot be synced, so the save fails; it must be that failure, and
	// not the second signal, that ended the process.
	_, code := p.finish()
	assert.Equal(t, exitError, code)
	assert.Contains(t, p.stderr.String(), "saving the checkpoint of step 1")
	assert.NoFileExists(t, filepath.Join(dir, "checkpoints", pointerName))
}

func TestKilledRunResumesFromWhatWasCommitted(t *testing.T) {
	dir := t.TempDir()
	for _, line := range []string{"step 10 ", "step 17 ", "step 30 "} {
		p := startProcess(t, dir, "--steps", "1000000", "--every", "1", "--checkpoint-every", "1")
		p.waitLine(line)
		require.NoError(t, p.cmd.Process.Kill())
		_, code := p.finish()
		require.Equal(t, -1, code)
	}
	// How far the last run came before it died is not known, only that it
	// lost no committed step: the rest must be what one run would have done.
	path, err := latestIn(filepath.Join(dir, "checkpoints"))
	require.NoError(t, err)
	step, ok := checkpointStep(filepath.Base(path))
	require.True(t, ok)
	assert.GreaterOrEqual(t, step, 29)

	steps := itoa(step + 5)
	out, code := startProcess(t, dir, "--steps", steps).finish()
	require.Equal(t, exitOK, code, out)
	assert.Contains(t, out, "resumed from step "+itoa(step)+"\n")
	assert.Equal(t, modelAfter(t, steps), readModel(t, dir))
}

func TestFailAt(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--steps", "8", "--checkpoint-every", "2", "--fail-at"}
	res := runIn(t, dir, append(args, "5")...)
	assert.Equal(t, exitFailAt, res.code)
	assert.Equal(t, "train: failed on purpose at step 5, because of --fail-at\n", res.stderr)
	assert.NoFileExists(t, filepath.Join(dir, "outputs", modelName))

	// Without a checkpoint at that step, a resumed run meets it again.
	res = runIn(t, dir, append(args, "5")...)
	assert.Equal(t, exitFailAt, res.code)
	assert.Contains(t, res.stdout, "resumed from step 4\n")

	// With one it goes past.
	res = runIn(t, dir, append(args, "6")...)
	assert.Equal(t, exitFailAt, res.code)
	res = runIn(t, dir, append(args, "6")...)
	assert.Equal(t, exitOK, res.code)
	assert.Contains(t, res.stdout, "resumed from step 6\n")
	assert.Equal(t, modelAfter(t, "8"), readModel(t, dir))
}

func TestUnusableDirectories(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	for _, name := range []string{"--dir", "--out"} {
		res := runIn(t, dir, name, file)
		assert.Equal(t, exitError, res.code)
		assert.Contains(t, res.stderr, file)
		assert.Equal(t, 1, strings.Count(res.stderr, "\n"), res.stderr)
	}
}
