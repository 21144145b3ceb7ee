package fake_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/internal/job"
)

// vessel launches a job on the job road and returns it with its machine.
func vessel(t *testing.T, cloud *fake.Cloud, r runctl.LaunchRequest) (runctl.Instance, runctl.Process) {
	t.Helper()
	i, err := cloud.Launch(t.Context(), r)
	require.NoError(t, err)
	p, err := cloud.Process(t.Context(), i)
	require.NoError(t, err)
	return i, p
}

func look(t *testing.T, p runctl.Process) runctl.Status {
	t.Helper()
	s, err := p.Status(t.Context())
	require.NoError(t, err)
	return s
}

func TestAJobFollowsItsScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("tune", fake.Script{Log: "a\nb\nc\nd\n", Duration: 40 * time.Second, ExitCode: 3,
			Checkpoints: []fake.Checkpoint{{At: 15 * time.Second, Name: "step-1"}, {At: 30 * time.Second, Name: "step-2"}, {At: time.Hour, Name: "never"}}})
		i, p := vessel(t, cloud, withJob("tune", "train"))
		assert.Equal(t, runctl.StateRunning, i.State)
		assert.Equal(t, runctl.RoadJob, i.Road)
		<-time.After(25 * time.Second)
		s := look(t, p)
		assert.Equal(t, runctl.Alive, s.Live)
		assert.EqualValues(t, 4, s.LogBytes, "two lines of four after five eighths of the time")
		assert.Nil(t, s.Receipt)
		i, err := cloud.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Nil(t, i.Exit)

		start := time.Now()
		s, err = p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 15*time.Second, time.Since(start).Round(time.Millisecond), "it is told when it happens")
		want := runctl.Receipt{Run: "tune", Source: "fake", ExitCode: 3, Cause: runctl.CauseExit, Checkpoint: "step-2", LogBytes: 8}
		r := *s.Receipt
		assert.Equal(t, 40*time.Second, r.Ended.Sub(r.Started))
		r.Started, r.Ended = time.Time{}, time.Time{}
		assert.Equal(t, want, r)
		assert.Empty(t, cloud.Billing(), "the vessel ends with its job")

		<-time.After(30 * 24 * time.Hour)
		i, err = cloud.Get(t.Context(), i.ID)
		require.NoError(t, err, "a machine that ended itself and keeps its disk is remembered")
		assert.Equal(t, 3, i.Exit.ExitCode)
		assert.Equal(t, "a\nb\nc\nd\n", logOf(t, p))
	})
}

func TestTheLogGrowsLineByLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Log: "one\ntwo\nthree", Duration: 30 * time.Second})
		_, p := vessel(t, cloud, withJob("tune", "train"))
		start := time.Now()
		var got []string
		for chunk, err := range p.Logs(t.Context(), runctl.LogQuery{Offset: 1, Follow: true}) {
			require.NoError(t, err)
			got = append(got, fmt.Sprintf("%v @%d %q", time.Since(start).Round(time.Second), chunk.Offset, chunk.Data))
		}
		assert.Equal(t, []string{`10s @1 "ne\n"`, `20s @4 "two\n"`, `30s @8 "three"`}, got)

		for chunk, err := range p.Logs(t.Context(), runctl.LogQuery{Offset: -1}) {
			require.ErrorIs(t, err, runctl.ErrInvalid)
			assert.Empty(t, chunk)
		}
	})
}

