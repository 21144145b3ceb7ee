package cloudtest

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// situation is one case of the launch rule.
type situation struct {
	Outcome
	Physics
	leaves bool // the caller gives up meanwhile
}

// situations are all cases: every outcome of the launch request × how long a new machine is missing from lists × what is assumed of
// that, or how the cloud behaves × whether the caller gives up meanwhile.
func (c Cloud) situations() (all []situation) {
	for _, o := range c.AllOutcomes(c.Launch) {
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			physics := []Physics{{ListLag: lag, GetLag: lag / 2}}
			if c.Settles { // such that the machine appears at the very edge, or just before it: too short an assumption promises nothing
				physics = append(physics, Physics{ListLag: lag, Settle: max(lag, time.Nanosecond)}, Physics{ListLag: lag, Settle: lag + time.Second})
			}
			for _, quirk := range c.Quirks {
				if lag == 5*time.Second { // the one has nothing to do with the other
					physics = append(physics, Physics{ListLag: lag, GetLag: lag / 2, Quirk: quirk})
				}
			}
			for _, p := range physics {
				all = append(all, situation{o, p, false}, situation{o, p, true})
			}
		}
	}
	return all
}

// LaunchRule: whatever becomes of a launch request, there is never a second machine under its key; exactly one where Launch returned
// nil; an error either proves that there is none or says that one may bill; and the same key finds it again, from every process.
func LaunchRule(t *testing.T, c Cloud) {
	t.Parallel()
	for _, s := range c.situations() {
		t.Run(fmt.Sprintf("%s/lag %s/settle %s%s/leaves %v", s.Name, s.ListLag, s.Settle, s.Quirk, s.leaves), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.launch(t, s) })
		})
	}
}

func (c Cloud) launch(t *testing.T, s situation) {
	a := c.Open(t, s.Physics)
	repeats := a.P.Info().Idempotent
	a.Face.Inject(s.Fault)
	ctx := t.Context()
	if s.leaves {
		ctx = CancelAfter(t, 2*time.Second)
	}
	i, err := a.C.Launch(ctx, a.Machine("k1"))
	found, requests := a.Under("k1"), a.Face.Served(c.Launch)
	require.LessOrEqual(t, len(found), 1, "two machines under one key")
	if !repeats {
		if s.Settle == 0 || s.leaves {
			require.Equal(t, 1, requests, "a second request by the clock alone")
		}
		require.LessOrEqual(t, requests, 2)
	}
	switch {
	case err == nil:
		require.Equal(t, []string{i.ID}, found, "Launch returned nil")
		require.Equal(t, "k1", i.Mark.Key)
	case errors.Is(err, runctl.ErrUncertain):
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		require.True(t, e.MayBill)
		require.False(t, s.well() || s.Told != nil, "the reply said what became of it: %v", err)
		require.True(t, s.leaves || !repeats && s.Settle == 0 && !s.Acts, "the doubt could be resolved: %v", err)
	default:
		require.Empty(t, found, "a machine bills, and the error does not say so: %v", err)
		require.NotNil(t, s.Told, "%v", err)
		require.ErrorIs(t, err, s.Told)
		require.LessOrEqual(t, requests, max(c.Requests, 1))
	}
	for _, secret := range c.Secrets {
		require.NotContains(t, fmt.Sprintf("%v %+v", err, err), secret)
	}
	a.Face.Heal()
	c.again(t, a, s, found, repeats)
	a.ReapAll()
	Pass(time.Minute)
	assert.Empty(t, a.Under("k1"), "left after Reap")
	assert.Empty(t, a.Face.Billing())
}

// again launches with the same key, from this process and from another that knows nothing. found is what the first launch left.
func (c Cloud) again(t *testing.T, a *Account, s situation, found []string, repeats bool) {
	requests := a.Face.Served(c.Launch)
	again, err := a.C.Launch(t.Context(), a.Machine("k1"))
	if errors.Is(err, runctl.ErrUnavailable) && repeats && s.ListLag > 0 { // it is not shown yet: nothing is concluded, and nothing launched
		require.LessOrEqual(t, len(a.Under("k1")), 1)
		Pass(s.ListLag)
		again, err = a.C.Launch(t.Context(), a.Machine("k1"))
	}
	now := a.Under("k1")
	require.LessOrEqual(t, len(now), 1, "two machines under one key")
	if err != nil {
		require.ErrorIs(t, err, runctl.ErrUncertain)
		require.Empty(t, found)
		require.False(t, repeats || s.Settle > 0, "absence was provable: %v", err)
		require.Equal(t, requests, a.Face.Served(c.Launch))
		return
	}
	require.Equal(t, []string{again.ID}, now)
	if len(found) == 1 {
		require.Equal(t, found, now)
	}
	Pass(s.ListLag)
	requests = a.Face.Served(c.Launch)
	other, err := a.Process().Launch(t.Context(), a.Machine("k1"))
	require.NoError(t, err)
	require.Equal(t, again.ID, other.ID, "another process adopts")
	require.Equal(t, requests, a.Face.Served(c.Launch))
}
