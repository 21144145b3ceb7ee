//go:build linux

package runpod_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	face "runctl/internal/wire/runpod"
)

// terminal is somebody's, with the command and an account at a RunPod of this computer.
type terminal struct {
	t    *testing.T
	face *face.Face
	dir  string
	env  []string
}

func newTerminal(t *testing.T) *terminal {
	f := face.New(face.Options{Key: apiKey, Real: &face.Real{Dir: t.TempDir(), Grace: 2 * time.Second}})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	audit(t, f)
	dir := t.TempDir()
	return &terminal{t, f, dir, []string{cliEnv + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "USER=tester", "RUNCTL_OWNER=tester",
		"RUNCTL_STATE_DIR=" + filepath.Join(dir, "state"), "RUNPOD_BASE_URL=" + srv.URL, "RUNPOD_API_KEY=" + apiKey}}
}

// run executes a command line in a process of its own.
func (c *terminal) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	ctx := cancelAfter(c.t, 4*time.Minute)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(c.t, ctx.Err(), "%v\n%s", args, errs.String())
	if cmd.ProcessState == nil {
		require.NoError(c.t, err)
	}
	assert.NotContains(c.t, out.String()+errs.String(), apiKey)
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestTheCommandWorksAgainstAnotherAddress(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.run("-p", "runpod", "offers", "--gpu", "H100", "--json")
	require.Zero(t, code, errs)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, "NVIDIA H100 80GB HBM3")
	assert.Contains(t, out, "US-KS-2")

	code, out, errs = c.run("-p", "runpod", "run", "--max-price", "5", "--lifetime", "1h", "--name", "first", "--", "sh", "-c", "echo hello from $RUNPOD_POD_ID; exit 3")
	assert.Equal(t, 3, code, errs)
	assert.Contains(t, out, "hello from p")
	assert.Empty(t, c.face.Billing(), "nothing is left of it")

	code, out, errs = c.run("-p", "runpod", "run", "-d", "--max-price", "5", "--lifetime", "1h", "--name", "second", "--", "sh", "-c", "echo a; sleep 3; echo b; while :; do sleep 1; done")
	require.Zero(t, code, errs)
	assert.Equal(t, "second\n", out)
	assert.Len(t, c.face.Billing(), 1)
	logs := exec.CommandContext(cancelAfter(t, 2*time.Minute), os.Args[0], "logs", "-f", "second")
	logs.Dir, logs.Env = c.dir, c.env
	var followed syncBuffer
	logs.Stdout = &followed
	require.NoError(t, logs.Start())
	require.Eventually(t, func() bool { return followed.String() == "a\nb\n" }, 2*time.Minute, 50*time.Millisecond, "followed")
	code, out, errs = c.run("down", "second")
	require.Zero(t, code, out+errs)
	_ = logs.Wait()
	assert.Empty(t, c.face.Billing())
	assert.Equal(t, 2, c.face.Served("createPod"))
}

func TestTheCommandNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.env = append(c.env, "RUNPOD_API_KEY=")
	code, _, errs := c.run("-p", "runpod", "offers")
	assert.NotZero(t, code)
	assert.Contains(t, errs, "RUNPOD_API_KEY")
	c.env = append(c.env, "RUNPOD_API_KEY=rpa_WRONGKEY12")
	code, _, errs = c.run("-p", "runpod", "offers")
	assert.NotZero(t, code)
	assert.NotContains(t, errs, "rpa_WRONGKEY12")
}

// syncBuffer may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