// Both roads must tell the same story of the same script: the vessel is compared with the emulated
// supervisor, over scripts and interferences drawn at random.
func TestBothRoadsFollowAScriptAlike(t *testing.T) {
	pick := func(rng *rand.Rand, ds ...time.Duration) time.Duration { return ds[rng.IntN(len(ds))] }
	causes := map[string]int{}
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			s := fake.Script{Duration: pick(rng, 0, 10*time.Second, 60*time.Second), Hold: rng.IntN(4) == 0, ExitCode: rng.IntN(3),
				SaveTime: pick(rng, 0, 0, 5*time.Second, 45*time.Second), SaveCode: rng.IntN(2), IgnoreTerm: rng.IntN(4) == 0,
				Log: strings.Repeat("line\n", rng.IntN(9)) + "end"}
			if rng.IntN(4) == 0 {
				s.Signal = "SEGV"
			}
			if rng.IntN(6) == 0 {
				s.Cause = "notfound"
			}
			for n := range rng.IntN(4) {
				s.Checkpoints = append(s.Checkpoints, fake.Checkpoint{At: time.Duration(n) * 17 * time.Second, Name: fmt.Sprint("c", n)})
			}
			limit, grace := pick(rng, 0, 20*time.Second, 90*time.Second), pick(rng, 10*time.Second, 30*time.Second)

			cloud := fake.New()
			cloud.Script("a", s)
			r := withJob("a", "train")
			r.Job.Limit, r.Job.Grace = limit, grace
			em := job.NewEmulator(func(job.Spec) job.Script {
				e := job.Script{Log: s.Log, Duration: s.Duration, Hold: s.Hold, ExitCode: s.ExitCode, Signal: s.Signal, Cause: s.Cause,
					SaveTime: s.SaveTime, SaveCode: s.SaveCode, IgnoreTerm: s.IgnoreTerm}
				for _, c := range s.Checkpoints {
					e.Checkpoints = append(e.Checkpoints, job.Checkpoint(c))
				}
				return e
			})
			require.NoError(t, em.Start(job.Spec{Run: "a", Argv: []string{"train"}, Limit: limit, Grace: grace}))
			_, p := vessel(t, cloud, r)

			for step := range 8 {
				<-time.After(pick(rng, time.Second, 7*time.Second, 23*time.Second) + time.Millisecond)
				switch rng.IntN(6) {
				case 0:
					g := pick(rng, 0, 4*time.Second, time.Minute)
					require.NoError(t, p.Cancel(t.Context(), g))
					if g == 0 {
						g = -1 // how the supervisor is asked for the job's own grace
					}
					require.NoError(t, em.Cancel("a", g))
				case 1:
					em.Finish("a", 5)
					cloud.Finish("a", 5)
				}
				<-time.After(time.Millisecond)
				want, err := em.Status("a")
				require.NoError(t, err)
				have := look(t, p)
				plan := fmt.Sprintf("seed %d, step %d: %+v limit %v grace %v", seed, step, s, limit, grace)
				require.Equal(t, want.Phase == job.PhaseDone, have.Receipt != nil, plan)
				require.Equal(t, want.LogBytes, have.LogBytes, plan)
				if want.Receipt == nil {
					continue
				}
				w := runctl.Receipt{Run: "a", Source: "fake", ExitCode: want.Receipt.Code, Signal: want.Receipt.Signal, Cause: runctl.Cause(want.Receipt.Cause),
					Checkpoint: want.Receipt.Checkpoint, LogBytes: want.Receipt.LogBytes}
				h := *have.Receipt
				require.InDelta(t, want.Receipt.Ended.Sub(want.Receipt.Started), h.Ended.Sub(h.Started), float64(time.Millisecond), plan)
				h.Started, h.Ended = time.Time{}, time.Time{}
				require.Empty(t, cmp.Diff(w, h), plan)
				causes[want.Receipt.Cause+want.Receipt.Signal]++
			}
		})
	}
	for _, c := range []string{"exit", "signalSEGV", "notfoundSEGV", "cancel", "cancelTERM", "cancelKILL", "lifetime", "lifetimeTERM", "lifetimeKILL"} {
		assert.Positive(t, causes[c], "%s never happened: %v", c, causes)
	}
}

func TestAVesselEndsAtItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true, SaveTime: 10 * time.Second})
		i, p := vessel(t, cloud, withJob("tune", "train"))
		s, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, runctl.CauseLifetime, s.Receipt.Cause)
		assert.Equal(t, 2*time.Hour+10*time.Second, s.Receipt.Ended.Sub(s.Receipt.Started))
		i, err = cloud.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, runctl.StateTerminated, i.State)
		assert.Equal(t, s.Receipt.Ended, i.Ended)
	})
}

// Nobody looks for a week: what happened in it must have happened when it did.
func TestTimePassesWithoutBeingWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 1, Boot: 26 * time.Second, Keep: true}))
		cloud.Script("", fake.Script{Duration: time.Hour})
		r := withJob("tune", "train")
		r.Keep = 10 * time.Minute
		i, p := vessel(t, cloud, r)
		assert.Equal(t, runctl.StatePending, i.State)
		assert.Equal(t, runctl.LiveUnknown, look(t, p).Live)
		<-time.After(7 * 24 * time.Hour)
		s := look(t, p)
		require.NotNil(t, s.Receipt)
		assert.Equal(t, time.Hour, s.Receipt.Ended.Sub(s.Receipt.Started))
		assert.InDelta(t, 26*time.Second, s.Receipt.Started.Sub(i.Launched), float64(15*time.Second))
		i, err := cloud.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, s.Receipt.Ended.Add(10*time.Minute), i.Ended, "the keep time after the job")
		assert.Less(t, cloud.Cost().Nanos, runctl.USD(2.99*1.3).Nanos)
	})
}

