package runctl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// launchCase is one cell of the model: what goes wrong, how much the cloud promises, when the caller leaves.
type launchCase struct {
	idempotent  bool
	settle, lag time.Duration
	faults      []modelFault
	cancel      time.Duration // after the call began; negative: never
}

func (k launchCase) String() string {
	return fmt.Sprintf("idempotent=%t settle=%s lag=%s cancel=%s faults=%v", k.idempotent, k.settle, k.lag, k.cancel, k.faults)
}

var testSpec = LaunchSpec{Key: "k1", Lifetime: time.Hour, MaxHourly: USD(5)}

func newTestClient(t testing.TB, cfg Config, ps ...Provider) *Client {
	t.Helper()
	if cfg.Owner == "" {
		cfg.Owner = "tester"
	}
	cfg.Secret = []byte("a secret of the owner")
	c, err := New(cfg, ps...)
	require.NoError(t, err)
	return c
}

// check runs the case in a bubble and holds the client to the launch rule.
func (k launchCase) check(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.info.Idempotent, cloud.info.Settle, cloud.lag, cloud.faults = k.idempotent, k.settle, k.lag, k.faults
		c := newTestClient(t, Config{}, cloud)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if k.cancel >= 0 {
			defer time.AfterFunc(k.cancel, cancel).Stop()
		}
		i, err := c.Launch(ctx, testSpec)

		n, id := cloud.living("k1")
		require.LessOrEqual(t, cloud.everLaunched("k1"), 1, "two machines under one key: %s", k)
		if err == nil {
			require.Equal(t, 1, n, "Launch returned nil: %s", k)
			require.Equal(t, id, i.ID, k.String())
		} else if n == 1 {
			require.True(t, errors.Is(err, ErrUncertain), "a machine bills, the error does not say so: %v in %s", err, k)
		}

		// The same key adopts what is there, or launches the first, and never a second.
		pass(k.lag)
		cloud.mu.Lock()
		cloud.faults = nil
		cloud.mu.Unlock()
		again, err := c.Launch(t.Context(), testSpec)
		require.LessOrEqual(t, cloud.everLaunched("k1"), 1, "the second call launched again: %s", k)
		if n == 1 {
			require.NoError(t, err, k.String())
			require.Equal(t, id, again.ID, k.String())
		} else if err != nil {
			require.ErrorIs(t, err, ErrUncertain, k.String())
			require.Zero(t, k.settle, "absence was provable: %s", k)
		}

		// Reap ends it, and not before its time.
		_, err = c.Reap(t.Context(), ReapRequest{})
		require.NoError(t, err)
		left, _ := cloud.living("k1")
		require.Equal(t, cloud.everLaunched("k1"), left, "reaped too early: %s", k)
		pass(testSpec.Lifetime + defaultReapGrace + time.Second)
		_, err = c.Reap(t.Context(), ReapRequest{})
		require.NoError(t, err)
		left, _ = cloud.living("k1")
		require.Zero(t, left, "not reaped: %s", k)
	})
}

// TestLaunchRule is promise 1 as a model of the client alone: every operation × (error before, error after,
// hang) × what the cloud promises about its listings × lag on both sides of that edge × the caller's cancel at
// any moment.
func TestLaunchRule(t *testing.T) {
	certain := &Error{Kind: ErrUnavailable, NotStarted: true}
	plans := [][]modelFault{nil}
	for _, op := range []string{"launch", "list", "get", "offers"} {
		for nth := 1; nth <= 2; nth++ {
			for _, f := range []modelFault{{err: errReset}, {after: true, err: errReset}, {hang: true},
				{hang: true, after: true}, {hang: true, after: true, late: true}} {
				f.op, f.nth = op, nth
				plans = append(plans, []modelFault{f})
				if op == "list" { // a lost launch whose looks fail too
					plans = append(plans, []modelFault{{op: "launch", nth: 1, after: true, err: errReset}, f})
				}
			}
		}
	}
	plans = append(plans, []modelFault{{op: "launch", nth: 1, err: certain}},
		[]modelFault{{op: "launch", nth: 1, err: errReset}, {op: "launch", nth: 2, after: true, err: errReset}})

	const never = time.Duration(0)
	cancels := []time.Duration{-1, 0, time.Millisecond, time.Second, 59 * time.Second, 61 * time.Second,
		119 * time.Second, 121 * time.Second, 150 * time.Second, 10 * time.Minute}
	cells := 0
	for _, faults := range plans {
		for _, s := range []struct {
			idempotent bool
			settle     time.Duration
			lags       []time.Duration
		}{
			{true, never, []time.Duration{0, 20 * time.Second, time.Hour}},
			{true, 30 * time.Second, []time.Duration{0, 30*time.Second - 1, 30 * time.Second}},
			{false, 1, []time.Duration{0, 1}},
			{false, time.Second, []time.Duration{0, time.Second - 1, time.Second}},
			{false, 30 * time.Second, []time.Duration{0, 30*time.Second - 1, 30 * time.Second}},
			{false, never, []time.Duration{0, 20 * time.Second, 10 * time.Minute}},
		} {
			for _, lag := range s.lags {
				for _, cancel := range cancels {
					launchCase{s.idempotent, s.settle, lag, faults, cancel}.check(t)
					cells++
				}
			}
		}
	}
	t.Logf("%d cells", cells)
}

