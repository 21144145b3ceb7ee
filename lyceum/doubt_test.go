package lyceum_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// outcome is what becomes of the request that creates a machine.
type outcome struct {
	name  string
	fault *face.Fault
	acts  bool // a machine exists afterwards
	told  bool // and the client knows at once whether
}

func slow(f face.Fault) *face.Fault { f.Hold = 3 * time.Second; return &f }

// outcomes are those of an operation.
func outcomes(op string) []outcome {
	on := func(f face.Fault) *face.Fault { f.On = op; return slow(f) }
	return []outcome{
		{"all goes well", on(face.Fault{}), true, true},
		{"the request is lost", on(face.LostRequest), false, false},
		{"the reply is lost", on(face.LostReply), true, false},
		{"500 after creating", on(face.ErrorAfter), true, false},
		{"500 and nothing was created", on(face.Fault{Status: 500, Body: `{"detail":"Internal Server Error"}`}), false, false},
		{"a 200 that cannot be read", on(face.Unreadable), true, false},
		{"a 200 that is cut in the middle", on(face.HalfReply), true, false},
		{"a gateway's page, and the request went on", on(face.Fault{Acts: true, Status: 502, Kind: "text/html", Body: "<html>"}), true, false},
		{"a gateway's page, and it did not", on(face.Fault{Status: 502, Kind: "text/html", Body: "<html>"}), false, false},
		{"a gateway's page with the words for no capacity", on(face.Fault{Acts: true, Status: 500, Kind: "text/html", Body: "<p>could not be provisioned"}), true, false},
		{"no answer before the deadline", &face.Fault{On: op, Acts: true, Hold: time.Hour, Cut: face.NoReply}, true, false},
		{"no capacity", on(face.NoCapacity), false, op == "createVM"}, // of machines alone it is known to mean that
	}
}

// TestALaunchNeverMakesTwoMachines is the launch rule over Lyceum's wire: every outcome of the one POST × how long a new machine is
// missing from lists × what is assumed of that × whether the caller gives up meanwhile.
func TestALaunchNeverMakesTwoMachines(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes("createVM") {
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			// Unknown, or such that the machine appears at the very edge. Too short an assumption promises nothing.
			for _, settle := range []time.Duration{0, max(lag, time.Nanosecond)} {
				for _, leaves := range []bool{false, true} {
					if leaves && settle != 0 { // nothing is proven while nobody looks
						continue
					}
					t.Run(fmt.Sprintf("%s/lag %s/settle %s/leaves %v", o.name, lag, settle, leaves), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { checkLaunch(t, o, lag, settle, leaves) })
					})
				}
			}
		}
	}
}

func checkLaunch(t *testing.T, o outcome, lag, settle time.Duration, leaves bool) {
	w := newTenant(t, face.Options{ListLag: lag, Provisioning: 2 * time.Minute}, lyceum.Config{Settle: settle})
	w.face.Inject(*o.fault)
	ctx := t.Context()
	if leaves {
		ctx = cancelAfter(t, 2*time.Second)
	}
	i, err := w.c.Launch(ctx, machine("k1"))
	vms := w.under("k1")
	require.LessOrEqual(t, len(vms), 1, "two machines under one key")
	posts := w.face.Served("createVM")
	if settle == 0 || leaves {
		require.Equal(t, 1, posts, "a second POST by the clock alone")
	}
	require.LessOrEqual(t, posts, 2)
	switch {
	case err == nil:
		require.Equal(t, []string{i.ID}, vms, "Launch returned nil")
		require.Equal(t, "k1", i.Mark.Key)
	case errors.Is(err, runctl.ErrUncertain):
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		require.True(t, e.MayBill)
		require.False(t, o.told)
		require.True(t, leaves || settle == 0 && !o.acts, "the doubt could be resolved: %v", err)
	default:
		require.Empty(t, vms, "a machine bills, and the error does not say so: %v", err)
		require.True(t, o.told, err)
		require.ErrorIs(t, err, runctl.ErrCapacity)
	}
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), apiKey)

	// The same key again, from this process and from another that knows nothing.
	w.face.Heal()
	before := len(vms)
	again, err := w.c.Launch(t.Context(), machine("k1"))
	require.LessOrEqual(t, len(w.under("k1")), 1, "two machines under one key")
	if before == 1 {
		require.NoError(t, err)
		require.Equal(t, vms[0], again.ID)
	} else if err != nil {
		require.ErrorIs(t, err, runctl.ErrUncertain)
		require.Zero(t, settle, "absence was provable")
		require.Equal(t, posts, w.face.Served("createVM"))
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
		w := newTenant(t, face.Options{}, lyceum.Config{})
		w.face.Inject(face.LostRequest)
		began := time.Now()
		_, err := w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain)
		assert.ErrorContains(t, err, "k1")
		assert.Equal(t, 1, w.face.Served("createVM"))
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Minute, "it was looked for")
		assert.LessOrEqual(t, w.face.Served("listVMs"), 20)
		_, err = w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "and again, without another POST")
		assert.Equal(t, 1, w.face.Served("createVM"))
	})
}

