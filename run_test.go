package runctl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

func client(t *testing.T, cloud runctl.Provider, cfg runctl.Config) *runctl.Client {
	t.Helper()
	cfg.Owner, cfg.Secret = "test", []byte("secret")
	c, err := runctl.New(cfg, cloud)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func spec(key string, road runctl.Road) runctl.RunSpec {
	return runctl.RunSpec{Key: key, Needs: runctl.OfferQuery{Road: road}, Job: runctl.Job{Args: []string{"train"}}, Lifetime: 48 * time.Hour, MaxHourly: runctl.USD(1)}
}

func start(t *testing.T, c *runctl.Client, s runctl.RunSpec) *runctl.Run {
	t.Helper()
	r, err := c.Start(t.Context(), s)
	require.NoError(t, err)
	return r
}

func bothRoads(t *testing.T, f func(t *testing.T, road runctl.Road)) {
	for _, road := range []runctl.Road{runctl.RoadShell, runctl.RoadJob} {
		t.Run(road.String(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, road) }) })
	}
}

var slow = fake.Physics{Boot: 30 * time.Second, End: 20 * time.Second, Stop: 20 * time.Second, Keep: true, Poll: 10 * time.Second, Silent: true}

// Success is a receipt with code 0 of the program's own return, and nothing else.
func TestWaitIsNilForSuccessAlone(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		for n, k := range []struct {
			script fake.Script
			limit  time.Duration
			cancel bool
			want   string
			cause  runctl.Cause
		}{
			{fake.Script{Duration: time.Minute}, 0, false, "", runctl.CauseExit},
			{fake.Script{}, 0, false, "", runctl.CauseExit},
			{fake.Script{Duration: time.Minute, ExitCode: 3}, 0, false, ": exit 3", runctl.CauseExit},
			{fake.Script{ExitCode: 255}, 0, false, ": exit 255", runctl.CauseExit},
			{fake.Script{Duration: time.Minute, Signal: "SEGV"}, 0, false, ": exit 139 (signal SEGV)", runctl.CauseSignal},
			{fake.Script{ExitCode: 127, Cause: "notfound"}, 0, false, ": exit 127, ended by notfound", runctl.CauseNotFound},
			{fake.Script{Hold: true, SaveTime: time.Second}, 0, true, ": exit 0, ended by cancel", runctl.CauseCancel},
			{fake.Script{Hold: true, SaveTime: time.Second}, time.Minute, false, ": exit 0, ended by lifetime", runctl.CauseLifetime},
			{fake.Script{Hold: true}, time.Minute, false, ": exit 143 (signal TERM), ended by lifetime", runctl.CauseLifetime},
		} {
			cloud := fake.New(fake.With(slow))
			key := fmt.Sprint("k", n)
			cloud.Script(key, k.script)
			c := client(t, cloud, runctl.Config{})
			s := spec(key, road)
			s.Job.Limit = k.limit
			r := start(t, c, s)
			if k.cancel {
				<-time.After(2 * time.Minute)
				require.NoError(t, r.Cancel(t.Context(), 0))
			}
			receipt, err := r.Wait(t.Context())
			var exit *runctl.ExitError
			if k.want == "" {
				require.NoError(t, err)
				require.True(t, receipt.Succeeded())
			} else {
				require.ErrorAs(t, err, &exit, "%d", n)
				require.EqualError(t, err, key+k.want)
				require.Equal(t, receipt, exit.Result)
			}
			require.Equal(t, k.cause, receipt.Cause)
			require.Equal(t, 1, cloud.Launched())
		}
	})
}

func TestAMachineThatIsGoneIsLost(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		for name, strike := range map[string]func(*fake.Cloud, string){"killed": (*fake.Cloud).Kill, "preempted": (*fake.Cloud).Preempt} {
			cloud := fake.New(fake.With(slow))
			cloud.Script("", fake.Script{Hold: true})
			c := client(t, cloud, runctl.Config{})
			r := start(t, c, spec("k", road))
			got := make(chan error, 1)
			go func() { _, err := r.Wait(t.Context()); got <- err }()
			<-time.After(time.Hour)
			strike(cloud, r.Ref().ID)
			err := <-got
			if road == runctl.RoadJob && name == "preempted" {
				var exit *runctl.ExitError
				require.ErrorAs(t, err, &exit, "it had notice, and left a receipt")
				require.Equal(t, runctl.CausePreempted, exit.Result.Cause)
				continue
			}
			require.ErrorIs(t, err, runctl.ErrLost, name)
			require.NotErrorIs(t, err, runctl.ErrTimeout)
			require.Equal(t, 1, cloud.Launched(), "and it is not for the client to run it again")
		}
	})
}

