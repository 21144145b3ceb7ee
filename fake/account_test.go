package fake_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

func TestTheCatalogIsPricedAndPlain(t *testing.T) {
	cloud := fake.New()
	offers, err := cloud.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, o := range offers {
		assert.True(t, o.Price.Hourly.Known() && o.Price.Hourly.Nanos > 0 && !o.Price.At.IsZero(), o.ID)
		assert.True(t, o.EndsItself && o.Keeps && o.Roads == runctl.RoadShell|runctl.RoadJob, o.ID)
		assert.False(t, ids[o.ID], "%s twice", o.ID)
		ids[o.ID] = true
		if o.GPU != (runctl.GPU{}) {
			g, err := runctl.ParseGPU(o.GPU.String())
			assert.NoError(t, err, "canonical names")
			assert.True(t, g.Matches(o.GPU))
		}
	}
	q := runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, MaxHourly: runctl.USD(4)}
	n := 0
	for _, o := range offers {
		if q.Match(o) {
			n++
		}
	}
	assert.Equal(t, 2, n, "an H100 in each zone, on demand")
	info := cloud.Info()
	assert.Equal(t, runctl.OnDemand|runctl.Spot, info.Markets)
	assert.True(t, info.EndsItself && info.Exits && !info.Idempotent)
	assert.Equal(t, time.Millisecond, info.Settle)
}

func TestWrongRequestsAreRefusedForCertain(t *testing.T) {
	cloud := fake.New(fake.Offers(
		runctl.Offer{ID: "both", Price: runctl.Price{Hourly: runctl.USD(2)}, MaxLifetime: 10 * time.Hour},
		runctl.Offer{ID: "shell", Roads: runctl.RoadShell}, runctl.Offer{ID: "job", Roads: runctl.RoadJob}))
	for name, spoil := range map[string]func(*runctl.LaunchRequest){
		"no label": func(r *runctl.LaunchRequest) { r.Label = "" },
		"long label": func(r *runctl.LaunchRequest) {
			r.Label += "-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		},
		"upper case":        func(r *runctl.LaunchRequest) { r.Label = "Rc1-a" },
		"no token":          func(r *runctl.LaunchRequest) { r.Token = "" },
		"unknown offer":     func(r *runctl.LaunchRequest) { r.Offer.ID = "h100" },
		"other market":      func(r *runctl.LaunchRequest) { r.Offer.Market = runctl.Spot },
		"no lifetime":       func(r *runctl.LaunchRequest) { r.Lifetime = 0 },
		"long lifetime":     func(r *runctl.LaunchRequest) { r.Lifetime = 11 * time.Hour },
		"negative keep":     func(r *runctl.LaunchRequest) { r.Keep = -1 },
		"low bid":           func(r *runctl.LaunchRequest) { r.MaxHourly = runctl.USD(1.99) },
		"foreign bid":       func(r *runctl.LaunchRequest) { r.MaxHourly = runctl.MoneyOf(9, "EUR") },
		"job on the shell":  func(r *runctl.LaunchRequest) { r.Offer.ID, r.Job = "shell", &runctl.Job{Args: []string{"a"}} },
		"no job":            func(r *runctl.LaunchRequest) { r.Offer.ID = "job" },
		"job without args":  func(r *runctl.LaunchRequest) { r.Job = &runctl.Job{} },
		"two-line key":      func(r *runctl.LaunchRequest) { r.AuthorizedKey = "ssh-ed25519 AAAA\nssh-rsa BBBB" },
		"an option of mars": func(r *runctl.LaunchRequest) { r.Options = []runctl.LaunchOption{alien{}} },
	} {
		t.Run(name, func(t *testing.T) {
			r := request("a")
			r.Offer = runctl.Offer{ID: "both"}
			spoil(&r)
			_, err := cloud.Launch(t.Context(), r)
			var e *runctl.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, runctl.ErrInvalid, e.Kind)
			assert.True(t, e.NotStarted)
		})
	}
	assert.Zero(t, cloud.Launched())
	r := request("a")
	r.Offer, r.MaxHourly, r.AuthorizedKey = runctl.Offer{ID: "both"}, runctl.USD(2), "ssh-ed25519 AAAA runctl"
	_, err := cloud.Launch(t.Context(), r)
	require.NoError(t, err)
}

