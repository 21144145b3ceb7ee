//go:build linux

package lyceum_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/lyceum"
)

// terminal is somebody's, with the command and an organisation at a Lyceum of this computer.
type terminal struct {
	*cloudtest.Terminal
	face *face.Face
}

func newTerminal(t *testing.T) *terminal {
	sshd := enginetest.SSHD(t)
	f := face.New(face.Options{Key: apiKey, Real: &face.Real{Dir: enginetest.Dir(t)}, SSH: sshd.Addr, Provisioning: 100 * time.Millisecond, AddrLag: 100 * time.Millisecond,
		OnKey: func(key string) { sshd.AuthorizedKeys(key) }})
	return &terminal{cloudtest.NewTerminal(t, []string{apiKey}, userEnv+"="+sshd.User, "LYCEUM_BASE_URL="+cloudtest.Serve(t, f)+face.Prefix, "LYCEUM_API_KEY="+apiKey), f}
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
	c.T.Cleanup(func() {
		close(stop)
		<-done
		assert.Empty(c.T, seen, "the key is in somebody's arguments")
	})
}

// TestAMachineFromItsLaunchToItsEndThroughTheCommand is all of it: offers, launch, a job over SSH, its log while it goes on and
// after, its files, and the machine's end.
func TestAMachineFromItsLaunchToItsEndThroughTheCommand(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.keySeen()
	code, out, errs := c.Run("-p", "lyceum", "offers", "--gpu", "H100", "--json")
	require.Zero(t, code, errs)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, "on-demand")

	launch := []string{"-p", "lyceum", "run", "-d", "--gpu", "H100:1", "--max-price", "5", "--lifetime", "1h", "--name", "first"}
	job := []string{"--", "sh", "-c", "echo hello; mkdir -p $RUNCTL_OUTPUT_DIR/deep; echo result >$RUNCTL_OUTPUT_DIR/deep/file; echo bye; exit 3"}
	code, _, errs = c.Run(append(launch, job...)...)
	assert.NotZero(t, code)
	assert.Contains(t, errs, "bills until you end it", "the command says who must end it")
	assert.Contains(t, errs, "-y accepts that", "and asks for consent")
	assert.Empty(t, c.face.Billing())

	code, out, errs = c.Run(append(append(launch, "-y"), job...)...)
	require.Zero(t, code, errs)
	assert.Equal(t, "first\n", out)
	require.Len(t, c.face.VMs(), 1)
	v := c.face.VMs()[0]
	assert.Equal(t, []any{"h100", 1, "on-demand"}, []any{v.Profile, v.GPUs, v.Market})
	assert.True(t, ours(v.Label, "first"), v.Label)

	code, out, errs = c.Run("logs", "-f", "first")
	assert.Zero(t, code, errs)
	assert.Equal(t, "hello\nbye\n", out)
	code, _, errs = c.Run("cp", "first:", "here")
	require.Zero(t, code, errs)
	text, err := os.ReadFile(filepath.Join(c.Dir, "here", "deep", "file"))
	require.NoError(t, err)
	assert.Equal(t, "result\n", string(text))
	assert.Len(t, c.face.VMs(), 1, "it is there until somebody ends it")
	code, out, errs = c.Run("down", "first")
	require.Zero(t, code, out+errs)
	assert.Empty(t, c.face.Billing())
	assert.Equal(t, face.Terminated, c.face.VM(v.ID).Status)
	assert.Equal(t, 1, c.face.Served("createVM"))
}

func TestAJobInTheForegroundEndsItsMachineAndHasItsCode(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.Run("-p", "lyceum", "run", "--gpu", "H100:1", "--max-price", "5", "--lifetime", "1h", "-y", "--", "sh", "-c", "echo hello; exit 7")
	assert.Equal(t, 7, code, errs)
	assert.Equal(t, "hello\n", out)
	assert.Len(t, c.face.Ledger(), 2)
	assert.Empty(t, c.face.Billing(), "nothing is left of it")
}

func TestARunThroughTheCommand(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	code, out, errs := c.Run("-p", "lyceum", "run", "--max-price", "5", "--lifetime", "5m", "--no-sync", "--", "sh", "-c", "echo hello; exit 4")
	assert.Equal(t, 4, code, errs)
	assert.Equal(t, "hello\n", out)
	require.Len(t, c.face.Runs(), 1)
	assert.Equal(t, 5*time.Minute, c.face.Runs()[0].Timeout)
	assert.Empty(t, c.face.VMs(), "ten minutes are enough for a run")
	assert.Empty(t, c.face.Billing())
}

func TestTheCommandNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	cloudtest.TheCommandNamesWhatIsMissing(t, newTerminal(t).Terminal, "lyceum", "LYCEUM_API_KEY", "LYCEUM_API_KEY", "lk_WRONGKEY12")
}
