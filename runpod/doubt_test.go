package runpod_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// outcome is what becomes of the request that creates a pod.
type outcome struct {
	name  string
	fault *face.Fault // nil: all goes well
	acts  bool        // a pod exists afterwards
	told  bool        // and the client knows at once whether
}

func slow(f face.Fault) *face.Fault { f.Hold = 3 * time.Second; return &f }

var outcomes = []outcome{
	{"all goes well", slow(face.Fault{On: "createPod"}), true, true},
	{"the request is lost", slow(face.LostRequest), false, false},
	{"the reply is lost", slow(face.LostReply), true, false},
	{"500 after creating", slow(face.ErrorAfter), true, false},
	{"a 201 that cannot be read", slow(face.Unreadable), true, false},
	{"a 201 that is cut in the middle", slow(face.HalfReply), true, false},
	{"a gateway's page, and the request went on", slow(face.Fault{On: "createPod", Acts: true, Status: 502, Kind: "text/html", Body: "<html>"}), true, false},
	{"a gateway's page, and it did not", slow(face.Fault{On: "createPod", Status: 502, Kind: "text/html", Body: "<html>"}), false, false},
	{"no answer before the deadline", &face.Fault{On: "createPod", Acts: true, Hold: time.Hour, Cut: face.NoReply}, true, false},
	{"no capacity", slow(face.NoCapacity), false, true},
}

// TestALaunchNeverMakesTwoPods is the launch rule over RunPod's wire: every outcome of the one POST × how long a new pod is
// missing from lists × what is assumed of that × whether the caller gives up meanwhile.
func TestALaunchNeverMakesTwoPods(t *testing.T) {
	for _, o := range outcomes {
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			// Unknown; such that the pod appears at the very edge; just before it. Too short an assumption promises nothing.
			for _, settle := range []time.Duration{0, max(lag, time.Nanosecond), lag + time.Second} {
				for _, leaves := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/lag %s/settle %s/leaves %v", o.name, lag, settle, leaves), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { checkLaunch(t, o, lag, settle, leaves) })
					})
				}
			}
		}
	}
}

func checkLaunch(t *testing.T, o outcome, lag, settle time.Duration, leaves bool) {
	w := newTenant(t, face.Options{ListLag: lag}, runpod.Config{Settle: settle})
	w.face.Inject(*o.fault)
	ctx := t.Context()
	if leaves {
		ctx = cancelAfter(t, 2*time.Second)
	}
	i, err := w.c.Launch(ctx, machine("k1"))
	pods := w.under("k1")
	require.LessOrEqual(t, len(pods), 1, "two pods under one key")
	posts := w.face.Served("createPod")
	if settle == 0 || leaves {
		require.Equal(t, 1, posts, "a second POST by the clock alone")
	}
	require.LessOrEqual(t, posts, 2)
	switch {
	case err == nil:
		require.Equal(t, []string{i.ID}, pods, "Launch returned nil")
		require.Equal(t, "k1", i.Mark.Key)
	case errors.Is(err, runctl.ErrUncertain):
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		require.True(t, e.MayBill)
		require.False(t, o.told)
		require.True(t, leaves || settle == 0 && !o.acts, "the doubt could be resolved: %v", err)
	default:
		require.Empty(t, pods, "a pod bills, and the error does not say so: %v", err)
		require.True(t, o.told, err)
		require.ErrorIs(t, err, runctl.ErrCapacity)
	}
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), apiKey)

	// The same key again, from this process and from another that knows nothing.
	w.face.Heal()
	before := len(pods)
	again, err := w.c.Launch(t.Context(), machine("k1"))
	require.LessOrEqual(t, len(w.under("k1")), 1, "two pods under one key")
	if before == 1 {
		require.NoError(t, err)
		require.Equal(t, pods[0], again.ID)
	} else if err != nil {
		require.ErrorIs(t, err, runctl.ErrUncertain)
		require.Zero(t, settle, "absence was provable")
		require.Equal(t, posts, w.face.Served("createPod"))
	}
	if now := w.under("k1"); len(now) == 1 {
		pass(lag)
		other, err := w.client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		require.Equal(t, now[0], other.ID, "another process adopts")
	}
	w.reapAll()
	assert.Empty(t, w.under("k1"), "left after Reap")
	assert.Empty(t, w.face.Billing())
}

func TestAnUnresolvedDoubtIsUncertainAndNamesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		w.face.Inject(face.LostRequest)
		began := time.Now()
		_, err := w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain)
		assert.ErrorContains(t, err, "k1")
		assert.Equal(t, 1, w.face.Served("createPod"))
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Minute, "it was looked for")
		assert.LessOrEqual(t, w.face.Served("listPods"), 20)
		_, err = w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "and again, without another POST")
		assert.Equal(t, 1, w.face.Served("createPod"))
	})
}