type alien struct{}

func (alien) ForProvider() string { return "mars" }

func TestAMachineShowsWhatItIs(t *testing.T) {
	cloud := fake.New(fake.Name("east"))
	assert.Equal(t, "east", cloud.Info().Name)
	i, err := cloud.Launch(t.Context(), request("a"))
	require.NoError(t, err)
	assert.Equal(t, "m-000001", i.ID)
	m, ok := runctl.ParseMark(i.Label, nil)
	require.True(t, ok)
	assert.Equal(t, "a", m.Key)
	assert.Equal(t, runctl.StateRunning, i.State, "at once")
	assert.Equal(t, runctl.RoadShell, i.Road)
	assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 1, Memory: 80 << 10}, i.GPU)
	assert.Equal(t, runctl.USD(2.99), i.Price.Hourly)
	addr, err := netip.ParseAddr(i.Addr)
	require.NoError(t, err)
	assert.True(t, netip.MustParsePrefix("203.0.113.0/24").Contains(addr))
	same, err := cloud.Get(t.Context(), i.ID)
	require.NoError(t, err)
	assert.True(t, same.Seen.After(i.Seen))
	same.Seen = i.Seen
	assert.Equal(t, i, same)
	assert.Equal(t, same.Label, cloud.Billing()[0].Label)

	_, err = cloud.Get(t.Context(), "m-000002")
	require.ErrorIs(t, err, runctl.ErrNotFound)
	require.ErrorIs(t, cloud.Terminate(t.Context(), "m-000002"), runctl.ErrNotFound)
	_, err = cloud.Process(t.Context(), i)
	require.ErrorIs(t, err, runctl.ErrInvalid, "it has no job of its own")
}

func TestEndedMachinesAreForgottenAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		i, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		require.NoError(t, cloud.Terminate(t.Context(), i.ID))
		require.NoError(t, cloud.Terminate(t.Context(), i.ID), "twice is no error")
		<-time.After(59 * time.Minute)
		list, err := cloud.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, runctl.StateTerminated, list[0].State)
		assert.False(t, list[0].Ended.IsZero())
		<-time.After(2 * time.Minute)
		list, err = cloud.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		assert.Empty(t, list)
		_, err = cloud.Get(t.Context(), i.ID)
		require.ErrorIs(t, err, runctl.ErrNotFound)

		// One that ended itself is listed as long, but keeps its disk until it is given up.
		i, p := vessel(t, cloud, withJob("b", "train"))
		<-time.After(2 * time.Hour)
		list, err = cloud.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		assert.Empty(t, list)
		assert.Equal(t, "fake: train\n", logOf(t, p))
		require.NoError(t, cloud.Terminate(t.Context(), i.ID))
		_, err = cloud.Get(t.Context(), i.ID)
		require.ErrorIs(t, err, runctl.ErrNotFound)
	})
}

func TestATokenStartsOneMachineOnAnIdempotentCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Idempotent())
		assert.True(t, cloud.Info().Idempotent)
		first, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		again, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID)
		assert.Equal(t, 1, cloud.Launched())

		r := request("a")
		r.Offer.ID = "l4-1.fake-1a"
		_, err = cloud.Launch(t.Context(), r)
		var e *runctl.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, runctl.ErrConflict, e.Kind)
		assert.Equal(t, runctl.ScopeRequest, e.Scope)
		assert.False(t, e.NotStarted, "the token did start one")

		require.NoError(t, cloud.Terminate(t.Context(), first.ID))
		<-time.After(2 * time.Hour)
		again, err = cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID)
		assert.Equal(t, runctl.StateTerminated, again.State, "the token outlives its machine")

		j := withJob("j", "train")
		_, err = cloud.Launch(t.Context(), j)
		require.NoError(t, err)
		j.Job = &runctl.Job{Args: []string{"other"}}
		_, err = cloud.Launch(t.Context(), j)
		require.ErrorIs(t, err, runctl.ErrConflict)
	})
	cloud := fake.New()
	for range 2 {
		_, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
	}
	assert.Equal(t, 2, cloud.Launched(), "any other cloud starts two")
}

