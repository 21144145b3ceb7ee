package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// broken is a factory of a provider that cannot be opened.
func broken(name string, kind runctl.Kind, msg string) runctl.Factory {
	return runctl.Factory{Name: name, Open: func(context.Context, func(string) string) (runctl.Provider, error) {
		return nil, &runctl.Error{Kind: kind, Msg: msg}
	}}
}

// cloudOfKind is a fake that does not say so, so that lists cover it.
type cloudOfKind struct{ *fake.Cloud }

func (c cloudOfKind) Info() runctl.Info {
	i := c.Cloud.Info()
	i.Kind = "acme"
	return i
}

// addReal registers a cloud that lists cover without being named.
func (w *world) addReal(name string, opts ...fake.Option) *fake.Cloud {
	c := fake.New(append([]fake.Option{fake.Name(name)}, opts...)...)
	w.reg.Register(runctl.Factory{Name: name, Open: func(context.Context, func(string) string) (runctl.Provider, error) {
		return cloudOfKind{c}, nil
	}})
	return c
}

// squeezed is a table without what depends on the time that has passed.
func squeezed(table string) string {
	table = regexp.MustCompile(` +`).ReplaceAllString(table, " ")
	table = regexp.MustCompile(`(?m) \d+s( |$)`).ReplaceAllString(table, " <age>$1")
	return regexp.MustCompile(`\$0\.0\d`).ReplaceAllString(table, "<cost>")
}

func TestProvidersListsWhatEachNeeds(t *testing.T) {
	w := newWorld(t)
	w.reg.Register(broken("lyceum", runctl.ErrAuth, "set LYCEUM_API_KEY"))
	w.addReal("runpod", fake.Unguarded())
	w.addReal("aws")
	r := w.run("providers")
	assert.Equal(t, 0, r.code, r.stderr)
	w.golden("providers", r.stdout)
	r = w.run("providers", "--json")
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &rows))
	assert.Len(t, rows, 4)
}

func TestProvidersCheckAsksTheClouds(t *testing.T) {
	w := newWorld(t)
	w.cloud.Inject(fake.Fault{Op: fake.OpList, Err: &runctl.Error{Kind: runctl.ErrAuth, Msg: "the key was revoked"}})
	r := w.run("providers", "--check")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stdout, "the key was revoked")
	assert.Equal(t, 0, w.run("providers").code, "without --check nobody is asked")
}

func TestListsCoverAllThatIsConfiguredAndNameWhatIsBroken(t *testing.T) {
	w := newWorld(t)
	w.reg.Register(broken("lyceum", runctl.ErrAuth, "set LYCEUM_API_KEY"))
	good := w.addReal("runpod", fake.Offers(pricedOffers()...))
	bad := w.addReal("aws", fake.Offers(pricedOffers()...))
	r := w.run("offers", "--gpu", "H100:8,H100")
	assert.Equal(t, 0, r.code, r.stderr)
	w.golden("offers", squeezed(r.stdout))

	bad.Inject(fake.Fault{Err: errors.New("503")})
	for _, args := range [][]string{{"offers"}, {"ps"}, {"reap"}} {
		r := w.run(args...)
		assert.Equal(t, 1, r.code, "%v", args)
		assert.Contains(t, r.stderr, "aws", "%v", args)
		assert.NotContains(t, r.stderr, "lyceum", "what is not configured is not missed")
	}
	assert.Contains(t, w.run("offers").stdout, "runpod", "the others are listed all the same")
	assert.Equal(t, 1, w.run("offers", "-p", "lyceum").code, "unless it is named")
	assert.Zero(t, good.Launched())
}

func TestOffersInJSON(t *testing.T) {
	w := newWorld(t, fake.Offers(append(pricedOffers(), runctl.Offer{ID: "odd"})...))
	r := w.run("offers", "-p", "fake", "--json")
	require.Equal(t, 0, r.code)
	var offers []offerJSON
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &offers))
	require.Len(t, offers, 3)
	assert.Equal(t, "2.99", offers[0].Price.Amount)
	assert.Equal(t, "hour", offers[0].Price.Per)
	assert.NotNil(t, offers[0].Price.AsOf)
	assert.Nil(t, offers[2].Price, "an unknown price is null")
	assert.Nil(t, offers[2].GPU)
}

