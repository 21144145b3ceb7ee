package fake_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/internal/job"
)

// enter launches a machine on the shell road and connects to it.
func enter(t *testing.T, cloud *fake.Cloud, r runctl.LaunchRequest) (runctl.Instance, runctl.Machine) {
	t.Helper()
	i, err := cloud.Launch(t.Context(), r)
	require.NoError(t, err)
	m, err := cloud.Connect(t.Context(), i, runctl.Access{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return i, m
}

func spec(run string) job.Spec { return job.Spec{Run: run, Digest: "d", Argv: []string{"train"}} }

func unpack(t *testing.T, r io.Reader) map[string]string {
	files := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			b, err := io.ReadAll(tr)
			require.NoError(t, err)
			files[h.Name] = string(b)
		}
	}
}

func TestTheShellRoadSpeaksTheSupervisorsVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.ShellOnly())
		cloud.Script("a", fake.Script{Log: "x\ny\n", Duration: time.Minute, ExitCode: 4, Outputs: map[string]string{"out/w.bin": "weights"}})
		r := request("a")
		r.Keep = 10 * time.Minute
		i, m := enter(t, cloud, r)
		assert.Equal(t, runctl.RoadShell, i.Road)
		require.NoError(t, job.Start(t.Context(), m, spec("run-1")), "scripts are found by the launch key")
		s, err := job.Wait(t.Context(), m, "run-1", time.Hour)
		require.NoError(t, err)
		require.NotNil(t, s.Receipt)
		assert.Equal(t, 4, s.Receipt.Code)
		end := time.Now()

		<-time.After(9 * time.Minute)
		assert.Len(t, cloud.Billing(), 1, "kept for whoever collects")
		<-time.After(2 * time.Minute)
		assert.Empty(t, cloud.Billing())
		i, err = cloud.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, end.Add(10*time.Minute).UTC(), i.Ended, "idle since the job's end")

		// A week later its disk still tells, through the old connection and through a new one.
		<-time.After(7 * 24 * time.Hour)
		again, err := cloud.Connect(t.Context(), i, runctl.Access{})
		require.NoError(t, err)
		for _, m := range []runctl.Machine{m, again} {
			var log, files bytes.Buffer
			_, err = job.Log(t.Context(), m, "run-1", 0, true, &log)
			require.NoError(t, err)
			assert.Equal(t, "x\ny\n", log.String())
			require.NoError(t, job.Get(t.Context(), m, "run-1", job.PlaceOutputs, false, []string{"out/w.bin"}, &files))
			assert.Equal(t, map[string]string{"./out/w.bin": "weights"}, unpack(t, &files))
			assert.Error(t, job.Start(t.Context(), m, spec("run-2")), "read-only")
		}
		require.NoError(t, cloud.Terminate(t.Context(), i.ID))
		_, err = cloud.Connect(t.Context(), i, runctl.Access{})
		require.ErrorIs(t, err, runctl.ErrNotFound, "given up")
	})
}

func TestAVesselsFilesCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Log: "x\n", Duration: time.Minute, Outputs: map[string]string{"w": "weights"}})
		i, m := enter(t, cloud, withJob("a", "train"))
		get := func() map[string]string {
			var files bytes.Buffer
			require.NoError(t, job.Get(t.Context(), m, "a", job.PlaceOutputs, false, []string{"w"}, &files))
			return unpack(t, &files)
		}
		assert.Len(t, get(), 1, "while it runs")
		s, err := job.Inspect(t.Context(), m, "a")
		require.NoError(t, err)
		assert.Equal(t, job.PhaseRunning, s.Phase)
		<-time.After(time.Hour)
		assert.Empty(t, cloud.Billing())
		assert.Len(t, get(), 1, "and when it has ended")
		s, err = job.Inspect(t.Context(), m, "a")
		require.NoError(t, err)
		assert.Equal(t, job.PhaseDone, s.Phase)
		assert.Error(t, job.Start(t.Context(), m, spec("b")), "a vessel takes no other job")
		_ = i
	})
}

func TestARunningJobKeepsItsMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true})
		r := request("a")
		r.Keep = time.Minute
		i, m := enter(t, cloud, r)
		<-time.After(50 * time.Second)
		require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
		<-time.After(time.Hour)
		require.Len(t, cloud.Billing(), 1)
		assert.Equal(t, 1, cloud.Finish("a", 0))
		<-time.After(50 * time.Second)
		require.Len(t, cloud.Billing(), 1)
		<-time.After(20 * time.Second)
		require.Empty(t, cloud.Billing())
		_ = i
	})
}

func TestTheMachinesLifetimeEndsWhatRunsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Duration: 100 * time.Hour, Log: "1\n2\n3\n4\n"})
		i, m := enter(t, cloud, request("a"))
		require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
		s, err := job.Wait(t.Context(), m, "run-1", 24*time.Hour)
		require.NoError(t, err)
		require.NotNil(t, s.Receipt)
		assert.Equal(t, "lifetime", s.Receipt.Cause)
		assert.Zero(t, s.Receipt.LogBytes, "a hundredth of the job")
		<-time.After(time.Second)
		i, err = cloud.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, runctl.StateTerminated, i.State)
		assert.Equal(t, 2*time.Hour, i.Ended.Sub(i.Launched))
	})
}

