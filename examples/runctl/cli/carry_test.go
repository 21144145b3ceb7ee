package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// depot is a cloud that also keeps objects: all but those whose names say otherwise are there.
type depot struct {
	*fake.Cloud
	mu   sync.Mutex
	done []string // what was asked for
}

func (d *depot) Place(_ context.Context, at string) (runctl.Place, error) {
	if !strings.HasPrefix(at, "s3://") {
		return nil, &runctl.Error{Kind: runctl.ErrInvalid, Msg: "not ours", Err: errors.ErrUnsupported}
	}
	if strings.HasPrefix(at, "s3://gone/") {
		return nil, &runctl.Error{Kind: runctl.ErrNotFound, Msg: "there is no bucket gone"}
	}
	return object{d, at}, nil
}

func (d *depot) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(d.done)))
}

// object is one of a depot's.
type object struct {
	d  *depot
	at string
}

func (o object) String() string { return o.at }

func (o object) ask(verb string) runctl.Secret {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	o.d.done = append(o.d.done, verb+" "+o.at)
	return runctl.NewSecret("https://depot.test/?X-Amz-Signature=canary-5c1e")
}

func (o object) Fetch(context.Context, time.Duration) (runctl.Fetch, error) {
	if strings.HasSuffix(o.at, "/nothing") {
		return runctl.Fetch{}, &runctl.Error{Kind: runctl.ErrNotFound}
	}
	return runctl.Fetch{URL: o.ask("fetch"), Size: -1}, nil
}

func (o object) Deliver(context.Context, time.Duration) (runctl.Secret, error) {
	return o.ask("deliver"), nil
}

// addDepot registers a depot.
func (w *world) addDepot(name string) *depot {
	d := &depot{Cloud: fake.New(fake.Name(name), fake.Offers(freeOffer))}
	w.reg.Register(runctl.Factory{Name: name, Open: func(context.Context, func(string) string) (runctl.Provider, error) { return d, nil }})
	return d
}

var carryingFlags = []string{"--input", "s3://b/day=1/x=in", "--input", "s3://b/data.tar=data:unpack", "--result", "a=b=s3://b/m=1", "--result", ".=s3://b/all.tar", "--checkpoints", "s3://b/ckpt.tar"}

var carriedThen = []string{"deliver s3://b/all.tar", "deliver s3://b/ckpt.tar", "deliver s3://b/m=1", "fetch s3://b/ckpt.tar", "fetch s3://b/data.tar", "fetch s3://b/day=1/x"}

func TestAJobOnAnyProviderUsesTheObjectsOfOneThatKeepsThem(t *testing.T) {
	w := newWorld(t)
	d := w.addDepot("depot")
	r := w.run(slices.Concat([]string{"run", "-p", "fake", "--name", "x"}, carryingFlags, []string{"--", "prog"})...)
	require.Zero(t, r.code, r.stderr)
	assert.Equal(t, carriedThen, d.asked(), "where there are two roads, it is the one that carries")
	assert.Zero(t, d.Launched())
	w.nothingLeft()

	id := strings.TrimSpace(w.run("launch", "-p", "fake", "--name", "box").stdout)
	d.done = nil
	r = w.run(slices.Concat([]string{"submit", "-p", "fake", id, "--name", "y"}, carryingFlags, []string{"--", "prog"})...)
	require.Zero(t, r.code, r.stderr)
	assert.Equal(t, carriedThen, d.asked())
}

func TestWhoTheMachineIsOfIsAskedFirst(t *testing.T) {
	w := newWorld(t)
	def, own := w.addDepot(runctl.DefaultProvider), w.addDepot("own")
	for p, want := range map[string]*depot{"own": own, "fake": def} {
		def.done, own.done = nil, nil
		r := w.run("run", "-p", p, "--result", "m=s3://b/m", "--", "prog")
		require.Zero(t, r.code, r.stderr)
		for _, d := range []*depot{def, own} {
			var asked []string // before the launch, and with the job
			if d == want {
				asked = []string{"deliver s3://b/m"}
			}
			assert.Equal(t, asked, d.asked(), p)
		}
	}
}

