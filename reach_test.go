package runctl_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// shut is a cloud whose machines refuse the way they are asked to be entered.
type shut struct {
	*fake.Cloud
	tries int
}

func (s *shut) Connect(context.Context, runctl.Instance, runctl.Access) (runctl.Machine, error) {
	s.tries++
	return nil, &runctl.Error{Kind: runctl.ErrInvalid, Msg: "its disk is blank"}
}

func TestAMachineThatCanNeverBeEnteredIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shut{Cloud: fake.New()}
		c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("s")}, s)
		require.NoError(t, err)
		defer c.Close()
		began := time.Now()
		_, err = c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(50), Needs: runctl.OfferQuery{Road: runctl.RoadShell}, Job: runctl.Job{Args: []string{"true"}}})
		assert.ErrorIs(t, err, runctl.ErrInvalid)
		assert.ErrorContains(t, err, "the machine was terminated")
		assert.Equal(t, 1, s.tries)
		assert.Less(t, time.Since(began), time.Minute)
	})
}

// late is a cloud whose machines let nobody in for a while.
type late struct {
	*fake.Cloud
	open  time.Time
	hangs [2]time.Time // between these nobody answers at all
	tries []time.Time
}

func (l *late) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	l.tries = append(l.tries, time.Now())
	if now := time.Now(); now.After(l.hangs[0]) && now.Before(l.hangs[1]) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if time.Now().Before(l.open) {
		return nil, &runctl.Error{Kind: runctl.ErrUnavailable, Msg: "nobody listens at 192.0.2.7"}
	}
	return l.Cloud.Connect(ctx, i, a)
}

func TestAMachineThatLetsNobodyInYetIsTriedOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{Cloud: fake.New(), open: time.Now().Add(8 * time.Minute)}
		l.hangs = [2]time.Time{time.Now().Add(225 * time.Second), time.Now().Add(250 * time.Second)} // the first Start is left within
		c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("s")}, l)
		require.NoError(t, err)
		defer c.Close()
		s := runctl.RunSpec{Key: "late", Lifetime: time.Hour, MaxHourly: runctl.USD(50), Needs: runctl.OfferQuery{Road: runctl.RoadShell}, Job: runctl.Job{Args: []string{"true"}}}

		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		_, err = c.Start(ctx, s)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "stopped before the job was started (the machine is up but cannot be reached", "what it was waiting for")
		assert.ErrorContains(t, err, "nobody listens at 192.0.2.7", "and why")

		r, err := c.Start(t.Context(), s)
		require.NoError(t, err)
		for k := 1; k < len(l.tries); k++ {
			if l.tries[k-1].Before(l.hangs[0]) || l.tries[k-1].After(l.hangs[1]) { // one that hangs takes its time
				assert.Less(t, l.tries[k].Sub(l.tries[k-1]), 15*time.Second, "between two tries")
			}
		}
		assert.Less(t, len(l.tries), 70)
		_, err = r.Wait(t.Context())
		require.NoError(t, err)
	})
}
