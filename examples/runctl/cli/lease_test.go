package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// What silence does is said before anything is launched, and again when somebody leaves.
func TestRunSaysWhatSilenceDoes(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Hold: true})
	assert.Contains(t, w.run("run", "--dry-run", "-p", "fake", "prog").stderr, "(24h); silence never ends it\n")
	assert.Contains(t, w.run("launch", "--dry-run", "-p", "fake").stderr, "(24h); silence never ends it\n")
	r := w.run("run", "-d", "-p", "fake", "--name", "x", "--lease", "30m", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	w.golden("leased", r.stderr)
	assert.Equal(t, seconds(30*time.Minute), w.record("x").Lease)
}

func TestALeaseNeedsAShell(t *testing.T) {
	w := newWorld(t, fake.JobOnly())
	r := w.run("run", "-p", "fake", "--name", "x", "--lease", "30m", "prog")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.stderr, "--lease needs the shell road")
	r = w.run("run", "-p", "fake", "--name", "x", "--lease", "30s", "prog")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.stderr, "at least a minute")
	assert.Zero(t, w.cloud.Launched())
}

func TestSecretsOnFirstUseNeedAFlag(t *testing.T) {
	w := newWorld(t, fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
	w.env["TOKEN"] = "canary"
	r := w.run("run", "-p", "fake", "--name", "x", "--secret", "TOKEN", "prog")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.stderr, "nobody vouches for it, so no secret was sent; allow that with --secrets-on-first-use")
	w.nothingLeft()
	r = w.run("run", "-p", "fake", "--name", "y", "--secret", "TOKEN", "--secrets-on-first-use", "prog")
	assert.Equal(t, 0, r.code, r.stderr)
}