// TestLaunchRuleAtRandom lets several callers with one key meet random faults.
func TestLaunchRuleAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			cloud := newModelCloud()
			cloud.info.Idempotent = rng.IntN(2) == 0
			cloud.info.Settle = []time.Duration{0, 1, time.Second, 30 * time.Second}[rng.IntN(4)]
			cloud.lag = time.Duration(rng.Int64N(int64(cloud.info.Settle) + 1))
			for range rng.IntN(6) {
				cloud.faults = append(cloud.faults, modelFault{op: []string{"launch", "list", "get"}[rng.IntN(3)], nth: 1 + rng.IntN(5),
					after: rng.IntN(2) == 0, hang: rng.IntN(3) == 0, late: rng.IntN(2) == 0, err: errReset})
			}
			c := newTestClient(t, Config{}, cloud)
			var wg sync.WaitGroup
			for range 1 + rng.IntN(4) {
				wait, leave := time.Duration(rng.Int64N(int64(time.Minute))), time.Duration(rng.Int64N(int64(5*time.Minute)))
				wg.Go(func() {
					pass(wait)
					ctx, cancel := context.WithTimeout(t.Context(), leave)
					defer cancel()
					_, _ = c.Launch(ctx, testSpec)
				})
			}
			wg.Wait()
			require.LessOrEqual(t, cloud.everLaunched("k1"), 1, "faults %v", cloud.faults)
		})
	}
}

// TestCrashedLaunchIsAdopted kills the controller at every call of a launch, and starts another one with the
// same intent log. Without the log, the same harness finds the second machine.
func TestCrashedLaunchIsAdopted(t *testing.T) {
	crash := func(t *testing.T, withLog bool, settle, lag time.Duration) (machines int) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cloud := newModelCloud()
			cloud.info.Settle, cloud.lag = settle, lag
			cloud.faults = []modelFault{{op: "launch", nth: 1, after: true, hang: true}} // the process dies meanwhile
			open := func() Config {
				cfg := Config{Controller: "abc"}
				if withLog {
					log, err := OpenIntents(filepath.Join(dir, "intents"))
					require.NoError(t, err)
					cfg.Intents = log
				}
				return cfg
			}
			dead := newTestClient(t, open(), cloud)
			go func() { _, _ = dead.Launch(t.Context(), testSpec) }()
			synctest.Wait() // the request is under way, and never returns to anybody
			c := newTestClient(t, open(), cloud)
			_, err := c.Launch(t.Context(), testSpec)
			if withLog && settle == 0 && lag > time.Hour {
				require.ErrorIs(t, err, ErrUncertain)
			} else {
				require.NoError(t, err)
			}
			machines = cloud.everLaunched("k1")
			pass(time.Hour) // lets the dead one's goroutine end inside the bubble
		})
		return machines
	}
	for _, settle := range []time.Duration{0, 30 * time.Second} {
		require.Equal(t, 1, crash(t, true, settle, 20*time.Second), "settle %s", settle)
	}
	require.Equal(t, 1, crash(t, true, 0, 2*time.Hour))
	require.Equal(t, 2, crash(t, false, 30*time.Second, 20*time.Second), "the control must find what the log prevents")
}

// TestCancelMakesNoDoubt cancels while a healthy request is under way: it is finished, and its machine
// returned.
func TestCancelMakesNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.info.Settle = 0
		cloud.faults = []modelFault{{op: "launch", nth: 1, slow: 5 * time.Second}}
		c := newTestClient(t, Config{}, cloud)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		i, err := c.Launch(ctx, testSpec)
		require.NoError(t, err)
		require.Equal(t, "m-1", i.ID)
		require.Equal(t, 1, cloud.calls["launch"])
	})
}

// TestIdempotentLaunchIsRepeated: where the token decides, a lost reply costs one more request and no look
// has to prove anything.
func TestIdempotentLaunchIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.info.Idempotent, cloud.info.Settle, cloud.lag = true, 0, time.Hour
		cloud.faults = []modelFault{{op: "launch", nth: 1, after: true, err: errReset}, {op: "launch", nth: 2, err: errReset}}
		c := newTestClient(t, Config{}, cloud)
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		require.Equal(t, "m-1", i.ID)
		require.Equal(t, 1, cloud.everLaunched("k1"))
	})
}

