package runctl

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMoneyPrints(t *testing.T) {
	for want, m := range map[string]Money{
		"2.99 USD": USD(2.99), "0.00 USD": USD(0), "0.004 USD": USD(0.004), "0.000000001 USD": {1, "USD"}, "-1.50 USD": USD(-1.5), "?": {},
		"1000000.00 EUR": MoneyOf(1e6, "EUR"), "0.30 USD": USD(0.1 + 0.2), "12.345678901 USD": USD(12.345678901), "-9223372036.854775808 USD": {math.MinInt64, "USD"},
		"9223372036.854775807 USD": {math.MaxInt64, "USD"},
	} {
		assert.Equal(t, want, m.String())
	}
}

func TestMoneyThatIsNone(t *testing.T) {
	for _, m := range []Money{USD(math.NaN()), USD(math.Inf(1)), USD(math.Inf(-1)), USD(1e6 + 1), USD(-1e7), MoneyOf(1, ""), MoneyOf(1, "usd"), MoneyOf(1, "US"),
		MoneyOf(1, "USDT"), MoneyOf(1, "U$D")} {
		assert.Equal(t, Money{}, m)
		assert.False(t, m.Known())
	}
	assert.True(t, USD(0).Known(), "free is not unknown")
	assert.True(t, Price{Hourly: USD(0)}.Free())
	assert.False(t, Price{}.Free())
	for _, pair := range [][2]Money{{{}, USD(1)}, {USD(1), {}}, {{}, {}}, {USD(1), MoneyOf(1, "EUR")}} {
		_, err := pair[0].Cmp(pair[1])
		assert.ErrorIs(t, err, ErrInvalid)
	}
}

// The figures are worked out by hand.
func TestCost(t *testing.T) {
	for _, k := range []struct {
		hourly Money
		d      time.Duration
		want   string
	}{
		{USD(2.99), time.Hour, "2.99 USD"},
		{USD(2.99), 10 * time.Minute, "0.498333334 USD"}, // 0.49833…, up
		{USD(23.92), 3*time.Hour + 30*time.Minute, "83.72 USD"},
		{USD(0.17), time.Second, "0.000047223 USD"}, // 0.17/3600 = 0.0000472222…, up
		{USD(0), 1000 * time.Hour, "0.00 USD"},
		{USD(1), 0, "0.00 USD"},
		{MoneyOf(44, "EUR"), 24 * time.Hour, "1056.00 EUR"},
		{Money{}, time.Hour, "?"},
		{USD(1e6), math.MaxInt64, "4611686018.427387904 USD"}, // saturates
	} {
		assert.Equal(t, k.want, Offer{Price: Price{Hourly: k.hourly}}.Cost(k.d).String(), "%s for %s", k.hourly, k.d)
	}

	born := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	i := Instance{Price: Price{Hourly: USD(2.4)}, Launched: born, Seen: born.Add(90 * time.Minute)}
	assert.Equal(t, USD(3.6), i.Cost(), "until it was seen")
	assert.Equal(t, 90*time.Minute, i.Age())
	i.Ended = born.Add(15 * time.Minute)
	assert.Equal(t, USD(0.6), i.Cost(), "until it ended")
	i.Ended = born.Add(-time.Minute)
	assert.Equal(t, USD(0), i.Cost(), "clocks that disagree do not pay back")
	for _, unknown := range []Instance{{Price: i.Price, Seen: born}, {Price: i.Price, Launched: born}, {Launched: born, Seen: born}} {
		assert.False(t, unknown.Cost().Known())
	}
	assert.Equal(t, time.Duration(-1), Instance{Launched: born}.Age())
	assert.True(t, i.Deadline().IsZero(), "it is not ours")
	i.Mark = plainMark
	assert.Equal(t, born.Add(12*time.Hour), i.Deadline())
}

func TestEstimateCostSpendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.offers = []Offer{modelOffer("dear", 4), modelOffer("cheap", 1.5), modelOffer("beyond", 40)}
		c := newTestClient(t, Config{Intents: &memory{}}, &leakyCloud{twisted: &twisted{modelCloud: cloud}})
		spec := RunSpec{Job: Job{Args: []string{"a"}}, Lifetime: 4 * time.Hour, MaxHourly: USD(5)}
		e, err := c.EstimateCost(t.Context(), spec)
		require.NoError(t, err)
		require.Equal(t, "cheap", e.Offer.ID)
		require.Equal(t, USD(6), e.Max)
		require.Equal(t, RoadShell, e.Road)
		require.Equal(t, 1, e.Others)
		require.Equal(t, 4*time.Hour, e.Lifetime)
		require.Equal(t, map[string]int{"offers": 1}, cloud.calls, "one question, and nothing else")

		spec.MaxCost = USD(5.99)
		_, err = c.EstimateCost(t.Context(), spec)
		require.ErrorContains(t, err, "costs 6.00 USD for its lifetime of 4h0m0s, the ceiling is 5.99 USD")
		spec.MaxCost, cloud.offers[1].Price = Money{}, Price{}
		cloud.offers = cloud.offers[1:2]
		e, err = c.EstimateCost(t.Context(), spec)
		require.NoError(t, err)
		require.False(t, e.Max.Known(), "an unknown price has no total")
		require.Empty(t, cloud.machines)
	})
}

