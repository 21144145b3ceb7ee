package runctl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	flaky := &flaky{}
	_, err := clientOf(t, cloud).Start(t.Context(), carrying("tune", func(j *runctl.Job) { j.Results[0].To = flaky }))
	require.NoError(t, err)
	assert.Equal(t, 3, flaky.asked)

	s := carrying("tune-2", func(j *runctl.Job) {
		j.Results[0].To = spot{put: &runctl.Error{Kind: runctl.ErrAuth, Msg: "no right to write " + signed}}
	})
	_, err = clientOf(t, cloud).Start(t.Context(), s)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.NotContains(t, err.Error(), "canary")
	assert.Len(t, cloud.Billing(), 1, "the machine of a job that could not be started has ended")
}

// flaky signs at the third time.
type flaky struct {
	spot
	asked int
}

func (f *flaky) Deliver(ctx context.Context, hold time.Duration) (runctl.Secret, error) {
	if f.asked++; f.asked < 3 {
		return runctl.Secret{}, errors.New("no connection " + strings.Repeat(".", f.asked))
	}
	return f.spot.Deliver(ctx, hold)
}
