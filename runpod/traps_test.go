package runpod_test

// Traps that users of RunPod have met, by their numbers in the project's notes on its API: those of waiting, of pods that go
// and of their addresses. What needs a container that is a process is in podtraps_test.go.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// job is a run on the job road.
func job(key string) runctl.RunSpec {
	s := machine(key)
	s.Needs.Road = runctl.RoadJob
	return runctl.RunSpec{Key: key, Needs: s.Needs, Lifetime: s.Lifetime, MaxHourly: s.MaxHourly, Job: runctl.Job{Args: []string{"train"}}}
}

func running(i runctl.Instance) bool { return i.State == runctl.StateRunning }
func ended(i runctl.Instance) bool   { return i.State == runctl.StateTerminated }

func TestTrap05APodThatAListLacksForAWhileHasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		i := w.Launch("k1")
		w.face.Hide(i.ID, 5*time.Minute)
		ctx := cancelAfter(t, 6*time.Minute)
		_, err := w.c.WaitInstance(ctx, i.Ref(), ended)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "it is asked for by its id")
		time.AfterFunc(time.Minute, func() { w.face.Hide(i.ID, 5*time.Second, "listPods", "getPod") })
		_, err = w.c.WaitInstance(cancelAfter(t, 6*time.Minute), i.Ref(), ended)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "one odd look is no end")
		assert.Equal(t, []string{i.ID}, w.face.Billing(), "and nobody took it for gone and launched or ended anything")
		assert.Equal(t, 1, w.face.Served("createPod"))
		assert.Zero(t, w.face.Served("deletePod"))
	})
}

func TestTrap05AJobWhosePodAListLacksIsNotOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		r, err := w.c.Start(t.Context(), job("k1"))
		require.NoError(t, err)
		w.face.Hide(w.under("k1")[0], time.Hour)
		_, err = r.Wait(cancelAfter(t, 10*time.Minute))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		w.face.Hide(w.under("k1")[0], time.Minute, "getPodLogs")
		_, err = r.Wait(cancelAfter(t, 10*time.Minute))
		assert.ErrorIs(t, err, context.DeadlineExceeded, "nor one whose log is not there for a while")
	})
}

func TestTrap06WhoStopsWaitingDoesNotLoseThePod(t *testing.T) {
	for name, road := range map[string]runctl.Road{"shell": runctl.RoadShell, "job": runctl.RoadJob} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{Provisioning: 10 * time.Minute}, runpod.Config{})
				s := job("k1")
				s.Needs.Road, s.Unguarded = road, true
				for range 3 {
					_, err := w.Client().Start(cancelAfter(t, time.Minute), s)
					if road == runctl.RoadShell { // a run on the job road is started by its launch
						require.ErrorIs(t, err, context.DeadlineExceeded)
						assert.ErrorContains(t, err, "k1")
					}
				}
				assert.Len(t, w.under("k1"), 1, "each try found the first one's pod")
				assert.Equal(t, 1, w.face.Served("createPod"))
				w.ReapAll()
				assert.Empty(t, w.face.Billing())
			})
		})
	}
}

func TestTrap09APodThatNeverAppearsIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 1000 * time.Hour, GetLag: 1000 * time.Hour}, runpod.Config{})
		i, err := w.c.Launch(t.Context(), machine("k1"))
		require.NoError(t, err, "a 201 is a pod")
		began := time.Now()
		_, err = w.c.WaitInstance(t.Context(), i.Ref(), running)
		require.Error(t, err)
		assert.LessOrEqual(t, time.Since(began), 5*time.Minute)
		s := job("k2")
		s.Needs.Road, s.Unguarded = runctl.RoadShell, true
		began = time.Now()
		_, err = w.c.Start(t.Context(), s)
		require.Error(t, err)
		assert.LessOrEqual(t, time.Since(began), time.Hour)
		assert.Equal(t, 2, w.face.Served("createPod"), "and nothing was launched in its place")
	})
}

func TestTrap10APodThatOthersDeletedIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		i := w.Launch("k1")
		time.AfterFunc(time.Minute, func() { w.face.Remove(i.ID) })
		began := time.Now()
		_, err := w.c.WaitInstance(t.Context(), i.Ref(), func(i runctl.Instance) bool { return i.State == runctl.StateStopped })
		require.ErrorIs(t, err, runctl.ErrLost)
		assert.LessOrEqual(t, time.Since(began), 2*time.Minute)
		all, err := w.c.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
		assert.ErrorIs(t, w.c.Terminate(t.Context(), i.Ref()), runctl.ErrNotFound, "its end is no failure that needs a person")
		_, err = w.c.Launch(t.Context(), machine("k1"))
		assert.ErrorIs(t, err, runctl.ErrConflict, "and its key is not silently used again")
	})
}

func TestTrap11APodThatIsStuckIsEnded(t *testing.T) {
	for name, opt := range map[string]face.Options{
		"provisioning for ever":        {Provisioning: -1},
		"up, and without an address":   {AddrLag: 1000 * time.Hour},
		"up, and nothing runs in it":   {},
		"returning again and again":    {Script: func(face.Pod, int) face.Script { return face.Script{Exit: time.Second} }},
		"ended by the platform":        {Provisioning: time.Minute, Starting: time.Hour},
		"an error that is not told of": {Provisioning: 1000 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, opt, runpod.Config{})
				switch name {
				case "an error that is not told of":
					time.AfterFunc(time.Minute, func() { w.face.SetStatus(w.under("k1")[0], face.Errored) })
				case "ended by the platform":
					time.AfterFunc(2*time.Minute, func() { w.face.StopByPlatform(w.under("k1")[0]) })
				}
				s := job("k1")
				s.Needs.Road, s.Unguarded = runctl.RoadShell, true
				began := time.Now()
				_, err := w.c.Start(t.Context(), s)
				require.Error(t, err)
				assert.LessOrEqual(t, time.Since(began), 40*time.Minute, "%v", err)
				assert.Empty(t, w.face.Billing(), "%v", err)
			})
		})
	}
}

