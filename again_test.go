package runctl_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// fading is a place whose object is there until it is taken away.
type fading struct{ gone *bool }

func (fading) String() string { return "s3://b/fading" }

func (f fading) Fetch(context.Context, time.Duration) (runctl.Fetch, error) {
	if *f.gone {
		return runctl.Fetch{}, &runctl.Error{Kind: runctl.ErrNotFound, Msg: "nothing is there"}
	}
	return runctl.Fetch{URL: runctl.NewSecret(signed), Size: -1}, nil
}

func (f fading) Deliver(context.Context, time.Duration) (runctl.Secret, error) {
	return runctl.NewSecret(signed), nil
}

// A handler that is called twice must not end what its first call has started.
func TestARepeatedStartEndsNoRunThatMayBeGoingOn(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(ctx context.Context, cloud *fake.Cloud, first *runctl.Client, run *runctl.Run)
		same    bool // the second call is the same client's
		kind    runctl.Kind
	}{
		"the machine cannot be reached": {func(_ context.Context, cloud *fake.Cloud, _ *runctl.Client, _ *runctl.Run) {
			cloud.Inject(fake.Fault{Op: fake.OpConnect})
		}, false, runctl.ErrTimeout},
		"the machine does not answer": {func(_ context.Context, cloud *fake.Cloud, _ *runctl.Client, _ *runctl.Run) {
			cloud.Inject(fake.Fault{Op: fake.OpExec})
		}, false, runctl.ErrTimeout},
		"somebody else answers": {func(ctx context.Context, cloud *fake.Cloud, _ *runctl.Client, run *runctl.Run) {
			cloud.Impostor(run.Ref().ID)
			cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1}) // so that it is connected to again
			_, _ = run.Status(ctx)
		}, true, runctl.ErrHostKey},
		"the machine is stopped": {func(ctx context.Context, _ *fake.Cloud, first *runctl.Client, run *runctl.Run) {
			require.NoError(t, first.StopInstance(ctx, run.Ref()))
		}, false, runctl.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := fake.New(fake.With(slow), fake.ShellOnly(), fake.HostKeys(runctl.TrustChallenged))
				cloud.Script("tune", fake.Script{Hold: true})
				first, second := clientOf(t, cloud), clientOf(t, cloud)
				if c.same {
					second = first
				}
				run, err := first.Start(t.Context(), runSpec("tune"))
				require.NoError(t, err)
				c.trouble(t.Context(), cloud, first, run)
				_, err = second.Start(t.Context(), runSpec("tune"))
				require.ErrorIs(t, err, c.kind)
				require.ErrorContains(t, err, "may run the job, so it was left alone")
				var e *runctl.Error
				require.ErrorAs(t, err, &e)
				assert.True(t, e.MayBill)
				assert.Zero(t, cloud.Calls(fake.OpTerminate))
				assert.Len(t, cloud.Billing(), 1)
			})
		})
	}
}

func TestARepeatedStartEndsAMachineThatNeverHadItsJob(t *testing.T) {
	for name, c := range map[string]struct {
		boot time.Duration
		text string
	}{
		"it never comes up":                   {1000 * time.Hour, "did not come up within 20m0s; the machine was terminated"},
		"it must not be given what is secret": {10 * time.Minute, "nobody vouches for it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := slow
				late.Boot = c.boot
				cloud := fake.New(fake.With(late), fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
				s := runSpec("tune")
				s.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.NewSecret("canary")}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := clientOf(t, cloud).Start(ctx, s)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Len(t, cloud.Billing(), 1)
				_, err = clientOf(t, cloud).Start(t.Context(), s)
				require.ErrorContains(t, err, c.text)
				assert.Empty(t, cloud.Billing())
				assert.Equal(t, 1, cloud.Launched())
			})
		})
	}
}

