package fake_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

func TestAFaultStrikesBeforeOrAfterTheEffect(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		fault    fake.Fault
		launched int
		want     error
	}{
		{fake.Fault{Op: fake.OpLaunch, Err: boom}, 0, boom},
		{fake.Fault{Op: fake.OpLaunch, After: true, Err: boom}, 1, boom},
		{fake.Fault{Op: fake.OpLaunch}, 0, runctl.ErrUnavailable},
		{fake.Fault{Op: fake.OpLaunch, After: true}, 1, runctl.ErrUnavailable},
		{fake.Fault{Op: fake.OpLaunch, Hang: true}, 0, context.DeadlineExceeded},
		{fake.Fault{Op: fake.OpLaunch, Hang: true, After: true}, 1, context.DeadlineExceeded},
		{fake.Fault{Op: fake.OpLaunch, Hang: true, After: true, Err: boom}, 1, boom},
		{fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity}, 0, runctl.ErrCapacity},
		{fake.Fault{After: true, Err: boom}, 1, boom},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := fake.New()
				cloud.Inject(c.fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := cloud.Launch(ctx, request("a"))
				require.ErrorIs(t, err, c.want)
				assert.Equal(t, c.launched, cloud.Launched())
				assert.Equal(t, c.fault.Hang, time.Since(start) == time.Minute)
				var e *runctl.Error
				if c.want == runctl.ErrUnavailable {
					require.ErrorAs(t, err, &e)
					assert.False(t, e.NotStarted, "an unclassified failure proves nothing")
				}
			})
		})
	}
}

func TestFaultsCountTheCallsTheyMatch(t *testing.T) {
	cloud := fake.New()
	cloud.Inject(
		fake.Fault{Op: fake.OpLaunch, Key: "b", Nth: 2, Err: io.EOF},
		fake.Fault{Op: fake.OpGet, Nth: 2, Times: 2, Err: io.EOF},
		fake.Fault{Op: fake.OpLaunch, Key: "fake-1b", Err: fake.NoCapacity},
	)
	launch := func(key string) (runctl.Instance, error) { return cloud.Launch(t.Context(), request(key)) }
	_, err := launch("b")
	require.NoError(t, err, "the first of b")
	i, err := launch("a")
	require.NoError(t, err, "not b")
	_, err = launch("b")
	require.ErrorIs(t, err, io.EOF, "the second of b")
	_, err = launch("b")
	require.NoError(t, err, "the third of b")

	for n, fails := range []bool{false, true, true, false} {
		_, err := cloud.Get(t.Context(), i.ID)
		assert.Equal(t, fails, err != nil, "get %d", n+1)
	}

	r := request("c")
	r.Offer.ID = "h100-1.fake-1b"
	r.Offer.Zone = "fake-1b"
	_, err = cloud.Launch(t.Context(), r)
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.NotStarted && e.Kind == runctl.ErrCapacity && e.Scope == runctl.ScopeZone, "%+v", e)

	cloud.Heal()
	_, err = cloud.Launch(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 6, cloud.Calls(fake.OpLaunch))
	assert.Equal(t, 10, cloud.Calls(""))
}

func TestFaultsAimAtAMachineByItsKey(t *testing.T) {
	cloud := fake.New()
	i, err := cloud.Launch(t.Context(), request("a"))
	require.NoError(t, err)
	cloud.Inject(fake.Fault{Op: fake.OpTerminate, Key: "a", Nth: 1, Err: io.EOF})
	require.ErrorIs(t, cloud.Terminate(t.Context(), i.ID), io.EOF)
	assert.Len(t, cloud.Billing(), 1)
	require.NoError(t, cloud.Terminate(t.Context(), i.ID))
	assert.Empty(t, cloud.Billing())
}

func TestAFaultPrintsItsPlan(t *testing.T) {
	for want, f := range map[string]fake.Fault{
		"every any operation fails before its effect":               {},
		"every launch for a fails before its effect: EOF":           {Op: fake.OpLaunch, Key: "a", Err: io.EOF},
		"call 2 of get fails after its effect, by hanging":          {Op: fake.OpGet, Nth: 2, After: true, Hang: true},
		"calls 3 to 5 of list fails before its effect":              {Op: fake.OpList, Nth: 3, Times: 3},
		"calls 1 to 2 of any operation fails after its effect: EOF": {Times: 2, After: true, Err: io.EOF},
	} {
		assert.Equal(t, want, f.String())
	}
}

func TestACallObeysItsContext(t *testing.T) {
	cloud := fake.New()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := cloud.Launch(ctx, request("a"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = cloud.List(ctx, runctl.ListQuery{})
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, cloud.Launched())
	assert.Zero(t, cloud.Calls(""), "nothing was sent")

	synctest.Test(t, func(t *testing.T) { // half of a call's time lies before its effect, half after
		launch := func(within time.Duration) (took time.Duration, launched int, err error) {
			cloud := fake.New(fake.With(fake.Physics{Seed: 1, Latency: time.Second}))
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			start := time.Now()
			_, err = cloud.Launch(ctx, request("a"))
			return time.Since(start), cloud.Launched(), err
		}
		whole, launched, err := launch(time.Hour)
		require.NoError(t, err)
		assert.Equal(t, 1, launched)
		assert.InDelta(t, 8*time.Second, whole, float64(5*time.Second))
		for n, cut := range []time.Duration{whole / 4, whole * 3 / 4} {
			took, launched, err := launch(cut)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, cut, took)
			assert.Equal(t, n, launched)
		}
	})
}
