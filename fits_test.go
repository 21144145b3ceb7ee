package runctl_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// narrow is a cloud whose option ties a machine to one zone, and which keeps something beside machines.
type narrow struct {
	*fake.Cloud
	launched []runctl.LaunchRequest
	swept    []string
	broken   error
}

type inZone string

func (inZone) ForProvider() string { return "fake" }

func (n *narrow) Fits(_ context.Context, options []runctl.LaunchOption) (func(runctl.Offer) error, error) {
	return func(o runctl.Offer) error {
		if len(options) > 0 && o.Zone != string(options[0].(inZone)) {
			return errors.New("the disk is elsewhere")
		}
		return nil
	}, n.broken
}

func (n *narrow) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	n.launched = append(n.launched, req)
	return n.Cloud.Launch(ctx, req)
}

func (n *narrow) Sweep(_ context.Context, owner string) error {
	n.swept = append(n.swept, owner)
	return n.broken
}

func newNarrow(t *testing.T) (*narrow, *runctl.Client) {
	t.Helper()
	offer := func(id, zone string, price float64) runctl.Offer {
		return runctl.Offer{ID: id, Type: "t", Region: "r", Zone: zone, Market: runctl.OnDemand, Roads: runctl.RoadShell | runctl.RoadJob, EndsItself: true, Keeps: true, Price: runctl.Price{Hourly: runctl.USD(price)}}
	}
	n := &narrow{Cloud: fake.New(fake.Offers(offer("a", "za", 1), offer("b", "zb", 2)))}
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("s")}, n)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return n, c
}

func TestAnOfferThatDoesNotFitTheOptionsIsNotTried(t *testing.T) {
	n, c := newNarrow(t)
	spec := runctl.LaunchSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(5), Options: []runctl.LaunchOption{inZone("zb")}}
	i, err := c.Launch(t.Context(), spec)
	require.NoError(t, err)
	assert.Equal(t, "zb", i.Zone, "though the other is cheaper")
	assert.Len(t, n.launched, 1, "the other was not even asked for")

	spec.Options = []runctl.LaunchOption{inZone("zc")}
	_, err = c.Launch(t.Context(), spec)
	assert.ErrorContains(t, err, "the disk is elsewhere")
	n.broken = errors.New("cannot be told")
	_, err = c.Launch(t.Context(), spec)
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.NotStarted)
	assert.ErrorContains(t, err, "cannot be told")
	assert.Len(t, n.launched, 1)

	both, err := runctl.New(runctl.Config{Owner: "me"}, n, &other{fake.New()})
	require.NoError(t, err)
	defer both.Close()
	spec.Options, spec.MaxHourly = nil, runctl.USD(100)
	i, err = both.Launch(t.Context(), spec)
	require.NoError(t, err)
	assert.Equal(t, "other", i.Provider, "what one provider cannot tell does not keep the others from launching")
}

// other is a second cloud.
type other struct{ *fake.Cloud }

func (o *other) Info() runctl.Info {
	i := o.Cloud.Info()
	i.Name = "other"
	return i
}

func TestAMachineKeepsItsDiskWhereItMayHoldTheOnlyCopy(t *testing.T) {
	for what, row := range map[string]struct {
		job  *runctl.Job
		want bool
	}{
		"by hand":                       {nil, true},
		"a job without outputs":         {&runctl.Job{Args: []string{"true"}}, false},
		"a job with outputs":            {&runctl.Job{Args: []string{"true"}, Outputs: []string{"out"}}, true},
		"outputs that may be discarded": {&runctl.Job{Args: []string{"true"}, Outputs: []string{"out"}, DiscardOutputs: true}, false},
	} {
		t.Run(what, func(t *testing.T) {
			n, c := newNarrow(t)
			if row.job == nil {
				_, err := c.Launch(t.Context(), runctl.LaunchSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(5)})
				require.NoError(t, err)
			} else {
				_, err := c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(5), Job: *row.job})
				require.NoError(t, err)
			}
			require.Len(t, n.launched, 1)
			assert.Equal(t, row.want, n.launched[0].KeepDisk)
		})
	}
}

func TestReapSweepsWhenItsOwnerHasNoMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, c := newNarrow(t)
		_, err := c.Reap(t.Context(), runctl.ReapRequest{DryRun: true})
		require.NoError(t, err)
		assert.Empty(t, n.swept, "a dry run ends nothing")
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(5)})
		require.NoError(t, err)
		_, err = c.Reap(t.Context(), runctl.ReapRequest{})
		require.NoError(t, err)
		assert.Empty(t, n.swept)
		require.NoError(t, c.Terminate(t.Context(), i.Ref()))
		_, err = c.Reap(t.Context(), runctl.ReapRequest{})
		require.NoError(t, err)
		assert.Equal(t, []string{"me"}, slices.Compact(n.swept))
		n.broken = errors.New("no")
		_, err = c.Reap(t.Context(), runctl.ReapRequest{})
		assert.ErrorContains(t, err, "no")
	})
}