// A healthy run that looks dead for nineteen hours: 25 looks fail, by hanging and at once, and the run comes to
// its own end.
func TestUnreachableIsNotDead(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		cloud := fake.New(fake.With(slow))
		cloud.Script("k", fake.Script{Duration: 20 * time.Hour, ExitCode: 7})
		unreachable := 0
		c := client(t, cloud, runctl.Config{Trace: func(e runctl.Event) {
			if e.Name == runctl.EventUnreachable || e.Name == runctl.EventCall && e.Err != nil {
				unreachable++
			}
		}})
		r := start(t, c, spec("k", road))
		began := time.Now()
		var plan []fake.Fault
		for _, op := range []fake.Op{fake.OpExec, fake.OpProcess, fake.OpGet, fake.OpConnect, fake.OpList} {
			for n := 1; n <= 40; n++ {
				plan = append(plan, fake.Fault{Op: op, Nth: n, Hang: n%2 == 0, After: n%3 == 0})
			}
		}
		cloud.Inject(plan...)
		receipt, err := r.Wait(t.Context())
		var exit *runctl.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 7, receipt.ExitCode)
		require.Equal(t, runctl.CauseExit, receipt.Cause)
		require.InDelta(t, 20*time.Hour, time.Since(began), float64(5*time.Minute))
		require.GreaterOrEqual(t, unreachable, 25)
		require.Equal(t, 1, cloud.Launched())
		require.Equal(t, 1, cloud.Calls(fake.OpLaunch))
		require.Zero(t, cloud.Calls(fake.OpTerminate))
	})
}

// Every byte of the log once, in order, over thousands of cuts.
func TestLogsGiveEachByteOnce(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		cloud := fake.New(fake.With(slow))
		var text strings.Builder
		for n := range 500 {
			fmt.Fprintf(&text, "step %d loss %d\n", n, n*n%97)
		}
		cloud.Script("k", fake.Script{Log: text.String(), Duration: 10 * time.Hour})
		c := client(t, cloud, runctl.Config{})
		r := start(t, c, spec("k", road))
		for _, op := range []fake.Op{fake.OpExec, fake.OpProcess, fake.OpConnect, fake.OpGet} {
			for n := 1; n < 400; n++ {
				if n%3 != 0 {
					cloud.Inject(fake.Fault{Op: op, Nth: n, After: n%5 == 0 && op != fake.OpExec, Err: []error{nil, errors.New("reset"), context.DeadlineExceeded}[n%3]})
				}
			}
		}
		cuts := cloud.Calls(fake.OpExec) + cloud.Calls(fake.OpProcess)
		var got strings.Builder
		for got.Len() < text.Len() { // a reader that comes back, sometimes after one chunk
			for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{Offset: int64(got.Len()), Follow: true}) {
				require.NoError(t, err)
				require.EqualValues(t, got.Len(), chunk.Offset)
				require.Zero(t, chunk.Lost)
				got.Write(chunk.Data)
				if got.Len()%2 == 0 {
					break
				}
			}
		}
		require.Equal(t, text.String(), got.String())
		require.Greater(t, cloud.Calls(fake.OpExec)+cloud.Calls(fake.OpProcess)-cuts, 100)
		for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{Offset: -1}) {
			require.ErrorIs(t, err, runctl.ErrInvalid)
			require.Empty(t, chunk.Data)
		}
	})
}

