package fake_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// The same seed gives the same history to the byte, with a whole client above it: its retries, its doubts, its
// polling, whatever the scheduler does.
func TestTheSameSeedGivesTheSameHistory(t *testing.T) {
	history := func(seed uint64) (log string) {
		synctest.Test(t, func(t *testing.T) {
			cloud := fake.Realistic(seed)
			cloud.Script("", fake.Script{Log: "a\nb\n", Duration: time.Hour})
			runs, err := runctl.New(runctl.Config{Owner: "lab", Controller: "abc"}, cloud)
			require.NoError(t, err)
			var wg sync.WaitGroup
			for lane := range 10 {
				wg.Go(func() {
					<-time.After(time.Duration(lane) * time.Minute)
					for n := range 5 {
						s := tune(fmt.Sprintf("j-%d-%d", lane, n))
						s.Lifetime = 24 * time.Hour
						for range 20 { // whoever is told of a failure repeats with the same key
							if receipt, _ := runs.Run(t.Context(), s); receipt.Succeeded() {
								break
							}
							<-time.After(10*time.Minute + time.Duration(lane)*time.Second)
						}
					}
				})
			}
			wg.Wait()
			<-time.After(25 * time.Hour)
			require.Equal(t, 50, cloud.Launched())
			require.Empty(t, cloud.Billing())
			log = cloud.Log()
		})
		return log
	}
	const seed = 42
	first := history(seed)
	for n := range 19 {
		require.True(t, first == history(seed), "run %d of seed %d differs", n+2, seed)
	}
	require.NotEqual(t, len(first), 0)
	require.False(t, first == history(seed+1), "another seed gives another history")
}