func TestAnEndWithoutAReceiptIsNotASuccess(t *testing.T) {
	for name, end := range map[string]func(*fake.Cloud, string) error{
		"terminated": func(c *fake.Cloud, id string) error { return c.Terminate(context.Background(), id) },
		"stopped":    func(c *fake.Cloud, id string) error { return c.Stop(context.Background(), id) },
	} {
		t.Run(name, func(t *testing.T) {
			cloud := fake.New()
			cloud.Script("", fake.Script{Hold: true})
			i, p := vessel(t, cloud, withJob("tune", "train"))
			require.NoError(t, end(cloud, i.ID))
			s := look(t, p)
			assert.Equal(t, runctl.Dead, s.Live)
			assert.Nil(t, s.Receipt)
			assert.Contains(t, s.Evidence, name)
			i, err := cloud.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Nil(t, i.Exit)
		})
	}
	t.Run("killed", func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true})
		i, p := vessel(t, cloud, withJob("tune", "train"))
		done := make(chan error)
		go func() { _, err := p.Wait(t.Context()); done <- err }()
		cloud.Kill(i.ID)
		require.ErrorIs(t, <-done, runctl.ErrNotFound)
		_, err := cloud.Get(t.Context(), i.ID)
		require.ErrorIs(t, err, runctl.ErrNotFound)
		list, err := cloud.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		assert.Empty(t, list)
		assert.Empty(t, cloud.Billing())
	})
	t.Run("preempted", func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true, Checkpoints: []fake.Checkpoint{{Name: "step-1"}}})
		i, p := vessel(t, cloud, withJob("tune", "train"))
		cloud.Preempt(i.ID)
		s, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, runctl.CausePreempted, s.Receipt.Cause)
		assert.Equal(t, "step-1", s.Receipt.Checkpoint)
		assert.False(t, s.Receipt.Succeeded())
	})
}

func TestWhoeverWaitsIsWoken(t *testing.T) {
	for name, end := range map[string]func(*fake.Cloud, runctl.Instance, runctl.Process) error{
		"finish": func(c *fake.Cloud, i runctl.Instance, p runctl.Process) error {
			assert.Zero(t, c.Finish("another", 0))
			assert.Equal(t, 1, c.Finish("tune", 4))
			assert.Zero(t, c.Finish("tune", 5), "it has ended")
			return nil
		},
		"cancel":    func(c *fake.Cloud, i runctl.Instance, p runctl.Process) error { return p.Cancel(t.Context(), 0) },
		"terminate": func(c *fake.Cloud, i runctl.Instance, p runctl.Process) error { return c.Terminate(t.Context(), i.ID) },
		"preempt":   func(c *fake.Cloud, i runctl.Instance, p runctl.Process) error { c.Preempt(i.ID); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := fake.New(fake.Unguarded())
				cloud.Script("", fake.Script{Hold: true})
				i, p := vessel(t, cloud, withJob("tune", "train"))
				start, changed, done := time.Now(), cloud.Changed(), make(chan runctl.Status)
				go func() {
					s, err := p.Wait(t.Context())
					assert.NoError(t, err)
					done <- s
				}()
				synctest.Wait()
				require.NoError(t, end(cloud, i, p))
				s := <-done
				if name == "finish" {
					assert.Equal(t, 4, s.Receipt.ExitCode)
				}
				<-changed
				assert.Equal(t, start, time.Now(), "at once")
			})
		})
	}
}

func TestAJobCancelledBeforeItsMachineIsUpEndsAsItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 1, Boot: 26 * time.Second}))
		cloud.Script("", fake.Script{Hold: true})
		_, p := vessel(t, cloud, withJob("tune", "train"))
		require.NoError(t, p.Cancel(t.Context(), 0))
		s, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, runctl.CauseCancel, s.Receipt.Cause)
		assert.Equal(t, 143, s.Receipt.ExitCode)
		assert.Equal(t, s.Receipt.Started, s.Receipt.Ended)
		assert.Empty(t, cloud.Billing())
	})
}

func TestEachAttemptHasItsScript(t *testing.T) {
	cloud := fake.New()
	cloud.Script("tune", fake.Script{ExitCode: 1}, fake.Script{ExitCode: 2})
	cloud.Script("run-x", fake.Script{ExitCode: 9})
	for n, want := range []int{1, 2, 2, 9, 0} {
		r := withJob("tune", "train")
		r.Token = fmt.Sprint(n)
		if want == 9 {
			r.Job.ID = "run-x"
		}
		if want == 0 {
			cloud.Script("tune")
		}
		i, _ := vessel(t, cloud, r)
		assert.Equal(t, want, i.Exit.ExitCode)
	}
}

func TestSecretsStayInTheJob(t *testing.T) {
	const canary = "hf_canary_7731"
	cloud := fake.New()
	r := withJob("tune", "train")
	r.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.NewSecret(canary)}
	i, p := vessel(t, cloud, r)
	for what, text := range map[string]string{"log": cloud.Log(), "instance": fmt.Sprintf("%+v %#v", i, i), "job log": logOf(t, p)} {
		assert.NotContains(t, text, canary, what)
	}
	r = withJob("other", "train")
	r.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.SecretEnv("RUNCTL_FAKE_NO_SUCH_VARIABLE")}
	_, err := cloud.Launch(t.Context(), r)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Equal(t, 1, cloud.Launched(), "a secret that cannot be read is found before anything starts")
}
