//go:build linux

package aws_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	face "runctl/internal/wire/aws"
)

// terminal is somebody's, with the command and an account at an EC2 of this computer.
type terminal struct {
	t    *testing.T
	face *face.Face
	dir  string
	env  []string
}

func newTerminal(t *testing.T) *terminal {
	s := newYard(t, face.Options{})
	dir := t.TempDir()
	return &terminal{t, s.face, dir, []string{cliEnv + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "USER=tester", "RUNCTL_OWNER=tester",
		"RUNCTL_STATE_DIR=" + filepath.Join(dir, "state"), "AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_SESSION_TOKEN=" + session, "RUNCTL_AWS_ROAD=ssh", "RUNCTL_AWS_SSH_FROM=127.0.0.1/32", fmt.Sprint("RUNCTL_AWS_SSH_PORT=", s.port)}}
}

// run executes a command line in a process of its own.
func (c *terminal) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	ctx := cancelAfter(c.t, 2*time.Minute)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(c.t, ctx.Err(), "%v\n%s", args, errs.String())
	if cmd.ProcessState == nil {
		require.NoError(c.t, err)
	}
	assert.NotContains(c.t, out.String()+errs.String(), "canary")
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestTheCommandWorksAgainstAnotherAddress(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.run("-p", "aws", "offers", "--gpu", "H100", "--json")
	require.Zero(t, code, errs)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, "p5.4xlarge")

	code, out, errs = c.run("-p", "aws", "run", "--gpu", "H100", "--max-price", "10", "--lifetime", "1h", "--name", "first", "--", "sh", "-c", "echo hello; exit 3")
	assert.Equal(t, 3, code, errs)
	assert.Contains(t, out, "hello")
	assert.Empty(t, c.face.Billing(), "nothing is left of it")

	code, out, errs = c.run("run", "-d", "--gpu", "H100", "--max-price", "10", "--lifetime", "1h", "--name", "second", "--", "sh", "-c", "echo a; echo b; while :; do sleep 1; done")
	require.Zero(t, code, errs)
	assert.Equal(t, "second\n", out, "aws is the provider of who names none")
	assert.Len(t, c.face.Billing(), 1)
	require.Eventually(t, func() bool {
		code, out, errs = c.run("logs", "second")
		return out == "a\nb\n"
	}, time.Minute, 100*time.Millisecond, errs)
	code, out, errs = c.run("down", "second")
	require.Zero(t, code, out+errs)
	assert.Empty(t, c.face.Billing())
	assert.Equal(t, 2, c.face.Served("RunInstances"))
	assert.Len(t, c.face.Groups(), 1)
}
