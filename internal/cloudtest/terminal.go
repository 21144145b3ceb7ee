package cloudtest

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Terminal is somebody's, with the runctl command. Each command is a process of its own, with this environment and no other. Secrets
// are not in its output, and not in what it stores.
type Terminal struct {
	T       *testing.T
	Dir     string // where commands run; the user's home
	Env     []string
	Secrets []string
}

// NewTerminal makes a terminal with these settings, each NAME=value. The test program's TestMain is [Main].
func NewTerminal(t *testing.T, secrets []string, settings ...string) *Terminal {
	t.Helper()
	dir := t.TempDir()
	c := &Terminal{t, dir, append([]string{commandEnv + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "USER=" + Owner, "RUNCTL_OWNER=" + Owner,
		"RUNCTL_STATE_DIR=" + stateDir(dir)}, settings...), secrets}
	t.Cleanup(func() { c.clean("what is stored", string(c.stored())) })
	return c
}

func stateDir(dir string) string { return filepath.Join(dir, "state") }

// Command is a command line, ready to be started; it is ended after four minutes.
func (c *Terminal) Command(args ...string) *exec.Cmd {
	c.T.Helper()
	program, err := os.Executable()
	require.NoError(c.T, err)
	cmd := exec.CommandContext(CancelAfter(c.T, 4*time.Minute), program, args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	return cmd
}

// Run executes a command line.
func (c *Terminal) Run(args ...string) (code int, stdout, stderr string) {
	c.T.Helper()
	cmd := c.Command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NotNil(c.T, cmd.ProcessState, "%v", err)
	code = cmd.ProcessState.ExitCode()
	require.GreaterOrEqual(c.T, code, 0, "%v was killed\n%s", args, errs.String())
	c.clean("output", out.String()+errs.String())
	return code, out.String(), errs.String()
}

func (c *Terminal) clean(what, text string) {
	c.T.Helper()
	for _, secret := range c.Secrets {
		assert.NotContains(c.T, text, secret, what)
	}
}

// stored is all that commands have left in files.
func (c *Terminal) stored() (all []byte) {
	err := filepath.WalkDir(stateDir(c.Dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, text...)
		return err
	})
	if !os.IsNotExist(err) {
		assert.NoError(c.T, err)
	}
	return all
}
