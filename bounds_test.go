package runctl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// twisted is a cloud whose answers are tampered with on the way.
type twisted struct {
	*modelCloud
	one    func(*Instance)
	list   func([]Instance) []Instance
	launch func(*Instance)
	fail   func(op string) error
}

func (w *twisted) Get(ctx context.Context, id string) (Instance, error) {
	i, err := w.modelCloud.Get(ctx, id)
	if w.one != nil {
		w.one(&i)
	}
	return i, w.or("get", err)
}

func (w *twisted) List(ctx context.Context, q ListQuery) ([]Instance, error) {
	all, err := w.modelCloud.List(ctx, q)
	for n := range all {
		if w.one != nil {
			w.one(&all[n])
		}
	}
	if w.list != nil {
		all = w.list(all)
	}
	return all, w.or("list", err)
}

func (w *twisted) Launch(ctx context.Context, r LaunchRequest) (Instance, error) {
	i, err := w.modelCloud.Launch(ctx, r)
	if w.launch != nil {
		w.launch(&i)
	}
	return i, w.or("launch", err)
}

func (w *twisted) Offers(ctx context.Context, q OfferQuery) ([]Offer, error) {
	all, err := w.modelCloud.Offers(ctx, q)
	return all, w.or("offers", err)
}

func (w *twisted) Terminate(ctx context.Context, id string) error {
	return w.or("terminate", w.modelCloud.Terminate(ctx, id))
}

func (w *twisted) or(op string, err error) error {
	if w.fail != nil {
		if f := w.fail(op); f != nil {
			return f
		}
	}
	return err
}

func TestHostilePricesAreUnknown(t *testing.T) {
	for name, p := range map[string]Money{"NaN": USD(math.NaN()), "infinite": USD(math.Inf(1)), "negative": {-1, "USD"}, "huge": {math.MaxInt64, "USD"},
		"smallest": {math.MinInt64, "USD"}, "a trillion": USD(1e12), "no currency": {5e9, ""}, "lower case": {5e9, "usd"}, "too long": {5e9, "USDT"}, "escape": {5e9, "\x1b[2"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := newModelCloud()
				cloud.offers[0].Price = Price{Hourly: p, Source: strings.Repeat("s", 5000)}
				c := newTestClient(t, Config{}, cloud)
				all, err := c.Offers(t.Context(), OfferQuery{})
				require.NoError(t, err)
				require.Len(t, all, 1)
				assert.False(t, all[0].Price.Hourly.Known(), "%v", all[0].Price.Hourly)
				assert.False(t, all[0].Price.Free(), "missing is not free")
				assert.Len(t, all[0].Price.Source, maxText)
				all, err = c.Offers(t.Context(), OfferQuery{MaxHourly: USD(5)})
				require.NoError(t, err)
				assert.Empty(t, all, "it is under no ceiling")
				_, err = c.Launch(t.Context(), LaunchSpec{Key: "k", Lifetime: time.Hour})
				require.ErrorContains(t, err, "no known price")
				require.Zero(t, cloud.calls["launch"])

				w := &twisted{modelCloud: newModelCloud(), one: func(i *Instance) { i.Price.Hourly = p }}
				c = newTestClient(t, Config{}, w)
				i, err := c.Launch(t.Context(), testSpec)
				require.NoError(t, err)
				i, err = c.Get(t.Context(), i.Ref())
				require.NoError(t, err)
				assert.False(t, i.Cost().Known(), i.Cost().String())
			})
		})
	}
}