func TestPsShowsRunsAndMachines(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...))
	w.cloud.Script("", fake.Script{ExitCode: 3})
	require.Equal(t, 3, w.run("run", "-p", "fake", "--name", "old", "-y", "--lifetime", "1h", "python", "a b.py").code)
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "live", "-y", "--lifetime", "1h", "prog").code)
	require.Equal(t, 0, w.run("launch", "-p", "fake", "--name", "mine", "-y", "--lifetime", "1h").code)
	w.cloud.Add(runctl.Instance{Label: "rc1-other-theirs-aaabbbbccccddddddd", Type: "h100-8"})
	for name, args := range map[string][]string{"ps": {"ps"}, "ps-all": {"ps", "-a"}, "ps-owners": {"ps", "--all-owners"}} {
		r := w.run(append(args, "-p", "fake")...)
		assert.Equal(t, 0, r.code, r.stderr)
		w.golden(name, squeezed(r.stdout))
	}
	assert.Contains(t, w.run("ps", "old").stdout, "cause exit, exit 3")
	assert.Contains(t, w.run("ps", "live").stdout, "reference    rc1:fake/tester/live/")
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(w.run("ps", "-p", "fake", "--json").stdout), &rows))
	require.Len(t, rows, 2)
	assert.Equal(t, "running", rows[0]["state"])
	assert.Nil(t, rows[1]["run"])
	var one map[string]any
	require.NoError(t, json.Unmarshal([]byte(w.run("ps", "old", "--json").stdout), &one))
	assert.Equal(t, "failed", one["state"])
}

func TestPsTellsOfWhatWaitsToBeSettled(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "done", "prog").code)
	assert.Contains(t, w.run("ps").stdout, "succeeded")
	assert.Contains(t, w.run("ps", "done").stdout, "not collected yet; runctl attach does that")
	w.cloud.Inject(fake.Fault{Op: fake.OpList})
	r := w.run("ps")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stdout, "unknown", "nobody knows while the cloud does not answer")
	w.cloud.Heal()
	require.Equal(t, 0, w.run("attach", "done").code)
	assert.NotContains(t, w.run("ps", "-p", "fake").stdout, "done")
}

func TestALaunchInDoubtIsSettledLater(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...), fake.Settle(0))
	w.deadlines.Doubt = 20 * time.Millisecond
	w.cloud.Inject(fake.Fault{Op: fake.OpLaunch})
	require.Equal(t, 122, w.run("run", "-p", "fake", "--name", "x", "-y", "--lifetime", "1h", "prog").code)
	assert.Contains(t, w.run("ps").stdout, "in doubt")
	assert.Equal(t, 122, w.run("attach", "x").code, "absence proves nothing here")
	assert.True(t, w.record("x").live())
}

func TestMachinesByHand(t *testing.T) {
	w := newWorld(t, fake.Offers(freeOffer))
	r := w.run("launch", "-p", "fake", "--name", "box")
	require.Equal(t, 0, r.code, r.stderr)
	id := strings.TrimSpace(r.stdout)
	require.Len(t, w.cloud.Billing(), 1)

	w.cloud.Script("", fake.Script{Log: "hi\n", ExitCode: 4, Outputs: map[string]string{"o": "1"}})
	r = w.run("-p", "fake", "submit", "box", "--name", "job", "--out", "o", "--", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, "job\n", r.stdout)
	r = w.run("attach", "job")
	assert.Equal(t, 4, r.code, r.stderr)
	assert.Equal(t, "hi\n", r.stdout)
	assert.Equal(t, "1", w.file("work", "runctl-out", "job", "o"))
	assert.Len(t, w.cloud.Billing(), 1, "a machine by hand stays")

	require.Equal(t, 0, w.run("-p", "fake", "stop", id).code)
	assert.Contains(t, w.run("-p", "fake", "ps").stdout, "stopped")
	require.Equal(t, 0, w.run("start", "-p", "fake", id).code)
	r = w.run("down", "-p", "fake", "box")
	assert.Equal(t, 0, r.code, r.stderr)
	w.nothingLeft()
	assert.Equal(t, 0, w.run("terminate", "-p", "fake", id).code, "ending what has ended is fine")
}

