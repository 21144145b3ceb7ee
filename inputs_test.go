package runctl_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// spot is a place that signs addresses, and has one thing or nothing.
type spot struct {
	name  string
	fetch error
	put   error
}

const signed = "https://store.test/x?X-Amz-Signature=canary-5c1e"

func (s spot) String() string { return s.name }

func (s spot) Fetch(context.Context, time.Duration) (runctl.Fetch, error) {
	return runctl.Fetch{URL: runctl.NewSecret(signed), Size: -1}, s.fetch
}

func (s spot) Deliver(_ context.Context, hold time.Duration) (runctl.Secret, error) {
	if hold <= 0 || hold > 7*24*time.Hour {
		return runctl.Secret{}, fmt.Errorf("an address for %s", hold)
	}
	return runctl.NewSecret(signed), s.put
}

func carrying(key string, change func(*runctl.Job)) runctl.RunSpec {
	s := runSpec(key)
	s.Job.Inputs = []runctl.Input{{From: spot{name: "s3://b/in"}, To: "in"}}
	s.Job.Results = []runctl.Result{{From: "out", To: spot{name: "s3://b/out"}}}
	change(&s.Job)
	return s
}

func TestWhatCannotBeCarriedIsRefusedBeforeAnythingIsSpent(t *testing.T) {
	gone := spot{"s3://b/in", &runctl.Error{Kind: runctl.ErrNotFound}, nil}
	for name, c := range map[string]struct {
		change func(*runctl.Job)
		want   string
	}{
		"an input from nowhere":         {func(j *runctl.Job) { j.Inputs[0].From = nil }, "Job.Inputs: in comes from nowhere"},
		"an input that climbs out":      {func(j *runctl.Job) { j.Inputs[0].To = "../x" }, `Job.Inputs: "../x": a path below`},
		"an absolute input":             {func(j *runctl.Job) { j.Inputs[0].To = "/etc/x" }, `Job.Inputs: "/etc/x"`},
		"a file for the directory":      {func(j *runctl.Job) { j.Inputs[0].To = "." }, `Job.Inputs: "."`},
		"an input like an option":       {func(j *runctl.Job) { j.Inputs[0].To = "-x" }, `Job.Inputs: "-x"`},
		"a result with a newline":       {func(j *runctl.Job) { j.Results[0].From = "a\nb" }, "Job.Results"},
		"a result to nowhere":           {func(j *runctl.Job) { j.Results[0].To = nil }, "Job.Results: out goes nowhere"},
		"too many":                      {func(j *runctl.Job) { j.Results = make([]runctl.Result, 30); fillResults(j.Results) }, "31 together, at most 30"},
		"two checkpoints to begin with": {func(j *runctl.Job) { j.Checkpoints, j.Resume = spot{}, "/old" }, "Job.Resume"},
		"an input that is not there":    {func(j *runctl.Job) { j.Inputs[0].From = gone }, "Job.Inputs: s3://b/in cannot be used"},
		"an input without permission": {func(j *runctl.Job) {
			j.Inputs[0].From = spot{"s3://b/in", &runctl.Error{Kind: runctl.ErrAuth, Msg: signed}, nil}
		}, "Job.Inputs: s3://b/in cannot be used"},
		"a result that cannot be written for as long": {func(j *runctl.Job) {
			j.Results[0].To = spot{"s3://b/out", nil, &runctl.Error{Kind: runctl.ErrInvalid, Msg: "hold: the keys end sooner " + signed}}
		}, "Job.Results: s3://b/out cannot be used"},
		"checkpoints without permission": {func(j *runctl.Job) {
			j.Checkpoints = spot{"s3://b/ckpt", nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: signed}}
		}, "Job.Checkpoints: s3://b/ckpt cannot be used"},
		"a variable that is ours": {func(j *runctl.Job) { j.Env = map[string]string{"_RUNCTL_CARRY": "x"} }, "names with RUNCTL_ are set by runctl"},
	} {
		cloud := fake.New(fake.ShellOnly())
		_, err := clientOf(t, cloud).Start(t.Context(), carrying("tune", c.change))
		require.ErrorIs(t, err, runctl.ErrInvalid, name)
		assert.Contains(t, err.Error(), c.want, name)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "canary", name)
		assert.Zero(t, cloud.Launched(), name)
	}
	cloud := fake.New(fake.ShellOnly())
	long := carrying("tune", func(*runctl.Job) {})
	long.Lifetime = 8 * 24 * time.Hour
	_, err := clientOf(t, cloud).Start(t.Context(), long)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Contains(t, err.Error(), "addresses hold seven days at most")
	long.Job.Results = nil
	_, err = clientOf(t, cloud).Start(t.Context(), long)
	require.NoError(t, err, "inputs are fetched at once")
}

func fillResults(all []runctl.Result) {
	for i := range all {
		all[i] = runctl.Result{From: "x", To: spot{}}
	}
}