// One throttled call pushes all callers back, once: nobody asks again before the time is over, and nobody
// counts the same refusal twice.
func TestARateLimitPushesEverybodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		w := &twisted{modelCloud: cloud}
		c := newTestClient(t, Config{}, w)
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		clear(cloud.calls)
		w.fail = func(string) error {
			pass(time.Second) // all are under way when the first is refused
			return &Error{Kind: ErrRateLimit, RetryAfter: 30 * time.Second}
		}
		const callers = 50
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				_, err := c.Get(t.Context(), i.Ref())
				assert.ErrorIs(t, err, ErrRateLimit)
			})
		}
		wg.Wait()
		require.Equal(t, callers, cloud.calls["get"])
		require.Equal(t, 1, c.providers[0].pacer.strikes, "fifty answers, one refusal")

		w.fail = nil
		start := time.Now()
		for range callers {
			wg.Go(func() {
				_, err := c.Get(t.Context(), i.Ref())
				assert.NoError(t, err)
				assert.Equal(t, 30*time.Second, time.Since(start))
			})
		}
		pass(29 * time.Second)
		require.Equal(t, callers, cloud.calls["get"], "nobody asks before its time")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = c.Get(ctx, i.Ref())
		require.ErrorIs(t, err, context.DeadlineExceeded, "whoever cannot wait leaves")
		wg.Wait()
		require.Equal(t, 2*callers, cloud.calls["get"])
		require.Zero(t, c.providers[0].pacer.strikes)
	})
}

// A rate limit without a time doubles from a second to a minute, spread by a quarter.
func TestStrikesDouble(t *testing.T) {
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		for _, name := range []string{"aws", "runpod", "x"} {
			d := delay(name, n+1)
			assert.InDelta(t, float64(want*time.Second), float64(d), float64(want*time.Second)/4, "%s %d: %s", name, n+1, d)
			assert.Equal(t, d, delay(name, n+1), "the same run waits the same")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		w := &twisted{modelCloud: cloud, fail: func(string) error { return &Error{Kind: ErrRateLimit} }}
		c := newTestClient(t, Config{}, w)
		start := time.Now()
		for time.Since(start) < time.Hour {
			_, _ = c.List(t.Context())
		}
		require.InDelta(t, 65, cloud.calls["list"], 8, "an hour of nothing but refusals")
	})
}

// Info.Rate is a bucket of four seconds' worth.
func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.info.Rate = 5
		c := newTestClient(t, Config{}, cloud)
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() { _, _ = c.Offers(t.Context(), OfferQuery{}) })
		}
		count := func() int { cloud.mu.Lock(); defer cloud.mu.Unlock(); return cloud.calls["offers"] }
		synctest.Wait()
		require.Equal(t, 21, count(), "the burst")
		for n := 1; n <= 30; n++ {
			pass(time.Second)
			synctest.Wait()
			require.InDelta(t, 21+5*n, count(), 1, "after %d s", n)
		}
		wg.Wait()
		require.Equal(t, 400, count())
		pass(time.Minute)
		for range 40 {
			wg.Go(func() { _, _ = c.Offers(t.Context(), OfferQuery{}) })
		}
		synctest.Wait()
		require.Equal(t, 421, count(), "a minute's rest is worth one burst, not sixty seconds' worth")
		wg.Wait()
	})
}

// A caller who leaves while the rate limit is waited out has sent nothing, and nothing is sent for him later.
func TestACancelBeforeTheRequestLaunchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.faults = []modelFault{{op: "launch", nth: 1, err: &Error{Kind: ErrRateLimit, NotStarted: true, RetryAfter: 20 * time.Second}}}
		log := &memory{}
		c := newTestClient(t, Config{Intents: log}, cloud)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Launch(ctx, testSpec)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrUncertain)
		require.Equal(t, time.Second, time.Since(start))
		pass(time.Hour)
		require.Equal(t, 1, cloud.calls["launch"])
		require.Empty(t, cloud.machines)
		require.Equal(t, IntentRefused, (*log)[len(*log)-1].Event, "no doubt is left in the log")
		_, err = c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
	})
}

func TestTheBidIsTheLowestCeiling(t *testing.T) {
	for _, k := range []struct {
		spec LaunchSpec
		want Money
	}{
		{LaunchSpec{}, Money{}},
		{LaunchSpec{MaxHourly: USD(3), Needs: OfferQuery{MaxHourly: USD(2)}}, USD(2)},
		{LaunchSpec{MaxCost: USD(10), Lifetime: 4 * time.Hour}, USD(2.5)},
		{LaunchSpec{MaxCost: USD(10), Lifetime: 4 * time.Hour, MaxHourly: USD(2)}, USD(2)},
		{LaunchSpec{MaxCost: USD(10), Lifetime: 20 * time.Hour, MaxHourly: USD(2)}, USD(0.5)},
	} {
		require.Equal(t, k.want, bid(k.spec), "%+v", k.spec)
	}
}
