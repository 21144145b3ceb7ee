//go:build linux

package lyceum_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	face "runctl/internal/wire/lyceum"
)

// terminal is somebody's, with the command and an organisation at a Lyceum of this computer.
type terminal struct {
	t    *testing.T
	face *face.Face
	sshd *enginetest.Server
	dir  string
	env  []string
}

func newTerminal(t *testing.T) *terminal {
	sshd := enginetest.SSHD(t)
	f := face.New(face.Options{Key: apiKey, Real: &face.Real{Dir: t.TempDir()}, SSH: sshd.Addr, Provisioning: 100 * time.Millisecond, AddrLag: 100 * time.Millisecond,
		OnKey: func(key string) { sshd.AuthorizedKeys(key) }})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	audit(t, f)
	dir := t.TempDir()
	return &terminal{t, f, sshd, dir, []string{cliEnv + "=1", userEnv + "=" + sshd.User, "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "USER=tester", "RUNCTL_OWNER=tester",
		"RUNCTL_STATE_DIR=" + filepath.Join(dir, "state"), "LYCEUM_BASE_URL=" + srv.URL + face.Prefix, "LYCEUM_API_KEY=" + apiKey}}
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

// keySeen looks for the API key in the arguments of all processes of this computer, until the test ends.
func (c *terminal) keySeen() {
	stop, done := make(chan struct{}), make(chan struct{})
	seen := ""
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				if line, err := os.ReadFile(f); err == nil && bytes.Contains(line, []byte(apiKey)) {
					seen = string(line)
				}
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	c.t.Cleanup(func() {
		close(stop)
		<-done
		assert.Empty(c.t, seen, "the key is in somebody's arguments")
	})
}

// TestAMachineFromItsLaunchToItsEndThroughTheCommand is all of it: offers, launch, a job over SSH, its log while it goes on and
// after, its files, and the machine's end.
func TestAMachineFromItsLaunchToItsEndThroughTheCommand(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.keySeen()
	code, out, errs := c.run("-p", "lyceum", "offers", "--gpu", "H100", "--json")
	require.Zero(t, code, errs)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, "on-demand")

	launch := []string{"-p", "lyceum", "run", "-d", "--gpu", "H100:1", "--max-price", "5", "--lifetime", "1h", "--name", "first"}
	job := []string{"--", "sh", "-c", "echo hello; mkdir -p $RUNCTL_OUTPUT_DIR/deep; echo result >$RUNCTL_OUTPUT_DIR/deep/file; echo bye; exit 3"}
	code, _, errs = c.run(append(launch, job...)...)
	assert.NotZero(t, code)
	assert.Contains(t, errs, "bills until you end it", "the command says who must end it")
	assert.Contains(t, errs, "-y accepts that", "and asks for consent")
	assert.Empty(t, c.face.Billing())

	code, out, errs = c.run(append(append(launch, "-y"), job...)...)
	require.Zero(t, code, errs)
	assert.Equal(t, "first\n", out)
	require.Len(t, c.face.VMs(), 1)
	v := c.face.VMs()[0]
	assert.Equal(t, []any{"h100", 1, "on-demand"}, []any{v.Profile, v.GPUs, v.Market})
	assert.True(t, ours(v.Label, "first"), v.Label)

	code, out, errs = c.run("logs", "-f", "first")
	assert.Zero(t, code, errs)
	assert.Equal(t, "hello\nbye\n", out)
	code, _, errs = c.run("cp", "first:", "here")
	require.Zero(t, code, errs)
	text, err := os.ReadFile(filepath.Join(c.dir, "here", "deep", "file"))
	require.NoError(t, err)
	assert.Equal(t, "result\n", string(text))
	assert.Len(t, c.face.VMs(), 1, "it is there until somebody ends it")
	code, out, errs = c.run("down", "first")
	require.Zero(t, code, out+errs)
	assert.Empty(t, c.face.Billing())
	assert.Equal(t, face.Terminated, c.face.VM(v.ID).Status)
	assert.Equal(t, 1, c.face.Served("createVM"))
	for _, name := range files(t, filepath.Join(c.dir, "state")) {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.NotContains(t, string(text), apiKey, name)
	}
}

func TestAJobInTheForegroundEndsItsMachineAndHasItsCode(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.run("-p", "lyceum", "run", "--gpu", "H100:1", "--max-price", "5", "--lifetime", "1h", "-y", "--", "sh", "-c", "echo hello; exit 7")
	assert.Equal(t, 7, code, errs)
	assert.Equal(t, "hello\n", out)
	assert.Len(t, c.face.Ledger(), 2)
	assert.Empty(t, c.face.Billing(), "nothing is left of it")
}

func TestARunThroughTheCommand(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.run("-p", "lyceum", "run", "--max-price", "5", "--lifetime", "5m", "--no-sync", "--", "sh", "-c", "echo hello; exit 4")
	assert.Equal(t, 4, code, errs)
	assert.Equal(t, "hello\n", out)
	require.Len(t, c.face.Runs(), 1)
	assert.Equal(t, 5*time.Minute, c.face.Runs()[0].Timeout)
	assert.Empty(t, c.face.VMs(), "ten minutes are enough for a run")
	assert.Empty(t, c.face.Billing())
}

func TestTheCommandNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.env = append(c.env, "LYCEUM_API_KEY=")
	code, _, errs := c.run("-p", "lyceum", "offers")
	assert.NotZero(t, code)
	assert.Contains(t, errs, "LYCEUM_API_KEY")
	c.env = append(c.env, "LYCEUM_API_KEY=lk_WRONGKEY12")
	code, _, errs = c.run("-p", "lyceum", "offers")
	assert.NotZero(t, code)
	assert.NotContains(t, errs, "lk_WRONGKEY12")
}

// files are all files below a directory.
func files(t *testing.T, dir string) (all []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	}))
	return all
}