func TestOnlyTheShellRoadCarries(t *testing.T) {
	for _, change := range []func(*runctl.Job){
		func(j *runctl.Job) { j.Results = nil },
		func(j *runctl.Job) { j.Inputs = nil },
		func(j *runctl.Job) { j.Inputs, j.Results, j.Checkpoints = nil, nil, spot{} },
	} {
		s := carrying("tune", change)
		run, err := clientOf(t, fake.New()).Start(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, runctl.RoadShell, run.Instance().Road, "chosen by the client, where an offer has both")
		s.Needs.Road = runctl.RoadJob
		s.Key = "tune-2"
		_, err = clientOf(t, fake.New()).Start(t.Context(), s)
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
}

func TestAnotherPlaceIsAnotherRequest(t *testing.T) {
	cloud := fake.New(fake.ShellOnly())
	c := clientOf(t, cloud)
	_, err := c.Start(t.Context(), carrying("tune", func(*runctl.Job) {}))
	require.NoError(t, err)
	_, err = c.Start(t.Context(), carrying("tune", func(*runctl.Job) {}))
	require.NoError(t, err, "the same again finds the first")
	for _, change := range []func(*runctl.Job){
		func(j *runctl.Job) { j.Inputs[0].From = spot{name: "s3://b/another"} },
		func(j *runctl.Job) { j.Inputs[0].Unpack = true },
		func(j *runctl.Job) { j.Results[0].To = spot{name: "s3://b/another"} },
		func(j *runctl.Job) { j.Checkpoints = spot{name: "s3://b/ckpt"} },
	} {
		_, err = c.Start(t.Context(), carrying("tune", change))
		require.ErrorIs(t, err, runctl.ErrConflict)
	}
	assert.Equal(t, 1, cloud.Launched())
}

func TestAddressesGoToNoMachineThatNobodyVouchesFor(t *testing.T) {
	cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
	_, err := clientOf(t, cloud).Start(t.Context(), carrying("tune", func(*runctl.Job) {}))
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Contains(t, err.Error(), "Job.Inputs: the machine's host key")
	assert.Zero(t, cloud.Calls(fake.OpExec))
	_, err = clientOf(t, cloud).Start(t.Context(), carrying("tune-2", func(j *runctl.Job) { j.SecretsOnFirstUse = true }))
	require.NoError(t, err)
}

func TestAPlaceThatFailsForAWhileIsAskedAgain(t *testing.T) {
	cloud := fake.New(fake.ShellOnly())
	cut := errors.New("no connection")
	after := &script{puts: []error{nil, cut, cut, nil}} // the first is asked for before the launch
	_, err := clientOf(t, cloud).Start(t.Context(), carrying("tune", func(j *runctl.Job) { j.Results[0].To = after }))
	require.NoError(t, err)
	assert.Empty(t, after.puts)

	s := carrying("tune-2", func(j *runctl.Job) {
		j.Results[0].To = &script{puts: []error{nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "no right to write " + signed}}}
	})
	_, err = clientOf(t, cloud).Start(t.Context(), s)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.NotContains(t, err.Error(), "canary")
	assert.Equal(t, 2, cloud.Launched())
	assert.Len(t, cloud.Billing(), 1, "the machine of a job that could not be started has ended")
}

// script is a place whose answers are written down.
type script struct {
	spot
	puts []error
}

func (s *script) Deliver(ctx context.Context, hold time.Duration) (runctl.Secret, error) {
	s.put, s.puts = s.puts[0], s.puts[1:]
	return s.spot.Deliver(ctx, hold)
}

// kept remembers for how long addresses were asked for.
type kept struct {
	spot
	holds []time.Duration
}

func (k *kept) Deliver(ctx context.Context, hold time.Duration) (runctl.Secret, error) {
	k.holds = append(k.holds, hold)
	return k.spot.Deliver(ctx, hold)
}

func TestAddressesHoldUntilTheJobsLatestEnd(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 2*time.Hour + time.Minute + time.Hour, 30 * time.Minute: 30*time.Minute + time.Minute + time.Hour} {
		to := &kept{}
		s := carrying("tune", func(j *runctl.Job) { j.Results[0].To, j.Limit, j.Grace = to, limit, time.Minute })
		s.Lifetime = 2 * time.Hour
		_, err := clientOf(t, fake.New(fake.ShellOnly())).Start(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, to.holds, 2)
		assert.Equal(t, want, to.holds[0], "before the launch")
		assert.InDelta(t, want.Minutes(), to.holds[1].Minutes(), 5, "with the job")
		assert.LessOrEqual(t, to.holds[1], want)
	}
}

func TestAMachineWithWhatWasNotDeliveredIsKept(t *testing.T) {
	for code, kept := range map[int]bool{0: false, 3: false, 74: true} {
		cloud := fake.New(fake.ShellOnly())
		cloud.Script("tune", fake.Script{ExitCode: code})
		receipt, err := clientOf(t, cloud).Run(t.Context(), carrying("tune", func(*runctl.Job) {}))
		assert.Equal(t, code, receipt.ExitCode)
		assert.Equal(t, code == 0, err == nil)
		if kept {
			assert.ErrorContains(t, err, "the machine is kept for another try")
			var e *runctl.Error
			assert.True(t, errors.As(err, &e) && e.MayBill)
		}
		assert.Equal(t, kept, cloud.Calls(fake.OpTerminate) == 0, "%d", code)
	}
}
