package cloudtest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/wire"
)

// DoubtIsToldWithItsKey: a doubt that nothing can resolve is ErrUncertain with the key in it, after it was looked for as long as it
// may take and with few requests; and the launch is never repeated.
func DoubtIsToldWithItsKey(t *testing.T, c Cloud) {
	synctest.Test(t, func(t *testing.T) {
		a := c.Open(t, Physics{NoTokens: true})
		a.Face.Inject(c.lost(false))
		began := time.Now()
		_, err := a.C.Launch(t.Context(), a.Machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain)
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "k1", e.Key)
		assert.ErrorContains(t, err, "Launch with key k1 again")
		assert.Equal(t, 1, a.Face.Served(c.Launch))
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Minute, "it was looked for")
		for _, op := range c.Lists {
			assert.LessOrEqual(t, a.Face.Served(op), 20, op)
		}
		_, err = a.C.Launch(t.Context(), a.Machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "and again, without another request")
		assert.Equal(t, 1, a.Face.Served(c.Launch))
	})
}

// TheSettleTimeIsKept: a machine that comes into the lists at the very edge of the settle time is found, wherever the looks fall; and
// where none comes, the second request is made at that edge and not before.
func TheSettleTimeIsKept(t *testing.T, c Cloud) {
	t.Parallel()
	for lag := 500 * time.Millisecond; lag < 70*time.Second; lag += 500 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			a := c.Open(t, Physics{ListLag: lag, Settle: lag})
			a.Face.Inject(c.lost(true))
			i, err := a.C.Launch(t.Context(), a.Machine("k1"))
			require.NoError(t, err, lag)
			require.Equal(t, []string{i.ID}, a.Under("k1"), lag)
			require.Equal(t, 1, a.Face.Served(c.Launch), lag)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		const settle = 90 * time.Second
		a := c.Open(t, Physics{Settle: settle})
		a.Face.Inject(c.lost(false))
		began := time.Now()
		time.AfterFunc(settle-time.Nanosecond, func() { assert.Equal(t, 1, a.Face.Served(c.Launch)) })
		i, err := a.C.Launch(t.Context(), a.Machine("k1"))
		require.NoError(t, err)
		assert.Equal(t, []string{i.ID}, a.Under("k1"))
		assert.Equal(t, 2, a.Face.Served(c.Launch))
		assert.Less(t, time.Since(began), settle+10*time.Second)
	})
}

// ListsThatFailProveNothing: not that a launch in doubt has started nothing, and not that nobody has launched under the key.
func ListsThatFailProveNothing(t *testing.T, c Cloud) {
	t.Parallel()
	none := append([]wire.Fault{c.Refuse(500, "x"), c.Refuse(429, "x"), {Cut: wire.NoReply}, {Cut: wire.Half, Acts: true}, {Status: 502, Kind: "text/html", Body: "<html>"},
		{Status: 200, Kind: "application/json", Body: "{}"}, {Status: 200, Kind: "application/json", Body: "null"}, {Status: 200, Kind: "application/json"}}, c.NoLists...)
	for _, op := range c.Lists {
		for _, broken := range none {
			broken.On, broken.Times = op, -1
			synctest.Test(t, func(t *testing.T) {
				a := c.Open(t, Physics{Settle: time.Second, NoTokens: true})
				late := broken
				late.Skip = 1 // the look before the launch goes well
				a.Face.Inject(c.lost(false), late)
				_, err := a.C.Launch(t.Context(), a.Machine("k1"))
				require.ErrorIs(t, err, runctl.ErrUncertain, "%+v", broken)
				assert.Equal(t, 1, a.Face.Served(c.Launch))
			})
			synctest.Test(t, func(t *testing.T) {
				a := c.Open(t, Physics{})
				i := a.Launch("k1")
				a.Face.Inject(broken)
				other, err := a.Process().Launch(t.Context(), a.Machine("k1"))
				require.True(t, err != nil || other.ID == i.ID, "%+v", broken)
				assert.Equal(t, []string{i.ID}, a.Under("k1"), "%+v", broken)
			})
		}
	}
}

// ManyLaunchesAtOnce under one key, in one process, are one machine, though the reply of the first is lost.
func ManyLaunchesAtOnce(t *testing.T, c Cloud) {
	synctest.Test(t, func(t *testing.T) {
		a := c.Open(t, Physics{ListLag: 20 * time.Second})
		lost := c.lost(true)
		lost.Hold = 3 * time.Second
		a.Face.Inject(lost)
		ids := make(chan string, 8)
		for range cap(ids) {
			go func() {
				i, err := a.C.Launch(context.WithoutCancel(t.Context()), a.Machine("k1"))
				assert.NoError(t, err)
				ids <- i.ID
			}()
		}
		for range cap(ids) {
			assert.Equal(t, []string{<-ids}, a.Under("k1"))
		}
		want := 1
		if a.P.Info().Idempotent { // once, and the repetition with the same token
			want = 2
		}
		assert.Equal(t, want, a.Face.Served(c.Launch))
	})
}

// NamesOfOthersAreLeftAlone: machines with names as others may choose them, sealed by somebody else, unsealed, cut, copied from ours, are
// neither adopted nor ended.
func NamesOfOthersAreLeftAlone(t *testing.T, c Cloud) {
	synctest.Test(t, func(t *testing.T) {
		a := c.Open(t, Physics{})
		first := a.Launch("k1")
		require.NoError(t, a.C.Terminate(t.Context(), first.Ref()))
		a.Face.Inject(c.lost(false))
		forged := runctl.Mark{Owner: Owner, Key: "k2", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
		var strangers []string
		for _, label := range []string{forged.Label([]byte("another secret")), forged.Label(nil), "rc1-tester-k2-", first.Label[:len(first.Label)-1], "copy of " + first.Label,
			strings.ToUpper(first.Label), " " + first.Label, "RC1-TESTER-K2", ""} {
			strangers = append(strangers, c.Forge(a, label)...)
			Pass(time.Second) // of two with one label the older would be taken for ours
		}
		_, err := a.C.Launch(t.Context(), a.Machine("k2"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "none of them is ours")
		a.ReapAll()
		assert.ElementsMatch(t, strangers, a.Face.Billing(), "none of them was touched")
	})
}
