package fake_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// throttled reports for how long a call is to be repeated later, 0 when it went through.
func throttled(t *testing.T, err error) time.Duration {
	var e *runctl.Error
	if !errors.As(err, &e) || e.Kind != runctl.ErrRateLimit {
		return 0
	}
	require.True(t, e.NotStarted, "a refused launch has certainly not started")
	require.Positive(t, e.RetryAfter)
	return e.RetryAfter
}

func TestBucketsHaveTheSizesThatEC2Publishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Throttle: true}))
		list := func() time.Duration {
			_, err := cloud.List(t.Context(), runctl.ListQuery{})
			return throttled(t, err)
		}
		launches := 0
		launch := func() time.Duration {
			launches++
			_, err := cloud.Launch(t.Context(), request(fmt.Sprint("k-", launches)))
			return throttled(t, err)
		}
		count := func(f func() time.Duration) (n int) {
			for f() == 0 {
				n++
			}
			return n
		}
		assert.Equal(t, 100, count(list), "describe: 100 at once")
		assert.InDelta(t, time.Second/20, list(), float64(time.Millisecond), "and 20 a second")
		assert.Equal(t, 50, count(launch), "mutating: 50 at once, in a bucket of its own")
		<-time.After(time.Second + time.Millisecond)
		assert.Equal(t, 20, count(list))
		assert.Equal(t, 5, count(launch), "and 5 a second")
		assert.Equal(t, 55, cloud.Launched(), "what was refused has not started")

		most := func(d time.Duration) (n int) { // launches as fast as they go for d
			for start := time.Now(); time.Since(start) < d; {
				if wait := launch(); wait > 0 {
					<-time.After(wait)
				} else {
					n++
				}
			}
			return n
		}
		<-time.After(time.Hour)
		assert.Equal(t, 100, count(list), "a bucket does not overflow")
		assert.Equal(t, 50, count(launch))
		assert.InDelta(t, 300, most(time.Minute), 2)
		most(10 * time.Minute)
		assert.InDelta(t, 120, most(time.Minute), 2, "after a thousand, two machines a second")
	})
}