func TestAConnectionBreaksWithItsMachine(t *testing.T) {
	for name, end := range map[string]func(*fake.Cloud, string){
		"terminated": func(c *fake.Cloud, id string) { _ = c.Terminate(context.Background(), id) },
		"killed":     func(c *fake.Cloud, id string) { c.Kill(id) },
		"preempted":  func(c *fake.Cloud, id string) { c.Preempt(id) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := fake.New()
				cloud.Script("", fake.Script{Hold: true})
				i, m := enter(t, cloud, request("a"))
				require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
				done := make(chan error)
				go func() {
					_, err := job.Wait(t.Context(), m, "run-1", time.Hour)
					done <- err
				}()
				synctest.Wait()
				end(cloud, i.ID)
				require.ErrorIs(t, <-done, runctl.ErrUnavailable)
				_, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
				require.ErrorIs(t, err, runctl.ErrUnavailable)
			})
		})
	}
	t.Run("taken back by chance", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cloud := fake.New(fake.With(fake.Physics{Seed: 1, Reclaim: time.Hour}))
			cloud.Script("", fake.Script{Duration: 500 * time.Hour})
			r := request("a")
			r.Offer.ID, r.Lifetime = "h100-1.fake-1a.spot", 1000*time.Hour
			i, m := enter(t, cloud, r)
			require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
			_, err := job.Wait(t.Context(), m, "run-1", 200*time.Hour)
			require.ErrorIs(t, err, runctl.ErrUnavailable)
			now, err := cloud.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, runctl.StateTerminated, now.State)
			assert.WithinDuration(t, time.Now(), now.Ended, time.Millisecond)
		})
	})
}

func TestAJobThatOutlivesItsSpotMachineIsLostThoughNobodyLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 1, Reclaim: time.Hour}))
		cloud.Script("", fake.Script{Duration: 20 * time.Hour})
		r := request("a")
		r.Offer.ID, r.Lifetime = "h100-1.fake-1a.spot", 1000*time.Hour
		_, m := enter(t, cloud, r)
		require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
		<-time.After(100 * time.Hour)
		s, err := job.Inspect(t.Context(), m, "run-1")
		assert.Error(t, err)
		assert.NotEqual(t, job.PhaseDone, s.Phase)
	})
}

func TestASpotMachineThatEndedItselfCanStillBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(fake.Physics{Seed: 1, Reclaim: 10 * time.Hour}))
		r := request("a")
		r.Offer.ID, r.Keep = "h100-1.fake-1a.spot", time.Minute
		_, m := enter(t, cloud, r)
		require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
		<-time.After(1000 * time.Hour)
		s, err := job.Inspect(t.Context(), m, "run-1")
		require.NoError(t, err)
		assert.Equal(t, job.PhaseDone, s.Phase)
	})
}

func TestAVerbThatChangesSomethingWakesTheWaiters(t *testing.T) {
	cloud := fake.New()
	_, m := enter(t, cloud, request("a"))
	changed := cloud.Changed()
	require.NoError(t, job.Start(t.Context(), m, spec("run-1")))
	<-changed
}

func TestAPauseKeepsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("long", fake.Script{Hold: true})
		i, m := enter(t, cloud, request("a"))
		require.NoError(t, job.Start(t.Context(), m, spec("short")))
		require.NoError(t, job.Start(t.Context(), m, spec("long")))
		require.NoError(t, cloud.Stop(t.Context(), i.ID))
		_, err := job.Inspect(t.Context(), m, "short")
		require.ErrorIs(t, err, runctl.ErrUnavailable, "nobody answers on a stopped machine")
		_, err = cloud.Connect(t.Context(), i, runctl.Access{})
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		require.NoError(t, cloud.Start(t.Context(), i.ID))
		s, err := job.Inspect(t.Context(), m, "short")
		require.NoError(t, err)
		assert.Equal(t, 0, s.Receipt.Code)
		s, err = job.Inspect(t.Context(), m, "long")
		require.NoError(t, err)
		assert.NotEqual(t, job.PhaseRunning, s.Phase, "the pause ended it")
	})
}

func TestExecIsFaultyToo(t *testing.T) {
	cloud := fake.New()
	_, m := enter(t, cloud, request("a"))
	cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1, After: true, Err: io.ErrUnexpectedEOF}, fake.Fault{Op: fake.OpExec, Nth: 2, Err: io.EOF})
	var out bytes.Buffer
	_, err := m.Exec(t.Context(), []string{"echo", "hello"}, nil, &out, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "hello\n", out.String(), "it did run")
	_, err = m.Exec(t.Context(), []string{"echo", "again"}, nil, &out, nil)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, "hello\n", out.String(), "it did not")
	code, err := m.Exec(t.Context(), []string{"sh", "-c", "exit 3"}, nil, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, 3, code)
	assert.Equal(t, 3, cloud.Calls(fake.OpExec))
}