// TestAMachineThatAppearsAtTheEdgeIsFound has the machine come into the lists at the very edge of the settle time, wherever the looks fall.
func TestAMachineThatAppearsAtTheEdgeIsFound(t *testing.T) {
	t.Parallel()
	for lag := time.Second; lag < 70*time.Second; lag += time.Second {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{ListLag: lag}, lyceum.Config{Settle: lag})
			w.face.Inject(face.LostReply)
			i, err := w.c.Launch(t.Context(), machine("k1"))
			require.NoError(t, err, lag)
			require.Equal(t, []string{i.ID}, w.under("k1"), lag)
			require.Equal(t, 1, w.face.Served("createVM"), lag)
		})
	}
}

func TestListsThatFailProveNothing(t *testing.T) {
	for _, op := range []string{"listVMs", "listActiveRuns"} {
		for _, broken := range []face.Fault{
			{Status: 500, Body: `{"detail":"x"}`}, {Cut: face.NoReply}, {Acts: true, Cut: face.Half}, {Status: 200, Body: `{}`, Kind: "application/json"},
			{Status: 502, Body: "<html>", Kind: "text/html"}, {Status: 429, Body: `{"detail":"x"}`}, {Status: 200, Body: `null`, Kind: "application/json"},
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{}, lyceum.Config{Settle: time.Second})
				w.face.Inject(face.LostRequest)
				broken.On, broken.Skip, broken.Times = op, 1, -1 // the look before the launch goes well
				w.face.Inject(broken)
				_, err := w.c.Launch(t.Context(), machine("k1"))
				require.ErrorIs(t, err, runctl.ErrUncertain, "%+v", broken)
				assert.Equal(t, 1, w.face.Served("createVM"))
			})
		}
	}
}

// TestAStrangersMachineIsNeitherAdoptedNorEnded has machines and runs in the same organisation with names as others may choose
// them: sealed by somebody else, unsealed, cut, copied from ours.
func TestAStrangersMachineIsNeitherAdoptedNorEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		spec := machine("k1")
		label := w.launch("k1").Label
		require.NoError(t, w.c.Terminate(t.Context(), runctl.Ref{Provider: "lyceum", Key: "k1", ID: w.under("k1")[0], Owner: "tester"}))
		w.face.Inject(face.LostRequest)
		forged := runctl.Mark{Owner: "tester", Key: "k2", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
		names := []string{forged.Label([]byte("another secret")), forged.Label(nil), "rc1-tester-k2-", label[:len(label)-1], "copy of " + label,
			strings.ToUpper(label), " " + label, "RC1-TESTER-K2", ""}
		var strangers []string
		for _, name := range names {
			strangers = append(strangers, w.face.Add(name), w.face.AddRun(name))
		}
		spec.Key = "k2"
		_, err := w.c.Launch(t.Context(), spec)
		require.ErrorIs(t, err, runctl.ErrUncertain, "none of them is ours")
		w.reapAll()
		assert.ElementsMatch(t, strangers, w.face.Billing(), "none of them was touched")
	})
}

// TestAWholeCopyOfANameIsLeftAlone has somebody give a machine of theirs the very name of ours. Lyceum has no place for a seal that
// cannot be copied, so the older of the two is ours, and nothing is done to the other.
func TestAWholeCopyOfANameIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		first := w.launch("k1")
		pass(time.Minute)
		copied := w.face.Add(first.Label)
		again, err := w.client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID, "another process adopts ours")
		w.reapAll()
		assert.Equal(t, []string{copied}, w.face.Billing(), "ours is ended, and ours alone")
	})
}

func TestAMachineWithACutNameIsEndedAtOnce(t *testing.T) {
	for _, most := range []int{20, -1} {
		for _, op := range []string{"createVM", "terminateVM"} {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{LabelMax: most}, lyceum.Config{})
				if op == "terminateVM" {
					w.face.Inject(face.Fault{On: op, Times: -1, Status: 500, Body: `{"detail":"x"}`})
				}
				_, err := w.c.Launch(t.Context(), machine("k1"))
				require.Error(t, err)
				e := new(runctl.Error)
				require.ErrorAs(t, err, &e)
				assert.Equal(t, len(w.face.Billing()) > 0, e.MayBill, "%v", err)
				assert.Equal(t, op == "terminateVM", e.MayBill, "%v", err)
			})
		}
	}
}

// TestManyLaunchesAtOnceUnderOneKeyAreOneMachine has several callers in one process.
func TestManyLaunchesAtOnceUnderOneKeyAreOneMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 20 * time.Second}, lyceum.Config{})
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
		assert.Equal(t, 1, w.face.Served("createVM"))
	})
}