func TestHostileIDs(t *testing.T) {
	for _, id := range []string{"x;rm", "", strings.Repeat("i", 129), "a b", "a\nb", "$(id)", "../x", "a/b", "é", "\x1b]52;c;x\a"} {
		w := &twisted{modelCloud: newModelCloud(), list: func(all []Instance) []Instance {
			for n := range all {
				all[n].ID = id
			}
			return all
		}}
		synctest.Test(t, func(t *testing.T) {
			c := newTestClient(t, Config{}, w)
			_, err := c.Launch(t.Context(), testSpec)
			require.NoError(t, err)
			all, err := c.ListAll(t.Context())
			require.NoError(t, err)
			require.Empty(t, all, "%q", id)

			w.list, w.one = nil, func(i *Instance) { i.ID = id }
			_, err = c.Get(t.Context(), Ref{Provider: "model", Owner: "tester", Key: "k1", ID: "m-1"})
			require.ErrorIs(t, err, ErrUnavailable, "%q", id)
			requirePrintable(t, err.Error())
			_, err = c.Get(t.Context(), Ref{Provider: "model", Owner: "tester", Key: "k1", ID: cmpOr(id, ";")})
			require.ErrorIs(t, err, ErrInvalid, "%q", id)
			requirePrintable(t, err.Error())

			w.one, w.launch = nil, func(i *Instance) { i.ID = id }
			spec := testSpec
			spec.Key = "k2" // the reply is useless, the listing is not
			i, err := c.Launch(t.Context(), spec)
			require.NoError(t, err)
			require.Equal(t, "m-2", i.ID)
		})
	}
	require.True(t, validID(strings.Repeat("i", 128)))
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestHostileMachines(t *testing.T) {
	long := strings.Repeat("\x1b[31mx\x9b", 1<<18)
	w := &twisted{modelCloud: newModelCloud()}
	c := newTestClient(t, Config{}, w)
	i, err := c.Launch(t.Context(), testSpec)
	require.NoError(t, err)
	look := func(change func(*Instance)) Instance {
		w.one = change
		all, err := c.ListAll(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}

	got := look(func(i *Instance) {
		i.Reason, i.Type, i.Region, i.Zone, i.GPU.Model, i.Price.Source = long, long, long, long, long, long
		i.Exit = &Receipt{Run: long, Source: long, Signal: long, Cause: Cause(long), Checkpoint: long}
	})
	for _, s := range []string{got.Reason, got.Type, got.Region, got.Zone, got.GPU.Model, got.Price.Source, got.Exit.Run, got.Exit.Source,
		got.Exit.Signal, string(got.Exit.Cause), got.Exit.Checkpoint, (&ExitError{*got.Exit}).Error()} {
		require.NotEmpty(t, s)
		require.LessOrEqual(t, len(s), 4*maxText)
		require.NotContains(t, s, "\x1b")
		require.NotContains(t, s, "\u009b")
	}

	got = look(func(i *Instance) { i.Label = strings.Repeat(i.Label, 1<<14) })
	require.LessOrEqual(t, len(got.Label), 256, "a megabyte of label")
	require.Zero(t, got.Mark)
	require.True(t, look(func(i *Instance) { i.Label = i.Label[:len(i.Label)-1] }).Mark == Mark{})

	for _, s := range []State{StateTerminated + 1, 77, 255} {
		got = look(func(i *Instance) { i.State = s })
		require.Equal(t, StateUnknown, got.State)
		require.True(t, got.State.Billing())
		require.Equal(t, "unknown", s.String())
	}
	for code, want := range map[int]int{-5: 255, 9999: 255, 256: 255, math.MinInt: 255, 0: 0, 255: 255} {
		got = look(func(i *Instance) { i.Exit = &Receipt{ExitCode: code, Cause: CauseExit} })
		require.Equal(t, want, got.Exit.ExitCode)
		require.Equal(t, code == 0, got.Exit.Succeeded())
	}

	w.one = func(i *Instance) { i.ID = "m-2" } // another than was asked for
	_, err = c.Get(t.Context(), i.Ref())
	require.ErrorContains(t, err, "asked for m-1")
}

func TestHostileAddresses(t *testing.T) {
	cloud := newModelCloud()
	a := &account{Provider: cloud, info: cloud.info}
	c := newTestClient(t, Config{}, cloud)
	for addr, want := range map[string]bool{
		"127.0.0.1": false, "127.0.0.1:22": false, "127.255.1.2": false, "169.254.169.254": false, "169.254.169.254:80": false, "169.254.170.2": false,
		"[::1]": false, "[::1]:22": false, "::1": false, "::ffff:127.0.0.1": false, "[::ffff:169.254.169.254]:22": false, "fe80::1%eth0": false,
		"[fe80::1%eth0]:22": false, "fd00:ec2::254": false, "[fd00:ec2::254]:80": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false,
		"localhost": false, "LOCALHOST:22": false, "localhost.": false, "a.localhost": false, "metadata.google.internal": false, "metadata.google.internal.:80": false,
		"metadata": false, "100.100.100.200": false, "-oProxyCommand=x": false, "user@host": false, "a b": false, "a/b": false, "a\nb": false,
		":22": false, ".": false, "127.1": false, "2130706433": false, "0x7f.1": false, "0177.0.0.1": false, strings.Repeat("a", 300): false,
		"203.0.113.7": true, "203.0.113.7:2222": true, "10.0.0.5": true, "[2001:db8::1]:22": true, "2001:db8::1": true, "[2001:db8::1]": true,
		"ssh.example.com": true, "ssh.example.com:2222": true, "ec2-203-0-113-7.compute.amazonaws.com": true, "3com.example": true, "metadata.example.com": true,
	} {
		i, ok := c.checkInstance(a, Instance{ID: "i", Addr: addr})
		require.True(t, ok)
		assert.Equal(t, want, i.Addr == addr, "%q became %q", addr, i.Addr)
		here := &account{Provider: cloud, info: Info{Name: "local", InPlace: true}}
		i, _ = c.checkInstance(here, Instance{ID: "i", Addr: addr})
		assert.Equal(t, addr, i.Addr, "on this computer")
	}
}

func TestHostileListings(t *testing.T) {
	w := &twisted{modelCloud: newModelCloud()}
	c := newTestClient(t, Config{}, w)
	i, err := c.Launch(t.Context(), testSpec)
	require.NoError(t, err)

	w.list = func(all []Instance) []Instance { return append(all, all[0], all[0]) }
	all, err := c.List(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1, "a machine is told once")

	w.list = func(all []Instance) []Instance {
		big := make([]Instance, maxInstances+1)
		for n := range big {
			big[n] = all[0]
		}
		return big
	}
	_, err = c.List(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "more than 100,000 machines")
	_, err = c.Launch(t.Context(), LaunchSpec{Key: "k2", Lifetime: time.Hour, MaxHourly: USD(5)})
	require.Error(t, err, "and nothing is proven by it")
	require.Equal(t, 1, w.calls["launch"])

	w.list = func(all []Instance) []Instance {
		return []Instance{{ID: i.ID, Label: "rc1-other-k1-abcaaaaaaaaaaaaaaa"}}
	}
	all, err = c.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, all, "not sealed, not ours")
}

func TestHostileOffers(t *testing.T) {
	good := modelOffer("good", 1)
	bad := []Offer{{}, {ID: strings.Repeat("o", maxText+1), Market: OnDemand, Roads: RoadShell}, {ID: "both", Market: OnDemand | Spot, Roads: RoadShell},
		{ID: "none", Roads: RoadShell}, {ID: "noroad", Market: OnDemand}, {ID: "odd", Market: 8, Roads: RoadShell}}
	cloud := newModelCloud()
	cloud.offers = append(bad, good)
	cloud.offers[len(bad)].Type, cloud.offers[len(bad)].Avail = "t\x1b[2J"+strings.Repeat("t", 1<<20), "\x00"
	c := newTestClient(t, Config{}, cloud)
	all, err := c.Offers(t.Context(), OfferQuery{Market: OnDemand | Spot})
	require.NoError(t, err)
	require.Len(t, all, 1)
	requirePrintable(t, all[0].Type+all[0].Avail)
	for n := range bad {
		o := bad[n]
		o.Provider = "model"
		_, err := c.Launch(t.Context(), LaunchSpec{Key: "k", Lifetime: time.Hour, MaxHourly: USD(5), Offer: &o, Unguarded: true})
		require.ErrorIs(t, err, ErrInvalid, "%+v", o)
	}
	require.Zero(t, cloud.calls["launch"])
}

// A cloud may ask to be left alone for ten minutes, not for a year.
func TestRetryAfterIsBounded(t *testing.T) {
	for _, asked := range []time.Duration{365 * 24 * time.Hour, math.MaxInt64, maxRetryAfter, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := &twisted{modelCloud: newModelCloud()}
			c := newTestClient(t, Config{}, w)
			w.fail = func(string) error { return &Error{Kind: ErrRateLimit, RetryAfter: asked} }
			_, err := c.List(t.Context())
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, max(min(asked, maxRetryAfter), 0), e.RetryAfter)
			w.fail = nil
			start := time.Now()
			_, err = c.List(t.Context())
			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(start), maxRetryAfter)
			require.Equal(t, asked > 0, time.Since(start) == maxRetryAfter, time.Since(start).String())
		})
	}
}

