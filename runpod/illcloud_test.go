package runpod_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

func TestAThrottledLaunchWaitsAsLongAsItWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		w.face.Inject(face.Fault{On: "createPod", Times: 2, Status: 429, Head: face.Throttled.Head, Body: face.Throttled.Body})
		began := time.Now()
		i := w.Launch("k1")
		assert.Equal(t, []string{i.ID}, w.under("k1"))
		assert.Equal(t, 3, w.face.Served("createPod"), "a refusal for speed starts nothing")
		assert.GreaterOrEqual(t, time.Since(began), 14*time.Second)
	})
}

func TestAMinutesQuotaIsToldAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{PerMinute: 5}, runpod.Config{Rate: 100})
		slowed := 0
		for _, key := range []string{"k1", "k2", "k3", "k4"} {
			_, err := w.c.Launch(t.Context(), machine(key))
			for ; err != nil; _, err = w.c.Launch(t.Context(), machine(key)) {
				var e *runctl.Error
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, runctl.ErrRateLimit)
				require.Positive(t, e.RetryAfter)
				require.Empty(t, w.under(key), "nothing was started")
				slowed++
				pass(e.RetryAfter)
			}
			require.Len(t, w.under(key), 1)
		}
		assert.Positive(t, slowed)
		assert.LessOrEqual(t, slowed, 8, "who waits as long as told is not refused again and again")
	})
}

func TestWordsThatNobodyKnowsAreAliveAndBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Extra: true, Word: func(s string) string { return "NEWLY_" + s }}, runpod.Config{})
		i := w.Launch("k1")
		assert.Equal(t, runctl.StateUnknown, i.State)
		assert.Equal(t, "NEWLY_RUNNING", i.Reason)
		all, err := w.c.List(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.True(t, all[0].State.Billing())
		w.ReapAll()
		assert.Empty(t, w.face.Billing())
	})
}

func TestAPodIsFoundOnWhateverPageItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{PageSize: 2, Extra: true}, runpod.Config{})
		var strangers []string
		for range 9 {
			strangers = append(strangers, w.face.Add("somebody's", nil))
		}
		w.face.Inject(face.LostReply)
		i := w.Launch("k1")
		assert.Equal(t, []string{i.ID}, w.under("k1"))
		assert.Equal(t, 1, w.face.Served("createPod"))
		w.ReapAll()
		assert.ElementsMatch(t, strangers, w.face.Billing())
	})
}

func TestAnAccountWithoutMoneyIsToldAndStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		w.face.Broke()
		_, err := w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrPayment)
		assert.Equal(t, 1, w.face.Served("createPod"), "no other offer helps")
		assert.Empty(t, w.face.Billing())
	})
}

func TestSoldOutIsNoCapacityAndSaysSoBeforeALaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		offers, err := w.c.Offers(t.Context(), machine("k1").Needs)
		require.NoError(t, err)
		w.face.SoldOut(true)
		s := machine("k1")
		s.Offer, s.Needs = &offers[0], runctl.OfferQuery{}
		_, err = w.c.Launch(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrCapacity)
		none, err := w.c.Offers(t.Context(), machine("k1").Needs)
		require.NoError(t, err)
		assert.Empty(t, none)
		assert.Empty(t, w.face.Billing())
	})
}

func TestAPodWithACutNameIsEndedAtOnce(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{NameMax: 20}, runpod.Config{})
			if lost {
				w.face.Inject(face.LostReply)
			}
			i, err := w.c.Launch(t.Context(), machine("k1"))
			if err != nil {
				assert.Empty(t, w.face.Billing(), "%v", err)
				return
			}
			require.True(t, lost, "a pod that bears another name")
			assert.Equal(t, []string{i.ID}, w.face.Billing())
			w.ReapAll()
			assert.Empty(t, w.face.Billing(), "found again by its environment")
		})
	}
}