func TestASecondPOSTComesAtTheSettleEdgeAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const settle = 90 * time.Second
		w := newTenant(t, face.Options{}, runpod.Config{Settle: settle})
		w.face.Inject(face.LostRequest)
		began := time.Now()
		i, err := w.c.Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		assert.Equal(t, []string{i.ID}, w.under("k1"))
		assert.Equal(t, 2, w.face.Served("createPod"))
		born := w.face.Pod(i.ID).CreatedAt
		assert.GreaterOrEqual(t, born.Sub(began), settle)
		assert.Less(t, born.Sub(began), settle+10*time.Second)
	})
}

// TestAPodThatAppearsAtTheEdgeIsFound has the pod come into the lists at the very edge of the settle time, wherever the looks fall.
func TestAPodThatAppearsAtTheEdgeIsFound(t *testing.T) {
	for lag := 500 * time.Millisecond; lag < 70*time.Second; lag += 500 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{ListLag: lag}, runpod.Config{Settle: lag})
			w.face.Inject(face.LostReply)
			i, err := w.c.Launch(t.Context(), machine("k1"))
			require.NoError(t, err, lag)
			require.Equal(t, []string{i.ID}, w.under("k1"), lag)
			require.Equal(t, 1, w.face.Served("createPod"), lag)
		})
	}
}

func TestListsThatFailProveNothing(t *testing.T) {
	for _, broken := range []face.Fault{
		{On: "listPods", Times: -1, Status: 500, Body: `{"title":"x","status":500,"detail":"y"}`}, {On: "listPods", Times: -1, Cut: face.NoReply},
		{On: "listPods", Times: -1, Acts: true, Cut: face.Half}, {On: "listPods", Times: -1, Status: 200, Body: `{}`, Kind: "application/json"},
		{On: "listPods", Times: -1, Status: 502, Body: "<html>", Kind: "text/html"}, {On: "listPods", Times: -1, Status: 429, Body: `{"title":"x","status":429,"detail":"y"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{}, runpod.Config{Settle: time.Second})
			w.face.Inject(face.LostRequest, face.Fault{On: "listPods", Skip: 0, Times: 0, Hold: 1})
			w.face.Heal()
			w.face.Inject(face.LostRequest)
			broken.Skip = 1 // the look before the launch goes well
			w.face.Inject(broken)
			_, err := w.c.Launch(t.Context(), machine("k1"))
			require.ErrorIs(t, err, runctl.ErrUncertain, "%+v", broken)
			assert.Equal(t, 1, w.face.Served("createPod"))
		})
	}
}

func TestACopyWithoutOurSealIsNeitherAdoptedNorEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		spec := machine("k1")
		ours := w.launch("k1").Label
		require.NoError(t, w.c.Terminate(t.Context(), runctl.Ref{Provider: "runpod", Key: "k1", ID: w.under("k1")[0], Owner: "tester"}))
		w.face.Inject(face.LostRequest)
		// Names as others may choose them: sealed by somebody else, unsealed, cut, with ours in the environment alone.
		forged := runctl.Mark{Owner: "tester", Key: "k2", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
		strangers := []string{
			w.face.Add(forged.Label([]byte("another secret")), nil), w.face.Add(forged.Label(nil), nil), w.face.Add("rc1-tester-k2-", nil),
			w.face.Add(ours[:len(ours)-1], nil), w.face.Add("copy of "+ours, map[string]string{"RUNCTL_MARK": ours}), w.face.Add("RC1-TESTER-K2", nil),
		}
		spec.Key = "k2"
		_, err := w.c.Launch(t.Context(), spec)
		require.ErrorIs(t, err, runctl.ErrUncertain, "none of them is ours")
		w.reapAll()
		assert.ElementsMatch(t, strangers, w.face.Billing(), "none of them was touched")
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
			w.reapAll()
			assert.Empty(t, w.face.Billing(), "found again by its environment")
		})
	}
}

// TestManyLaunchesAtOnceUnderOneKeyAreOnePod has several callers in one process.
func TestManyLaunchesAtOnceUnderOneKeyAreOnePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 20 * time.Second}, runpod.Config{})
		w.face.Inject(*slow(face.LostReply))
		ids := make(chan string, 8)
		for range cap(ids) {
			go func() {
				i, err := w.c.Launch(context.WithoutCancel(t.Context()), machine("k1"))
				assert.NoError(t, err)
				ids <- i.ID
			}()
		}
		for range cap(ids) {
			assert.Equal(t, []string{<-ids}, w.under("k1"))
		}
		assert.Equal(t, 1, w.face.Served("createPod"))
	})
}