func TestTrap12TheAddressComesAfterTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Provisioning: 30 * time.Second, Starting: 5 * time.Minute, AddrLag: 2 * time.Minute}, runpod.Config{})
		i := w.Launch("k1")
		assert.Empty(t, i.Addr)
		i, err := w.c.WaitInstance(t.Context(), i.Ref(), running)
		require.NoError(t, err)
		assert.Empty(t, i.Addr, "it runs, and has none yet")
		_, err = w.p.Connect(t.Context(), i, runctl.Access{Signer: signer(t)})
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		assert.ErrorContains(t, err, "no public address")
		i, err = w.c.WaitInstance(t.Context(), i.Ref(), func(i runctl.Instance) bool { return i.Addr != "" })
		require.NoError(t, err)
		assert.NotContains(t, i.Addr, "100.65.", "the address of an HTTP port is the proxy's")
	})
}

func TestTrap13AStreamThatNeverEndsHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{}) // its containers say nothing at all
		r, err := w.c.Start(t.Context(), job("k1"))
		require.NoError(t, err)
		began := time.Now()
		_, err = r.Status(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), 20*time.Second, "a look ends by itself")
		began = time.Now()
		for _, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, time.Since(began), 20*time.Second, "and so does reading what there is")
		_, err = r.Wait(cancelAfter(t, 10*time.Minute))
		assert.ErrorIs(t, err, context.DeadlineExceeded, "a wait goes on as long as its caller wants")
		w.face.Remove(w.under("k1")[0])
		began = time.Now()
		_, err = r.Wait(t.Context())
		assert.ErrorIs(t, err, runctl.ErrLost)
		for _, err := range r.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
			assert.Error(t, err)
		}
		assert.LessOrEqual(t, time.Since(began), 3*time.Minute, "nor does the stream of a pod that is gone")
	})
}

func TestTrap15AStoppedPodThatCannotStartIsNoCapacityAndStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		i := w.Launch("k1")
		require.NoError(t, w.c.StopInstance(t.Context(), i.Ref()))
		w.face.Inject(face.NoFreeOnHost)
		err := w.c.StartInstance(t.Context(), i.Ref())
		require.ErrorIs(t, err, runctl.ErrCapacity)
		assert.ErrorContains(t, err, "host")
		assert.Equal(t, face.Exited, w.face.Pod(i.ID).Status)
		assert.Equal(t, []string{i.ID}, w.face.Billing(), "its disk")
		assert.Equal(t, 1, w.face.Served("createPod"), "nothing is launched in its place unasked")
		require.NoError(t, w.c.StartInstance(t.Context(), i.Ref()), "later the host has some")
	})
}

func TestTrap18AnActionIsDoneWhenItsEffectIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		i := w.Launch("k1")
		_, err := w.c.WaitInstance(t.Context(), i.Ref(), running)
		require.NoError(t, err)
		w.face.Deaf(true)
		err = w.c.StopInstance(t.Context(), i.Ref())
		require.ErrorIs(t, err, runctl.ErrTimeout, "200, and nothing happened")
		assert.Equal(t, face.Running, w.face.Pod(i.ID).Status)
		w.face.Deaf(false)
		require.NoError(t, w.c.StopInstance(t.Context(), i.Ref()))
		assert.Equal(t, face.Exited, w.face.Pod(i.ID).Status)
	})
}

func TestTrap19TheProxyForTerminalsIsNeverUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{AddrLag: time.Hour}, runpod.Config{})
		i := w.Launch("k1")
		i, err := w.c.WaitInstance(t.Context(), i.Ref(), running)
		require.NoError(t, err)
		require.NotNil(t, i.Native.(*runpod.Pod).SSH.Proxy, "there is one")
		assert.Empty(t, i.Addr)
		_, err = w.p.Connect(t.Context(), i, runctl.Access{Signer: signer(t)})
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		assert.NotContains(t, err.Error(), "ssh.runpod.io")
	})
}

func TestAPodOfOneJobIsNotEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, runpod.Config{})
		r, err := w.c.Start(t.Context(), job("k1"))
		require.NoError(t, err)
		_, err = w.p.Connect(t.Context(), r.Instance(), runctl.Access{Signer: signer(t)})
		assert.ErrorIs(t, err, errors.ErrUnsupported, "so that nobody waits for a way in")
	})
}

func TestTrap23AnInterruptionIsNoticedWithinMinutes(t *testing.T) {
	for name, interrupt := range map[string]func(*face.Face, string){
		"stopped": (*face.Face).StopByPlatform, "deleted": (*face.Face).Remove,
		"balance used up":                func(f *face.Face, _ string) { f.Broke() },
		"deleted, and the streams break": func(f *face.Face, id string) { f.Remove(id); f.CutStreams() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{}, runpod.Config{})
				r, err := w.c.Start(t.Context(), job("k1"))
				require.NoError(t, err)
				began := time.Now()
				time.AfterFunc(10*time.Minute, func() { interrupt(w.face, w.under("k1")[0]) })
				_, err = r.Wait(t.Context())
				require.ErrorIs(t, err, runctl.ErrLost, "unknown, and no success")
				assert.LessOrEqual(t, time.Since(began), 12*time.Minute)
				var exit *runctl.ExitError
				assert.False(t, errors.As(err, &exit), "nobody knows a code")
			})
		})
	}
}