// TestOlderCopyIsNotAdopted: in doubt, a machine with our very label that was born before our request is
// somebody's copy of an earlier one.
func TestOlderCopyIsNotAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.info.Settle = 0
		cloud.lag = 10*time.Minute + 30*time.Second // so that the first look does not show the copy yet
		c := newTestClient(t, Config{Controller: "abc"}, cloud)
		p, err := c.plan(t.Context(), testSpec, nil)
		require.NoError(t, err)
		cloud.add(LaunchRequest{Label: c.request(p, &keyState{}, c.providers[0], cloud.offers[0]).Label, Token: "copy"})
		pass(10 * time.Minute)
		cloud.faults = []modelFault{{op: "launch", nth: 1, err: errReset}}
		_, err = c.Launch(t.Context(), testSpec)
		require.ErrorIs(t, err, ErrUncertain)
	})
}

func TestLabelThatWasCutEndsTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		cloud.cutLabel = 30
		c := newTestClient(t, Config{}, cloud)
		_, err := c.Launch(t.Context(), testSpec)
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, "does not carry its mark")
		for _, m := range cloud.machines {
			require.True(t, m.ended)
		}
	})
}

func TestFailOver(t *testing.T) {
	capacity := func(s Scope) error { return &Error{Kind: ErrCapacity, Scope: s, NotStarted: true} }
	for name, k := range map[string]struct {
		err  error
		want string // the offer that was launched in the end
		kind Kind
		sent int
	}{
		"the next offer on a certain lack of capacity":     {capacity(ScopeOffer), "b", "", 2},
		"not the same zone again":                          {capacity(ScopeZone), "b", "", 2},
		"a refusal of the request ends it":                 {capacity(ScopeRequest), "", ErrCapacity, 1},
		"a bad request ends it":                            {&Error{Kind: ErrInvalid, NotStarted: true}, "", ErrInvalid, 1},
		"the next offer where one cannot do what is asked": {&Error{Kind: ErrInvalid, Scope: ScopeOffer, NotStarted: true, Err: errors.ErrUnsupported}, "b", "", 2},
		"what no offer can do ends it":                     {&Error{Kind: ErrInvalid, Scope: ScopeRequest, NotStarted: true, Err: errors.ErrUnsupported}, "", ErrInvalid, 1},
		"missing rights end it":                            {&Error{Kind: ErrAuth, NotStarted: true}, "", ErrAuth, 1},
		"a whole account without capacity ends it as such": {capacity(ScopeAccount), "", ErrCapacity, 1},
		"an uncertain lack of capacity is a doubt":         {&Error{Kind: ErrCapacity}, "a", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := newModelCloud()
				cloud.offers = []Offer{modelOffer("a", 1), modelOffer("b", 2)}
				cloud.faults = []modelFault{{op: "launch", nth: 1, err: k.err}}
				c := newTestClient(t, Config{}, cloud)
				i, err := c.Launch(t.Context(), testSpec)
				require.Equal(t, k.want, i.Type)
				if k.kind == "" {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, k.kind)
				}
				require.Equal(t, k.sent, cloud.calls["launch"])
			})
		})
	}
}

func TestRateLimitIsWaitedOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		slow := &Error{Kind: ErrRateLimit, NotStarted: true, RetryAfter: 20 * time.Second}
		cloud.faults = []modelFault{{op: "launch", nth: 1, err: slow}}
		c := newTestClient(t, Config{}, cloud)
		start := time.Now()
		_, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 20*time.Second)
		require.Equal(t, 2, cloud.calls["launch"])
	})
}

func TestKeysAreNotReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		c := newTestClient(t, Config{}, cloud)
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)

		other := testSpec
		other.Lifetime = 2 * time.Hour
		for _, client := range []*Client{c, newTestClient(t, Config{}, cloud)} {
			_, err = client.Launch(t.Context(), other)
			require.ErrorIs(t, err, ErrConflict)
			require.ErrorContains(t, err, "used for a different request")
		}

		richer := testSpec
		richer.MaxHourly = USD(50) // a higher ceiling is the same request
		again, err := newTestClient(t, Config{}, cloud).Launch(t.Context(), richer)
		require.NoError(t, err)
		require.Equal(t, i.ID, again.ID)

		require.NoError(t, c.Terminate(t.Context(), i.Ref()))
		for _, client := range []*Client{c, newTestClient(t, Config{}, cloud)} {
			_, err = client.Launch(t.Context(), testSpec)
			require.ErrorIs(t, err, ErrConflict)
			require.ErrorContains(t, err, "already ended")
		}
		require.Equal(t, 1, cloud.calls["launch"])
	})
}
