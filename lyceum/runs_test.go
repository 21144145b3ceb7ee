package lyceum_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// job is a job for a run: the cheapest, which is one without GPUs.
func job(key string) runctl.RunSpec {
	return runctl.RunSpec{Key: key, Needs: runctl.OfferQuery{Road: runctl.RoadJob}, MaxHourly: runctl.USD(5), Lifetime: 5 * time.Minute,
		Job: runctl.Job{Args: []string{"train"}, Image: "busybox"}}
}

func (w *tenant) start(key string) *runctl.Run {
	w.T.Helper()
	r, err := w.c.Start(w.T.Context(), job(key))
	require.NoError(w.T, err)
	return r
}

// does lets every run do the same.
func does(s face.Script) func(face.Run) face.Script { return func(face.Run) face.Script { return s } }

// TestARunEndsInFourWaysThatAreToldApart has a job that returns, one that is ended for its time, one that somebody aborts, and one
// that the platform loses.
func TestARunEndsInFourWaysThatAreToldApart(t *testing.T) {
	type result struct {
		cause runctl.Cause
		code  int
		lost  bool
	}
	for _, x := range []struct {
		name   string
		script face.Script
		abort  bool
		want   result
	}{
		{"well", face.Script{Exit: time.Minute}, false, result{runctl.CauseExit, 0, false}},
		{"with a code", face.Script{Exit: time.Minute, Code: 3}, false, result{runctl.CauseExit, 3, false}},
		{"for its time", face.Script{Exit: -1}, false, result{runctl.CauseLifetime, -1, false}},
		{"by an abort", face.Script{Exit: -1}, true, result{runctl.CauseCancel, -1, false}},
		{"by the platform", face.Script{Exit: time.Minute, Fault: "node lost"}, false, result{"", 0, true}},
	} {
		for _, how := range []struct {
			name   string
			stream face.Stream
		}{{"told by the stream", face.Stream{}}, {"by a stream without an end", face.Stream{NoEnd: true}}, {"by the record alone", face.Stream{NoURL: true, Gone: true, Method: "PUT"}}} {
			t.Run(x.name+", "+how.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTenant(t, face.Options{Script: does(x.script), Stream: how.stream, Queue: 20 * time.Second, Aborting: 10 * time.Second}, lyceum.Config{})
					r := w.start("k1")
					if x.abort {
						time.AfterFunc(30*time.Second, func() { assert.NoError(t, r.Cancel(t.Context(), 0)) })
					}
					receipt, err := r.Wait(t.Context())
					var exit *runctl.ExitError
					if x.want.lost {
						require.ErrorIs(t, err, runctl.ErrLost)
						require.ErrorContains(t, err, "node lost")
						return
					}
					assert.Equal(t, x.want.cause, receipt.Cause)
					if x.want.code >= 0 {
						assert.Equal(t, x.want.code, receipt.ExitCode)
					}
					if x.want.cause == runctl.CauseExit && x.want.code == 0 {
						require.NoError(t, err)
					} else {
						require.ErrorAs(t, err, &exit)
						assert.NotZero(t, receipt.ExitCode)
					}
					other, err := w.Client().Attach(t.Context(), r.Ref()) // and to who asks later
					require.NoError(t, err)
					later, _ := other.Wait(t.Context())
					assert.Equal(t, []any{receipt.Cause, receipt.ExitCode}, []any{later.Cause, later.ExitCode})
					require.NoError(t, w.c.Terminate(t.Context(), r.Ref()))
					assert.Empty(t, w.face.Billing())
				})
			})
		}
	}
}

// TestTheWordsForAnEndAreReadHoweverTheyAreWritten has every word of Lyceum's for the end of a run, with codes that fit and codes
// that do not.
func TestTheWordsForAnEndAreReadHoweverTheyAreWritten(t *testing.T) {
	zero, seven := 0, 7
	for _, x := range []struct {
		word string
		code *int
		want runctl.Cause // empty: lost
		fine bool
	}{
		{"completed", &zero, runctl.CauseExit, true}, {"Completed", &zero, runctl.CauseExit, true}, {"success", &zero, runctl.CauseExit, true},
		{"completed", nil, "", false}, {"failed", &seven, runctl.CauseExit, false}, {"failed_user", &seven, runctl.CauseExit, false},
		{"Failed User", &seven, runctl.CauseExit, false}, {"failed", nil, "", false}, {"failed", &zero, "", false},
		{"timeout", nil, runctl.CauseLifetime, false}, {"cancelled", nil, runctl.CauseCancel, false}, {"ABORTED", nil, runctl.CauseCancel, false},
		{"system_failure", nil, "", false}, {"system failure", &seven, "", false}, {"System-Failure", nil, "", false}, {"failed_system", nil, "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{Script: does(face.Script{Exit: -1})}, lyceum.Config{})
			r := w.start("k1")
			w.face.SetRun(raw(r.Instance().ID), x.word, x.code)
			receipt, err := r.Wait(t.Context())
			assert.Equal(t, x.want, receipt.Cause, x.word)
			assert.Equal(t, x.want == "", errors.Is(err, runctl.ErrLost), "%s: %v", x.word, err)
			assert.Equal(t, x.fine, err == nil, "%s: %v", x.word, err)
		})
	}
}

func TestAWordThatNobodyKnowsIsARunThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Script: does(face.Script{Exit: 2 * time.Minute}), Word: func(s string) string {
			if s == face.Running {
				return "Doing Things"
			}
			return s
		}}, lyceum.Config{})
		r := w.start("k1")
		s, err := r.Status(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, runctl.Dead, s.Live)
		i, err := w.c.Get(t.Context(), r.Ref())
		require.NoError(t, err)
		assert.True(t, i.State.Billing(), "it may bill")
		_, err = r.Wait(t.Context())
		require.NoError(t, err)
	})
}

// TestARunIsNeverStartedTwice is the launch rule on the job road: every outcome of the one POST, and of what is known of it.
func TestARunIsNeverStartedTwice(t *testing.T) {
	t.Parallel()
	for _, o := range cloud.AllOutcomes("startImageRun") {
		told := o.Name == "all goes well" // the words for no capacity are known of machines alone
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			for _, short := range []bool{false, true} { // it may be over before anybody looks
				t.Run(fmt.Sprintf("%s/lag %s/short %v", o.Name, lag, short), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						exit := -1 * time.Second
						if short {
							exit = time.Second
						}
						w := newTenant(t, face.Options{ListLag: lag, Script: does(face.Script{Exit: exit})}, lyceum.Config{})
						w.face.Inject(o.Fault)
						r, err := w.c.Start(t.Context(), job("k1"))
						runs := w.face.Runs()
						require.LessOrEqual(t, len(runs), 1)
						require.Equal(t, 1, w.face.Served("startImageRun"))
						switch {
						case err == nil:
							require.Equal(t, "run:"+runs[0].ID, r.Instance().ID)
						case errors.Is(err, runctl.ErrUncertain):
							require.False(t, told)
							require.False(t, o.Acts, "the doubt could be resolved: %v", err)
						default:
							require.True(t, errors.Is(err, runctl.ErrConflict) || errors.Is(err, runctl.ErrUncertain), "%v", err)
						}
						w.face.Heal()
						if len(runs) == 1 {
							pass(lag)
							for who, c := range map[string]*runctl.Client{"this process": w.c, "another": w.Client()} {
								again, err := c.Start(t.Context(), job("k1"))
								require.Len(t, w.face.Runs(), 1, "%s: the same key runs nothing twice", who)
								if err == nil {
									require.Equal(t, "run:"+runs[0].ID, again.Instance().ID)
								}
							}
						}
						w.ReapAll()
						assert.Empty(t, w.face.Billing())
					})
				})
			}
		}
	}
}

func TestAnAbortIsAskedForAndThenWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Script: does(face.Script{Exit: -1}), Aborting: 40 * time.Second}, lyceum.Config{})
		r := w.start("k1")
		began := time.Now()
		require.NoError(t, w.c.Terminate(t.Context(), r.Ref()))
		assert.GreaterOrEqual(t, time.Since(began), 40*time.Second, "it is shown to have ended")
		assert.Empty(t, w.face.Billing())
		assert.Equal(t, face.Aborted, w.face.Runs()[0].Status)
		require.NoError(t, w.c.Terminate(t.Context(), r.Ref()), "and again")
	})
}

func TestAJobWithAnImageGoesToARunThoughMachinesAreOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Script: does(face.Script{Exit: time.Second})}, lyceum.Config{})
		spec := job("k1")
		spec.Needs = runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, Market: runctl.OnDemand | runctl.Spot} // spot machines are the cheapest
		spec.Unguarded, spec.MaxHourly = true, runctl.USD(50)
		r, err := w.c.Start(t.Context(), spec)
		require.NoError(t, err)
		assert.Equal(t, runctl.RoadJob, r.Instance().Road)
		assert.Len(t, w.face.Runs(), 1)
		assert.Zero(t, w.face.Served("createVM"))
		w.ReapAll()
	})
}