// Whatever part of an error comes from a cloud, it is printed on one line, bounded and without control
// characters.
func TestHostileErrorTexts(t *testing.T) {
	nasty := "\x1b]52;c;ZXZpbA==\a\r\n\x00\x7f\u009b31m\u202e" + strings.Repeat("A", 1<<20)
	for name, err := range map[string]error{
		"any error": errors.New(nasty), "the message": &Error{Kind: ErrAuth, Msg: nasty}, "the cause": &Error{Kind: ErrAuth, Err: errors.New(nasty)},
		"the names": &Error{Kind: ErrAuth, ID: nasty, Key: nasty, Provider: nasty, Op: nasty}, "the kind": &Error{Kind: Kind(nasty)},
		"several": errors.Join(errors.New(nasty), &Error{Msg: nasty}), "wrapped": fmt.Errorf("%s: %w", nasty, &Error{Msg: nasty, Err: errors.New(nasty)}),
	} {
		t.Run(name, func(t *testing.T) {
			w := &twisted{modelCloud: newModelCloud(), fail: func(string) error { return err }}
			c := newTestClient(t, Config{}, w)
			c.cfg.Deadlines.Terminate = time.Nanosecond
			ref := Ref{Provider: "model", Owner: "tester", Key: "k1", ID: "m-1"}
			_, get := c.Get(t.Context(), ref)
			_, list := c.List(t.Context())
			_, offers := c.Offers(t.Context(), OfferQuery{})
			_, launch := c.Launch(t.Context(), testSpec)
			for op, got := range map[string]error{"get": get, "list": list, "offers": offers, "launch": launch, "terminate": c.Terminate(t.Context(), ref)} {
				require.Error(t, got, op)
				requirePrintable(t, got.Error())
				require.NotContains(t, got.Error(), "\u202e", "text that runs backwards")
			}
		})
	}
}