func TestStopAndStartTakeTimeWherePhysicsSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 1, Boot: 20 * time.Second, Stop: 20 * time.Second, End: 20 * time.Second}))
		state := func(id string) runctl.State {
			i, err := cloud.Get(t.Context(), id)
			require.NoError(t, err)
			return i.State
		}
		i, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		for _, step := range []struct {
			do      func() error
			at, end runctl.State
		}{
			{func() error { return nil }, runctl.StatePending, runctl.StateRunning},
			{func() error { return cloud.Stop(t.Context(), i.ID) }, runctl.StateStopping, runctl.StateStopped},
			{func() error { return cloud.Stop(t.Context(), i.ID) }, runctl.StateStopped, runctl.StateStopped},
			{func() error { return cloud.Start(t.Context(), i.ID) }, runctl.StatePending, runctl.StateRunning},
			{func() error { return cloud.Terminate(t.Context(), i.ID) }, runctl.StateStopping, runctl.StateTerminated},
		} {
			require.NoError(t, step.do())
			assert.Equal(t, step.at, state(i.ID))
			<-time.After(10 * time.Minute)
			assert.Equal(t, step.end, state(i.ID))
		}
		require.ErrorIs(t, cloud.Start(t.Context(), i.ID), runctl.ErrConflict)
		require.ErrorIs(t, cloud.Stop(t.Context(), i.ID), runctl.ErrConflict)
	})
}

func TestAnIdleMachineEndsItselfAndAnUnguardedOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guarded, not := fake.New(), fake.New(fake.Unguarded())
		assert.False(t, not.Info().EndsItself)
		for key, keep := range map[string]time.Duration{"idle": 10 * time.Minute, "long": 0} {
			for _, cloud := range []*fake.Cloud{guarded, not} {
				r := request(key)
				r.Keep = keep
				_, err := cloud.Launch(t.Context(), r)
				require.NoError(t, err)
			}
		}
		for after, want := range []int{2, 1, 1, 0} {
			assert.Len(t, guarded.Billing(), want, "look %d", after)
			assert.Len(t, not.Billing(), 2)
			<-time.After(45 * time.Minute)
		}
		<-time.After(1000 * time.Hour)
		assert.Len(t, not.Billing(), 2, "it bills until somebody ends it")
		_, _ = vessel(t, not, withJob("job", "train"))
		assert.Len(t, not.Billing(), 3, "and so does a vessel whose job has ended")
	})
}

func TestOptionsOnOffers(t *testing.T) {
	roads := func(opts ...fake.Option) runctl.Offer {
		offers, err := fake.New(opts...).Offers(t.Context(), runctl.OfferQuery{})
		require.NoError(t, err)
		return offers[0]
	}
	assert.Equal(t, runctl.RoadShell, roads(fake.ShellOnly()).Roads)
	assert.Equal(t, runctl.RoadJob, roads(fake.JobOnly()).Roads)
	assert.False(t, roads(fake.Unguarded()).EndsItself)
	assert.False(t, roads(fake.Forgetful()).Keeps)
	o := roads(fake.Offers(runctl.Offer{ID: "x", EndsItself: true}), fake.ShellOnly())
	assert.Equal(t, runctl.Offer{Provider: "fake", ID: "x", Type: "x", Region: "fake-1", Zone: "fake-1a", Market: runctl.OnDemand, Roads: runctl.RoadShell, EndsItself: true}, o)
	assert.Panics(t, func() { fake.Offers(runctl.Offer{})(&fake.Cloud{}) })

	assert.Equal(t, time.Minute, fake.New(fake.Settle(time.Minute), fake.Lag(time.Hour)).Info().Settle)
	assert.Zero(t, fake.New(fake.Settle(0)).Info().Settle)
	real := fake.Realistic(1, fake.Name("real")).Info()
	assert.Equal(t, [2]time.Duration{30 * time.Second, 10 * time.Second}, [2]time.Duration{real.Settle, real.Poll})
	assert.Equal(t, "real", real.Name)
	assert.Nil(t, fake.Realistic(1).Changed(), "no notifications")
}

func TestAForgetfulMachineTakesItsLogWithIt(t *testing.T) {
	cloud := fake.New(fake.Forgetful())
	i, p := vessel(t, cloud, withJob("a", "train"))
	assert.Equal(t, 0, i.Exit.ExitCode, "the cloud's own record stays")
	for _, err := range p.Logs(t.Context(), runctl.LogQuery{}) {
		require.ErrorIs(t, err, runctl.ErrNotFound)
	}
	_, err := cloud.Connect(t.Context(), i, runctl.Access{})
	require.ErrorIs(t, err, runctl.ErrUnavailable)
}