func TestCancelKeepsTheJobsGrace(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		for _, k := range []struct{ job, given, want time.Duration }{{2 * time.Minute, 0, 2 * time.Minute}, {0, 0, 30 * time.Second}, {2 * time.Minute, 5 * time.Second, 5 * time.Second}} {
			cloud := fake.New(fake.With(slow))
			cloud.Script("k", fake.Script{Hold: true, IgnoreTerm: true})
			s := spec("k", road)
			s.Job.Grace = k.job
			r := start(t, client(t, cloud, runctl.Config{}), s)
			<-time.After(time.Hour)
			asked := time.Now()
			require.ErrorIs(t, r.Cancel(t.Context(), -1), runctl.ErrInvalid)
			require.NoError(t, r.Cancel(t.Context(), k.given))
			require.Less(t, time.Since(asked), time.Second, "it does not wait for the end")
			receipt, err := r.Wait(t.Context())
			require.Error(t, err)
			require.Equal(t, runctl.CauseCancel, receipt.Cause)
			require.Equal(t, 137, receipt.ExitCode)
			require.InDelta(t, k.want, receipt.Ended.Sub(asked), float64(time.Second))
			require.NoError(t, r.Cancel(t.Context(), 0), "an ended run is nil")
		}
	})
}

func TestAttachFromText(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		cloud := fake.New(fake.With(slow))
		cloud.Script("k", fake.Script{Log: "hello\n", Duration: time.Hour, ExitCode: 4})
		stored := start(t, client(t, cloud, runctl.Config{}), spec("k", road)).Ref().String()
		ref, err := runctl.ParseRef(stored)
		require.NoError(t, err)
		second := client(t, cloud, runctl.Config{})
		r, err := second.Attach(t.Context(), ref)
		require.NoError(t, err)
		receipt, err := r.Wait(t.Context())
		require.Error(t, err)
		require.Equal(t, 4, receipt.ExitCode)
		ref.Run, ref.ID = "", "" // by its key alone
		r, err = second.Attach(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, "k", r.Ref().Run)

		other := start(t, second, spec("other", road)).Ref()
		other.Key = "k" // an id that was given again
		_, err = second.Attach(t.Context(), other)
		require.ErrorIs(t, err, runctl.ErrConflict)
		require.ErrorIs(t, second.Terminate(t.Context(), other), runctl.ErrConflict)
		require.Len(t, cloud.Billing(), 2)
	})
}

func TestSubmitRefusesMachinesThatCannot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.With(slow), fake.Unguarded())
		c := client(t, cloud, runctl.Config{})
		job := runctl.Job{ID: "j", Args: []string{"train"}}
		launch := func(key string) runctl.Ref {
			i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(1), Unguarded: true})
			require.NoError(t, err)
			return i.Ref()
		}
		refused := func(ref runctl.Ref, want string) {
			t.Helper()
			_, err := c.Submit(t.Context(), ref, job)
			require.ErrorIs(t, err, runctl.ErrConflict)
			require.ErrorContains(t, err, want)
		}
		stopped, ended, old := launch("stopped"), launch("ended"), launch("old")
		_, err := c.Submit(t.Context(), old, job)
		require.NoError(t, err)
		require.NoError(t, c.StopInstance(t.Context(), stopped))
		refused(stopped, "the machine is stopped; StartInstance it first")
		require.NoError(t, c.StopInstance(t.Context(), stopped), "stopped is stopped")
		require.NoError(t, c.StartInstance(t.Context(), stopped))
		_, err = c.Submit(t.Context(), stopped, job)
		require.NoError(t, err)
		require.NoError(t, c.Terminate(t.Context(), ended))
		refused(ended, "the machine has ended; launch another")
		require.ErrorIs(t, c.StartInstance(t.Context(), ended), runctl.ErrConflict)
		require.NoError(t, c.Terminate(t.Context(), ended))
		s := spec("vessel", runctl.RoadJob)
		s.Unguarded = true
		refused(start(t, c, s).Instance().Ref(), "the machine is the vessel of one job and takes no other")
		require.NoError(t, c.StopInstance(t.Context(), stopped))
		<-time.After(time.Hour)
		refused(old, "its lifetime of 1h0m0s is over; launch another")
		require.ErrorContains(t, c.StartInstance(t.Context(), stopped), "its lifetime of 1h0m0s is over; terminate it and launch another")
	})
}

func TestAStopThatHangsIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := slow
		forever.Stop = 100 * time.Hour
		c := client(t, fake.New(fake.With(forever)), runctl.Config{})
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "k", Lifetime: 48 * time.Hour, MaxHourly: runctl.USD(1)})
		require.NoError(t, err)
		err = c.StopInstance(t.Context(), i.Ref())
		require.ErrorIs(t, err, runctl.ErrTimeout)
		require.ErrorContains(t, err, "last seen stopping")
	})
}

func TestStartLeavesADefinedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endless := slow
		endless.Boot = 10 * time.Minute
		for name, leave := range map[string]func(context.CancelFunc, *runctl.Client){
			"cancel": func(cancel context.CancelFunc, _ *runctl.Client) { cancel() },
			"close":  func(_ context.CancelFunc, c *runctl.Client) { _ = c.Close() },
		} {
			cloud := fake.New(fake.With(endless), fake.ShellOnly())
			c := client(t, cloud, runctl.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(time.Minute, func() { leave(cancel, c) }).Stop()
			_, err := c.Start(ctx, spec("k", 0))
			require.Error(t, err, name)
			require.ErrorContains(t, err, "the machine stays for the next Start with this key")
			var e *runctl.Error
			require.ErrorAs(t, err, &e)
			assert.True(t, e.MayBill)
			require.Len(t, cloud.Billing(), 1, name)
			require.Zero(t, cloud.Calls(fake.OpTerminate), name)
			r := start(t, client(t, cloud, runctl.Config{}), spec("k", 0))
			_, err = r.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, cloud.Launched(), "the same machine: %s", name)
		}

		endless.Boot = 100 * time.Hour
		cloud := fake.New(fake.With(endless), fake.ShellOnly())
		_, err := client(t, cloud, runctl.Config{}).Start(t.Context(), spec("k", 0))
		require.ErrorIs(t, err, runctl.ErrTimeout)
		require.ErrorContains(t, err, "the machine did not come up within 20m0s; the machine was terminated")
		require.Empty(t, cloud.Billing())
	})
}

func TestRunCollectsAndTerminates(t *testing.T) {
	bothRoads(t, func(t *testing.T, road runctl.Road) {
		for code := range 2 {
			cloud := fake.New(fake.With(slow))
			cloud.Script("k", fake.Script{Duration: time.Hour, ExitCode: code, Outputs: map[string]string{"out/model.bin": "weights", "junk": "no"}})
			s := spec("k", road)
			s.Job.Outputs, s.Collect = []string{"out"}, t.TempDir()
			receipt, err := client(t, cloud, runctl.Config{}).Run(t.Context(), s)
			require.Equal(t, code, receipt.ExitCode)
			var exit *runctl.ExitError
			require.Equal(t, code != 0, errors.As(err, &exit), "%v", err)
			require.Equal(t, code != 0, err != nil, "%v", err)
			b, err := os.ReadFile(filepath.Join(s.Collect, "out", "model.bin"))
			require.NoError(t, err)
			require.Equal(t, "weights", string(b))
			require.NoFileExists(t, filepath.Join(s.Collect, "junk"))
			require.Empty(t, cloud.Billing(), "and the machine has ended")
		}
	})
}

func TestAMachineByHandIsNotTakenFromAnOfferThatRunsOneJob(t *testing.T) {
	cloud := fake.New(fake.Offers(
		runctl.Offer{ID: "a-job", Roads: runctl.RoadJob, EndsItself: true, Price: runctl.Price{Hourly: runctl.USD(1)}},
		runctl.Offer{ID: "b-shell", Roads: runctl.RoadShell, EndsItself: true, Price: runctl.Price{Hourly: runctl.USD(1)}}))
	c := client(t, cloud, runctl.Config{})
	i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "k", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
	require.NoError(t, err)
	assert.Equal(t, "b-shell", i.Type, "though the other comes first")
	only := client(t, fake.New(fake.JobOnly()), runctl.Config{})
	_, err = only.Launch(t.Context(), runctl.LaunchSpec{Key: "k", Lifetime: time.Hour, MaxHourly: runctl.USD(9)})
	require.ErrorIs(t, err, runctl.ErrInvalid)
	require.ErrorContains(t, err, "runs the one job that it is launched with")
}