func TestTerminateARunEndsItsRecord(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	require.Equal(t, 0, w.run("terminate", "x").code)
	w.nothingLeft()
	assert.Equal(t, "terminated", w.record("x").Outcome)
	assert.Equal(t, 123, w.run("wait", "x").code)
}

func TestReapIsADryRunUnlessYes(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, 0, w.run("launch", "-p", "fake", "--name", "box").code)
	r := w.run("reap", "-p", "fake")
	assert.Equal(t, 0, r.code)
	assert.Contains(t, r.stderr, "nothing is due")
	r = w.run("reap", "-p", "fake", "box")
	assert.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stdout, "dry run")
	assert.Len(t, w.cloud.Billing(), 1)
	r = w.run("reap", "-p", "fake", "box", "--yes")
	assert.Equal(t, 0, r.code, r.stderr)
	w.nothingLeft()
}

func TestConcurrentFirstUsesAgreeOnOneOwner(t *testing.T) {
	w := newWorld(t)
	delete(w.env, "RUNCTL_OWNER")
	const n = 16
	type id struct{ owner, controller, secret string }
	ids, errs := make([]id, n), make([]error, n)
	start, done := make(chan struct{}), make(chan int)
	for i := range n {
		go func() {
			<-start
			s, err := w.app(nil, nil).openState()
			if errs[i] = err; err == nil {
				ids[i] = id{s.owner, s.controller, string(s.secret)}
			}
			done <- i
		}()
	}
	close(start)
	for range n {
		<-done
	}
	for i := range n {
		require.NoError(t, errs[i])
		assert.Equal(t, ids[0], ids[i])
	}
	assert.NotEmpty(t, ids[0].owner)
	for _, f := range []string{"owner.json", "controller.json"} {
		fi, err := os.Stat(filepath.Join(w.dir, "state", f))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	}
	fi, err := os.Stat(filepath.Join(w.dir, "state"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), fi.Mode().Perm())
	left, err := filepath.Glob(filepath.Join(w.dir, "state", ".new-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestStateDirectoryComesFromTheEnvironment(t *testing.T) {
	a := &app{dir: "/home"}
	for want, env := range map[string]map[string]string{
		"/s":                         {"RUNCTL_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"},
		"/home/s":                    {"RUNCTL_STATE_DIR": "s"},
		"/x/runctl":                  {"XDG_STATE_HOME": "/x", "HOME": "/h"},
		"/h/.local/state/runctl":     {"XDG_STATE_HOME": "relative", "HOME": "/h"},
		"/other/.local/state/runctl": {"HOME": "/other"},
	} {
		a.getenv = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
		got, err := a.stateDir()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	a.getenv = func(string) (string, bool) { return "", false }
	_, err := a.stateDir()
	assert.Error(t, err)
}

func TestHelpIsGroupedAndVersionIsThere(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"--help"}, {"help"}, {}} {
		r := w.run(args...)
		assert.Equal(t, 0, r.code)
		for _, part := range []string{"Runs:", "What there is:", "Machines by hand:", "completion", "--provider"} {
			assert.Contains(t, r.stdout, part)
		}
	}
	assert.Regexp(t, `^runctl .*go1`, w.run("--version").stdout)
	assert.Contains(t, w.run("completion", "bash").stdout, "runctl")
	for _, c := range w.app(nil, nil).rootCommand().Commands() {
		r := w.run(c.Name(), "--help")
		assert.Equal(t, 0, r.code, c.Name())
		assert.Contains(t, r.stdout, "Usage:", c.Name())
	}
}

func TestADefaultMayComeFromTheEnvironment(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...))
	w.env["RUNCTL_PROVIDER"], w.env["RUNCTL_LIFETIME"], w.env["RUNCTL_MAX_PRICE"] = "fake", "2h", "3"
	r := w.run("run", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, seconds(2*time.Hour), w.record("x").Lifetime)
	w.env["RUNCTL_LIFETIME"] = "soon"
	r = w.run("run", "prog")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.stderr, "RUNCTL_LIFETIME")
}