func TestOnAnExitlessCloudOnlyTheProcessKnows(t *testing.T) {
	cloud := fake.New(fake.Exitless())
	assert.False(t, cloud.Info().Exits)
	i, p := vessel(t, cloud, withJob("a", "train"))
	assert.Nil(t, i.Exit)
	s, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.True(t, s.Receipt.Succeeded())
}

func TestAStoppedMachineCanBeTakenBack(t *testing.T) {
	cloud := fake.New()
	i, err := cloud.Launch(t.Context(), request("a"))
	require.NoError(t, err)
	require.NoError(t, cloud.Stop(t.Context(), i.ID))
	cloud.Preempt(i.ID)
	assert.Empty(t, cloud.Billing())
}

func TestStrangersAndClones(t *testing.T) {
	for name, c := range map[string]struct {
		opts []fake.Option
		want string
	}{"a clone lacks what cannot be copied": {nil, ""}, "a clone has the name": {[]fake.Option{fake.NameOnly()}, request("a").Label}} {
		t.Run(name, func(t *testing.T) {
			cloud := fake.New(c.opts...)
			i, err := cloud.Launch(t.Context(), request("a"))
			require.NoError(t, err)
			copied := cloud.Clone(i.ID)
			lookalike := cloud.Add(runctl.Instance{Label: "rc1-me-b-aaaaaaaaaaaaaaaaaa"}, runctl.Instance{ID: "i-77", State: runctl.StateStopped})
			list, err := cloud.List(t.Context(), runctl.ListQuery{Owner: "me"})
			require.NoError(t, err)
			require.Len(t, list, 4, "the account is not only ours")
			twin := list[1]
			assert.Equal(t, copied, twin.ID)
			assert.Equal(t, c.want, twin.Label)
			assert.Equal(t, fake.Native{Name: request("a").Label, CloneOf: i.ID}, twin.Native, "the tag is the same")
			assert.Equal(t, [3]any{i.Type, i.Price, i.GPU}, [3]any{twin.Type, twin.Price, twin.GPU})
			assert.True(t, twin.Launched.After(i.Launched))
			assert.Equal(t, lookalike, []string{list[2].ID, "i-77"})
			_, sealed := runctl.ParseMark(list[2].Label, nil)
			assert.False(t, sealed)
			assert.Len(t, cloud.Billing(), 1, "strangers are not on our bill")
			assert.True(t, cloud.Cost().Known(), "whose machines have no price that we know")
			assert.Equal(t, 1, cloud.Launched())
			require.NoError(t, cloud.Terminate(t.Context(), copied), "the cloud does not protect them")
			got, ok := cloud.Machine(copied)
			assert.True(t, ok)
			assert.Equal(t, runctl.StateTerminated, got.State)
		})
	}
}

func TestStrangersAreAsOldAsTheySay(t *testing.T) {
	cloud := fake.New()
	born := time.Now().Add(-1000 * time.Hour)
	id := cloud.Add(runctl.Instance{Launched: born})[0]
	i, err := cloud.Get(t.Context(), id)
	require.NoError(t, err)
	assert.True(t, i.Launched.Equal(born))
	assert.Equal(t, runctl.StateRunning, i.State)
	assert.Panics(t, func() { cloud.Add(runctl.Instance{ID: id}) })
	assert.Panics(t, func() { cloud.Clone("m-9") })
	_, ok := cloud.Machine("m-9")
	assert.False(t, ok)
}

func TestAddressesAreForDocumentation(t *testing.T) {
	for _, cloud := range []*fake.Cloud{fake.New(), fake.New(fake.With(fake.Physics{Seed: 4}))} {
		for n := range 600 {
			i, err := cloud.Launch(t.Context(), request(fmt.Sprint("k-", n)))
			require.NoError(t, err)
			a := netip.MustParseAddr(i.Addr)
			require.True(t, netip.MustParsePrefix("203.0.113.0/24").Contains(a) || netip.MustParsePrefix("198.51.100.0/24").Contains(a), i.Addr)
		}
	}
}
