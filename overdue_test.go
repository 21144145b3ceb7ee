package runctl_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// A vessel that never comes up, or that does not end itself, would bill on while whoever waits for it waits.
func TestAVesselThatIsOverdueIsSaidAndEnded(t *testing.T) {
	for name, c := range map[string]struct {
		boot  time.Duration
		after time.Duration // of waiting
		text  string
	}{
		"never up":        {1000 * time.Hour, 20 * time.Minute, "did not come up within 20m0s"},
		"up and stays":    {time.Minute, 2*time.Hour + 10*time.Minute, "its lifetime of 2h0m0s is over"},
		"slow, and stays": {10 * time.Minute, 2*time.Hour + 10*time.Minute, "its lifetime of 2h0m0s is over"},
	} {
		for source, exits := range map[string]fake.Option{"by the list": func(*fake.Cloud) {}, "by its process": fake.Exitless()} {
			t.Run(name+", "+source, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cloud := fake.New(fake.With(fake.Physics{Seed: 1, Boot: c.boot, Poll: 10 * time.Second, Silent: true}), fake.JobOnly(), fake.Unguarded(), exits)
					cloud.Script("", fake.Script{Hold: true, IgnoreTerm: true})
					spec := runSpec("late")
					spec.Unguarded, spec.Job.Limit = true, 0
					runs := clientOf(t, cloud)
					run, err := runs.Start(t.Context(), spec)
					require.NoError(t, err)
					began := time.Now()
					_, err = run.Wait(t.Context())
					require.ErrorIs(t, err, runctl.ErrTimeout)
					require.ErrorContains(t, err, c.text)
					require.ErrorContains(t, err, "until somebody terminates it")
					var e *runctl.Error
					require.ErrorAs(t, err, &e)
					assert.True(t, e.MayBill)
					assert.InDelta(t, c.after.Seconds(), time.Since(began).Seconds(), 30)
					for _, err = range run.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
					}
					require.ErrorIs(t, err, runctl.ErrTimeout, "so does a log")
					require.NotEmpty(t, cloud.Billing(), "Wait ends nothing")

					_, err = runs.Run(t.Context(), spec)
					require.ErrorIs(t, err, runctl.ErrTimeout)
					assert.Empty(t, cloud.Billing(), "Run does")
				})
			})
		}
	}
}

// A cloud that does not answer when a look is due is asked until it does.
func TestALookThatFailsIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Boot: 1000 * time.Hour, Silent: true}), fake.JobOnly(), fake.Unguarded(), fake.Exitless())
		spec := runSpec("late")
		spec.Unguarded = true
		run, err := clientOf(t, cloud).Start(t.Context(), spec)
		require.NoError(t, err)
		for n := range 20 {
			cloud.Inject(fake.Fault{Op: fake.OpGet, Nth: n + 1, Err: runctl.ErrUnavailable})
		}
		for _, err = range run.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
		}
		require.ErrorIs(t, err, runctl.ErrTimeout)
		require.ErrorContains(t, err, "did not come up")
	})
}
