package fake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// scenario lets many goroutines launch, look and end machines at once, and returns the event log.
func scenario(t *testing.T, seed uint64) (log string) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.Realistic(seed, fake.With(fake.Physics{}), fake.With(stormy(seed)))
		cloud.Script("", fake.Script{Log: "a\nb\n", Duration: 20 * time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		for n := range 60 {
			wg.Go(func() {
				r := request(fmt.Sprintf("k-%d", n))
				if n%2 == 0 {
					r = withJob(fmt.Sprintf("k-%d", n), "train")
				}
				if n%3 == 0 {
					r.Offer = runctl.Offer{ID: "h100-1.fake-1b.spot"}
				}
				for range 3 {
					call, cancel := context.WithTimeout(ctx, time.Minute)
					i, err := cloud.Launch(call, r)
					cancel()
					if err != nil {
						<-time.After(10 * time.Minute)
						continue
					}
					for range 4 {
						call, cancel := context.WithTimeout(ctx, time.Minute)
						_, _ = cloud.Get(call, i.ID)
						cancel()
					}
					call, cancel = context.WithTimeout(ctx, time.Minute)
					_ = cloud.Stop(call, i.ID)
					cancel()
					<-time.After(15 * time.Minute)
					call, cancel = context.WithTimeout(ctx, time.Minute)
					_ = cloud.Start(call, i.ID)
					if n%5 == 0 {
						_ = cloud.Terminate(call, i.ID)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		<-time.After(5 * time.Hour)
		log = cloud.Log()
	})
	return log
}

// stormy is a cloud on which much goes wrong.
func stormy(seed uint64) fake.Physics {
	return fake.Physics{Seed: seed, Latency: 200 * time.Millisecond, Boot: 26 * time.Second, Stop: 30 * time.Second, End: 20 * time.Second,
		Lag: 5 * time.Second, Keep: true, Faults: 0.1, Throttle: true, Scarcity: 0.2, Reclaim: time.Hour, Silent: true}
}

func TestTheSameSeedHasTheSameEvents(t *testing.T) {
	first := scenario(t, 7)
	require.Greater(t, len(first), 10_000)
	for _, event := range []string{"launched", "running", "terminated", "stopped", "SpotInstance", "reply is lost", "by hanging",
		"no capacity", "rate limited", "job is over", "lifetime is over"} {
		assert.True(t, strings.Contains(first, event), "no %q happened", event)
	}
	for n := range 19 {
		if again := scenario(t, 7); again != first {
			a, b := strings.Split(first, "\n"), strings.Split(again, "\n")
			at := 0
			for at < min(len(a), len(b))-1 && a[at] == b[at] {
				at++
			}
			t.Fatalf("run %d differs from line %d on:\n%s\n%s", n+2, at+1, a[at], b[at])
		}
	}
	assert.False(t, first == scenario(t, 8), "another seed is another story")
}

func TestBootingTakesAsLongAsOnEC2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.Realistic(3, fake.With(fake.Physics{Seed: 3, Boot: 26 * time.Second, Poll: time.Second}))
		var sum, shortest, longest time.Duration
		const n = 300
		for k := range n {
			i, err := cloud.Launch(t.Context(), request(fmt.Sprint("k-", k)))
			require.NoError(t, err)
			require.Equal(t, runctl.StatePending, i.State)
			require.Empty(t, i.Addr)
			start := time.Now()
			for i.State != runctl.StateRunning {
				<-time.After(100 * time.Millisecond)
				i, err = cloud.Get(t.Context(), i.ID)
				require.NoError(t, err)
			}
			require.NotEmpty(t, i.Addr)
			d := time.Since(start)
			sum += d
			longest = max(longest, d)
			if shortest == 0 || d < shortest {
				shortest = d
			}
		}
		assert.InDelta(t, 27, (sum / n).Seconds(), 2, "mean")
		assert.Less(t, shortest, 20*time.Second)
		assert.Greater(t, longest, 40*time.Second)
	})
}

func TestListIsLateAndGetIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Lag(10 * time.Second))
		assert.Equal(t, 10*time.Second, cloud.Info().Settle, "a lag that nobody declared would be a lie")
		state := func(id string) (list, get runctl.State) {
			all, err := cloud.List(t.Context(), runctl.ListQuery{})
			require.NoError(t, err)
			for _, i := range all {
				if i.ID == id {
					list = i.State
				}
			}
			i, err := cloud.Get(t.Context(), id)
			require.NoError(t, err)
			return list, i.State
		}
		i, err := cloud.Launch(t.Context(), request("a"))
		require.NoError(t, err)
		<-time.After(9 * time.Second)
		list, get := state(i.ID)
		assert.Equal(t, [2]runctl.State{0, runctl.StateRunning}, [2]runctl.State{list, get}, "not listed yet")
		<-time.After(2 * time.Second)
		list, _ = state(i.ID)
		assert.Equal(t, runctl.StateRunning, list)
		require.NoError(t, cloud.Terminate(t.Context(), i.ID))
		<-time.After(9 * time.Second)
		list, get = state(i.ID)
		assert.Equal(t, [2]runctl.State{runctl.StateRunning, runctl.StateTerminated}, [2]runctl.State{list, get}, "listed as it was")
		<-time.After(2 * time.Second)
		list, _ = state(i.ID)
		assert.Equal(t, runctl.StateTerminated, list)
	})
}

func TestZonesRunDryAndRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 5, Scarcity: 0.3}))
		refused, flips, last := 0, 0, false
		for n := range 500 {
			offers, err := cloud.Offers(t.Context(), runctl.OfferQuery{})
			require.NoError(t, err)
			avail := ""
			for _, o := range offers {
				if o.ID == "h100-1.fake-1a" {
					avail = o.Avail
				}
			}
			_, err = cloud.Launch(t.Context(), request(fmt.Sprint("k-", n)))
			dry := errors.Is(err, runctl.ErrCapacity)
			assert.Equal(t, dry, err != nil)
			assert.Equal(t, dry, avail == "low", "offers say so")
			if dry {
				refused++
			}
			if dry != last {
				flips, last = flips+1, dry
			}
			<-time.After(20 * time.Minute)
		}
		assert.InDelta(t, 150, refused, 45)
		assert.Greater(t, flips, 50)
	})
}

func TestSpotMachinesAreTakenBackAndOthersAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 5, Reclaim: time.Hour}))
		for n := range 200 {
			r := request(fmt.Sprint("k-", n))
			r.Lifetime = 1000 * time.Hour
			if n%2 == 0 {
				r.Offer.ID += ".spot"
			}
			_, err := cloud.Launch(t.Context(), r)
			require.NoError(t, err)
		}
		<-time.After(time.Hour)
		spot := 0
		for _, i := range cloud.Billing() {
			if i.Market == runctl.Spot {
				spot++
			}
		}
		assert.InDelta(t, 37, spot, 12, "1/e of them after the mean time")
		<-time.After(100 * time.Hour)
		assert.Len(t, cloud.Billing(), 100, "the others stay")
	})
}

func TestTheCloudsClockIsItsOwn(t *testing.T) {
	cloud := fake.New(fake.With(fake.Physics{Skew: -time.Hour}))
	i, err := cloud.Launch(t.Context(), request("a"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(-time.Hour), i.Launched, time.Minute)
	assert.WithinDuration(t, i.Launched, i.Seen, time.Minute)
	assert.Less(t, i.Age(), time.Minute, "ages are right whatever the clock")
}

func TestIdsFollowFromSeedAndKey(t *testing.T) {
	ids := func(seed uint64) map[string]string {
		var mu sync.Mutex
		var wg sync.WaitGroup
		all := map[string]string{}
		cloud := fake.New(fake.With(fake.Physics{Seed: seed}))
		for n := range 100 {
			wg.Go(func() {
				key := fmt.Sprint("k-", n)
				i, err := cloud.Launch(t.Context(), request(key))
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				all[key] = i.ID
			})
		}
		wg.Wait()
		return all
	}
	first := ids(1)
	for range 10 {
		require.Equal(t, first, ids(1), "whoever comes first")
	}
	assert.NotEqual(t, first, ids(2))
}

func TestNoTwoThingsHappenAtTheSameInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where the clock stands still
		cloud := fake.New()
		seen := map[time.Time]bool{}
		for n := range 100 {
			i, err := cloud.Launch(t.Context(), request(fmt.Sprint("k-", n)))
			require.NoError(t, err)
			require.False(t, seen[i.Launched])
			seen[i.Launched] = true
		}
	})
}