func TestMessagesOfWhatCannotBeCarried(t *testing.T) {
	for name, flags := range map[string][]string{
		"input-no-path":          {"--input", "s3://b/k"},
		"input-empty-path":       {"--input", "s3://b/k=in", "--input", "s3://b/k=:unpack"},
		"input-no-address":       {"--input", "data=in"},
		"input-outside":          {"--input", "s3://b/k=../x"},
		"input-not-there":        {"--input", "s3://b/nothing=in"},
		"input-no-bucket":        {"--input", "s3://gone/k=in"},
		"input-unknown-scheme":   {"--input", "gs://b/k?X-Amz-Signature=canary-5c1e=in"},
		"result-no-path":         {"--result", "s3://b/k"},
		"result-no-address":      {"--result", "model"},
		"result-and-lifetime":    {"--result", "m=s3://b/k", "--lifetime", "8d"},
		"checkpoints-no-address": {"--checkpoints", "ckpt?X-Amz-Signature=canary-5c1e"},
		"road":                   {"-p", "vessels", "--checkpoints", "s3://b/k"},
		"trust":                  {"-p", "strangers", "--checkpoints", "s3://b/k"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.addDepot("depot")
			vessels := w.addCloud("vessels", fake.Offers(freeOffer), fake.JobOnly())
			strangers := w.addCloud("strangers", fake.Offers(freeOffer), fake.HostKeys(runctl.TrustFirstUse))
			if !slices.Contains(flags, "-p") {
				flags = append([]string{"-p", "fake"}, flags...)
			}
			r := w.run(slices.Concat([]string{"run", "--name", "x"}, flags, []string{"--", "prog"})...)
			assert.Equal(t, 125, r.code)
			assert.NotContains(t, r.stderr, "canary")
			w.golden("messages/carry-"+name, r.stderr)
			assert.Zero(t, w.cloud.Launched()+vessels.Launched(), "nothing was launched")
			assert.Empty(t, strangers.Billing(), "what cannot be known before has ended")
		})
	}
}

func TestAStoreThatCannotBeOpenedIsSaidWithWhatOpensIt(t *testing.T) {
	w := newWorld(t)
	w.reg.Register(runctl.Factory{Name: runctl.DefaultProvider, Open: func(context.Context, func(string) string) (runctl.Provider, error) {
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "no credentials: set AWS_PROFILE"}
	}})
	r := w.run("run", "-p", "fake", "--result", "m=s3://b/m", "--", "prog")
	assert.Equal(t, 125, r.code)
	w.golden("messages/carry-no-store", r.stderr)
	assert.Zero(t, w.cloud.Launched())
	assert.Contains(t, w.run("run", "--json", "-p", "fake", "--result", "m=s3://b/m", "--", "prog").stderr, `"may_bill":false`)
}

// FuzzCarryFlags holds the reading of the flags to whole addresses and paths, and to messages without what was given.
func FuzzCarryFlags(f *testing.F) {
	for _, s := range []string{"s3://b/k=in", "s3://b/k=v/x=data:unpack", "m=s3://b/k", "a=b=s3://b/k=v", ".=x://", "=s3://b/k", "s3://b/k=", "://", "=", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		of := func(s string) []carryFlags {
			return []carryFlags{{inputs: []string{s}}, {results: []string{s}}, {checkpoints: s}}
		}
		for n, c := range of(s) {
			if err := c.parse(); err != nil {
				require.EqualError(t, err, of("?")[n].parse().Error())
				continue
			}
			for _, x := range c.all {
				require.Regexp(t, address, x.address)
				require.Contains(t, s, x.address)
				require.Equal(t, x.path == "", x.flag == "--checkpoints")
				require.Contains(t, s, x.path)
			}
		}
	})
}
