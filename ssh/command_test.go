//go:build linux

package ssh_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// TestTheCommandOverARealServer is the whole way of a person with a machine: code goes over, a command runs beside the
// job, and a session at a terminal has its size and its exit code.
func TestTheCommandOverARealServer(t *testing.T) {
	sshd := enginetest.SSHD(t)
	dir := t.TempDir()
	bin := filepath.Join(dir, "runctl")
	build := exec.Command("go", "build", "-o", bin, "runctl/examples/runctl")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	config := filepath.Join(dir, "config")
	require.NoError(t, os.WriteFile(config, []byte("Host lab\n"+entry(t, sshd)), 0o600))
	work := filepath.Join(dir, "work")
	require.NoError(t, os.MkdirAll(filepath.Join(work, ".git"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(work, "train.sh"), []byte("echo from the code; exec sleep 300\n"), 0o644))

	command := func(stdin string, argv ...string) (stdout, stderr string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "RUNCTL_STATE_DIR="+filepath.Join(dir, "state"), "RUNCTL_SSH_CONFIG="+config, "RUNCTL_SSH_HOSTS=lab",
			"RUNCTL_PROVIDER=ssh", "RUNCTL_OWNER=tester", "TERM=xterm", "SHELL=/bin/sh")
		var o, e bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil {
			require.ErrorAs(t, err, &exit, "%s", e.String())
		}
		return o.String(), e.String(), cmd.ProcessState.ExitCode()
	}
	_, stderr, code := command("", bin, "run", "-d", "--name", "x", "--", "sh", "train.sh")
	require.Equal(t, 0, code, stderr)
	assert.Contains(t, stderr, "sync .  1 file, 35 B")
	var log string
	require.Eventually(t, func() bool {
		log, _, _ = command("", bin, "logs", "x")
		return log != ""
	}, time.Minute, 50*time.Millisecond)
	assert.Equal(t, "from the code\n", log)

	stdout, stderr, code := command("in\x00put", bin, "ssh", "x", "--", "sh", "-c", "cat; echo err >&2; exit 7")
	assert.Equal(t, []any{"in\x00put", "err\n", 7}, []any{stdout, stderr, code})
	stdout, _, code = command("echo read\nexit 4\n", bin, "ssh", "x")
	assert.Equal(t, []any{"read\n", 4}, []any{stdout, code})

	if _, err := exec.LookPath("script"); err == nil {
		session := fmt.Sprintf("stty rows 33 cols 101; %s ssh x", bin)
		stdout, _, code = command("stty size; exit 5\n", "script", "-qec", session, "/dev/null")
		assert.Contains(t, stdout, "33 101")
		assert.Equal(t, 5, code)
	}

	_, stderr, code = command("", bin, "cancel", "x")
	assert.Equal(t, 0, code, stderr)
}
