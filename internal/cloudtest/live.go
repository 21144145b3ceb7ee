//go:build live

package cloudtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
)

// Live is a test that asks a real cloud, for real money. Each of its questions has a number.
type Live struct {
	T    *testing.T
	Ctx  context.Context // ends when the time is over, or somebody interrupts the test
	Name string          // begins the names of all that the test makes

	answers map[int][]string
}

// cleaning is how long it may take to end what is left.
const cleaning = 5 * time.Minute

// Asked reports whether somebody wants the test to be made, by setting RUNCTL_LIVE_<CLOUD>=1; it tells how, and what that costs.
func Asked(t *testing.T, cloud, key string, ceiling float64) bool {
	setting := "RUNCTL_LIVE_" + strings.ToUpper(cloud)
	if os.Getenv(setting) == "1" {
		return true
	}
	t.Logf("not asked: set %s=1 and %s to launch what is needed, for less than %.0f USD", setting, key, ceiling)
	return false
}

// NewLive begins a test that costs at most the ceiling, in USD, if an hour of the offer does, and takes so long.
func NewLive(t *testing.T, o runctl.Offer, ceiling float64, limit time.Duration) *Live {
	t.Helper()
	end := time.Now().Add(limit)
	if d, ok := t.Deadline(); ok && d.Add(-cleaning-time.Minute).Before(end) {
		end = d.Add(-cleaning - time.Minute) // a test that is out of time is killed
	}
	require.Greater(t, time.Until(end), 2*time.Minute, "give the test more time: go test -timeout 45m")
	require.LessOrEqual(t, o.Cost(time.Hour).Nanos, runctl.USD(ceiling).Nanos, "an hour of it must stay below the ceiling")
	l := &Live{T: t, Name: fmt.Sprintf("runctl-live-%d", time.Now().Unix()), answers: map[int][]string{}}
	ctx, cancel := context.WithDeadline(t.Context(), end)
	interrupted, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // everything ends early, and the sweep runs
	l.Ctx = interrupted
	t.Cleanup(func() { stop(); cancel() })
	t.Logf("launching %s for %s an hour; should this be killed, end what is named %s… in the cloud's console", o.Type, o.Price.Hourly, l.Name)
	return l
}

// Learn keeps an answer to the question of this number.
func (l *Live) Learn(n int, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	l.T.Logf("(%d) %s", n, s)
	l.answers[n] = append(l.answers[n], s)
}

// Answers tells what was learnt of each question.
func (l *Live) Answers(questions ...string) {
	for n, question := range questions {
		l.T.Logf("ANSWER %d, %s: %s", n+1, question, cmp.Or(strings.Join(l.answers[n+1], "; "), "not answered"))
	}
}

// Wait waits, unless the test's time is over.
func (l *Live) Wait(d time.Duration) { within(l.Ctx, d) }

func within(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Sweep ends everything of the test, until three looks in a row find nothing, and says so when something is left. It has its own time:
// defer it, so that it runs whatever happened before. left names what bills.
func (l *Live) Sweep(left func(context.Context) (ids []string, err error), end func(ctx context.Context, id string) error) {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	for clean := 0; clean < 3; within(ctx, 5*time.Second) {
		if ctx.Err() != nil {
			l.T.Errorf("SOMETHING MAY BE LEFT BILLING: end what is named %s… in the cloud's console", l.Name)
			return
		}
		ids, err := left(ctx)
		if clean++; err != nil || len(ids) > 0 {
			clean = 0
		}
		for _, id := range ids {
			l.T.Logf("ending %s: %v", id, end(ctx, id))
		}
	}
}