func TestARepeatedStartNeedsNoInputThatTheRunHasFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(slow), fake.ShellOnly())
		cloud.Script("", fake.Script{Hold: true})
		gone := false
		s := carrying("tune", func(j *runctl.Job) { j.Inputs[0].From = fading{&gone} })
		c := clientOf(t, cloud)
		first, err := c.Start(t.Context(), s)
		require.NoError(t, err)
		j := s.Job
		j.ID, j.Shared = "by-hand", true
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "hand", Lifetime: time.Hour, MaxHourly: runctl.USD(99)})
		require.NoError(t, err)
		_, err = c.Submit(t.Context(), i.Ref(), j)
		require.NoError(t, err)

		gone = true
		again, err := clientOf(t, cloud).Start(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, first.Ref(), again.Ref())
		_, err = c.Submit(t.Context(), i.Ref(), j)
		require.NoError(t, err)
		j.ID = "another"
		_, err = c.Submit(t.Context(), i.Ref(), j)
		require.ErrorIs(t, err, runctl.ErrInvalid, "a run that was not there needs it")
		s.Key = "another"
		_, err = c.Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.Equal(t, 2, cloud.Launched())
	})
}

func TestASubmittedJobLeavesNothingThatCannotBeDelivered(t *testing.T) {
	c := clientOf(t, fake.New(fake.ShellOnly()))
	i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "hand", Lifetime: 8 * 24 * time.Hour, MaxCost: runctl.USD(99_999)})
	require.NoError(t, err)
	j := carrying("", func(*runctl.Job) {}).Job
	_, err = c.Submit(t.Context(), i.Ref(), j)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	require.ErrorContains(t, err, "addresses hold seven days at most")
	j.Limit = 24 * time.Hour
	_, err = c.Submit(t.Context(), i.Ref(), j)
	require.NoError(t, err)
}

func TestALogThatIsThereIsReadToItsEndHoweverLateItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Boot: time.Minute, Poll: 10 * time.Second, Silent: true}), fake.JobOnly(), fake.Unguarded())
		cloud.Script("", fake.Script{Hold: true, IgnoreTerm: true, Log: "one\ntwo\n"})
		s := runSpec("late")
		s.Unguarded = true
		run, err := clientOf(t, cloud).Start(t.Context(), s)
		require.NoError(t, err)
		_, err = run.Wait(t.Context())
		require.ErrorIs(t, err, runctl.ErrTimeout, "it is overdue")
		cloud.Inject(fake.Fault{Op: fake.OpProcess, Nth: 1, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		for _, err = range run.Logs(ctx, runctl.LogQuery{}) {
		}
		assert.Equal(t, time.Minute, time.Since(began), "the caller's context alone bounds it: %v", err)
	})
}

// A backup that was put back, or a tool that synchronises files: the log forgets, and the cloud does not.
func TestALogThatWasRolledBackSpendsNothingAndEndsNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(slow), fake.ShellOnly())
		cloud.Script("", fake.Script{Hold: true})
		with := func(path string) *runctl.Client {
			log, err := runctl.OpenIntents(path)
			require.NoError(t, err)
			return client(t, cloud, runctl.Config{Controller: "aaa", Intents: log})
		}
		path := filepath.Join(dir, "intents.log")
		c := with(path)
		kept, ended, doubtful := start(t, c, spec("kept", 0)), start(t, c, spec("ended", 0)), "doubtful"
		cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, After: true})
		lost := start(t, c, spec(doubtful, 0))
		require.NoError(t, c.Terminate(t.Context(), ended.Ref()))
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		lines := bytes.SplitAfter(whole, []byte("\n"))
		require.Greater(t, len(lines), 7)
		for n := range lines {
			older := filepath.Join(dir, fmt.Sprintf("%d.log", n))
			require.NoError(t, os.WriteFile(older, append(bytes.Join(lines[:n], nil), lines[n][:len(lines[n])/2]...), 0o600))
			if n == 0 { // half of the first line is no log: nobody has written to it yet
				require.NoError(t, os.Remove(older))
			}
			c := with(older)
			assert.Equal(t, kept.Ref(), start(t, c, spec("kept", 0)).Ref())
			assert.Equal(t, lost.Ref(), start(t, c, spec(doubtful, 0)).Ref())
			_, err := c.Start(t.Context(), spec("ended", 0))
			require.ErrorIs(t, err, runctl.ErrConflict)
			reaped, err := c.Reap(t.Context(), runctl.ReapRequest{})
			require.NoError(t, err)
			assert.Empty(t, reaped, "after %d lines", n)
		}
		assert.Equal(t, 3, cloud.Launched())
		assert.Len(t, cloud.Billing(), 2)
	})
}
