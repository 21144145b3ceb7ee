package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

func newClient(t *testing.T, clouds ...runctl.Provider) *runctl.Client {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "test", Controller: "abc"}, clouds...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

// tune is what a service asks for.
func tune(key string) runctl.RunSpec {
	return runctl.RunSpec{
		Key:      key,
		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, MaxHourly: runctl.USD(4)},
		Job:      runctl.Job{Args: []string{"uv", "run", "tune.py"}, Outputs: []string{"adapter"}},
		Lifetime: 3 * time.Hour,
	}
}

// result is what its worker does with the stored reference.
func result(ctx context.Context, c *runctl.Client, stored string) (int, error) {
	ref, err := runctl.ParseRef(stored)
	if err != nil {
		return 0, err
	}
	run, err := c.Attach(ctx, ref)
	if err != nil {
		return 0, err
	}
	r, err := run.Wait(ctx)
	if exit := (*runctl.ExitError)(nil); errors.As(err, &exit) {
		return exit.Result.ExitCode, nil
	}
	return r.ExitCode, err
}

func TestFailedTuneIsReported(t *testing.T) { // a plain test: no bubble, no sleep
	cloud := fake.New()
	cloud.Script("tune-42", fake.Script{Log: "loss nan\n", ExitCode: 3})
	cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, After: true, Err: io.ErrUnexpectedEOF})
	runs := newClient(t, cloud)
	run, err := runs.Start(t.Context(), tune("tune-42"))
	require.NoError(t, err)
	code, err := result(t.Context(), runs, run.Ref().String())
	require.NoError(t, err)
	assert.Equal(t, 3, code)
	assert.Equal(t, 1, cloud.Launched())
	assert.Empty(t, cloud.Billing())
}

func TestAServiceWorksOnEitherRoadBesideAServer(t *testing.T) {
	for name, opts := range map[string][]fake.Option{"job": nil, "shell": {fake.ShellOnly()}} {
		t.Run(name, func(t *testing.T) {
			cloud := fake.New(opts...)
			cloud.Script("web", fake.Script{Log: "step 1\nstep 2\n", Duration: 30 * time.Millisecond, Outputs: map[string]string{"adapter/w.bin": "weights"}})
			runs, dir := newClient(t, cloud), t.TempDir()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := tune("web")
				s.Collect = dir
				if _, err := runs.Run(r.Context(), s); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
				}
			}))
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
			b, err := os.ReadFile(filepath.Join(dir, "adapter", "w.bin"))
			require.NoError(t, err)
			assert.Equal(t, "weights", string(b))
			assert.Empty(t, cloud.Billing())
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	cloud := fake.New()
	cloud.Script("", fake.Script{Hold: true})
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			i, err := cloud.Launch(ctx, withJob(fmt.Sprint("k-", n), "train"))
			assert.NoError(t, err)
			p, err := cloud.Process(ctx, i)
			assert.NoError(t, err)
			go cancel()
			_, err = p.Wait(ctx)
			assert.ErrorIs(t, err, context.Canceled)
			_, _ = cloud.List(t.Context(), runctl.ListQuery{})
			cloud.Preempt(i.ID)
		})
	}
	wg.Wait()
	assert.Empty(t, cloud.Billing())
	buf := make([]byte, 1<<20)
	assert.NotContains(t, string(buf[:runtime.Stack(buf, true)]), "runctl/fake.", "no goroutine of the cloud's is left")
}

func TestACloudMadeOutsideWorksInsideABubble(t *testing.T) {
	cloud := fake.New()
	cloud.Script("", fake.Script{Duration: time.Hour})
	synctest.Test(t, func(t *testing.T) {
		_, p := vessel(t, cloud, withJob("a", "train"))
		s, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.True(t, s.Receipt.Succeeded())
	})
}

// A month of a small lab: a thousand jobs, thirty at a time, on a cloud that misbehaves.
func TestAMonthOfAThousandJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	began := processorTime(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		physics := fake.EC2(11)
		physics.Poll = monthPoll
		cloud := fake.New(fake.With(physics), fake.Settle(30*time.Second))
		cloud.Script("", fake.Script{Log: "a\nb\nc\n", Duration: 20 * time.Hour})
		runs := newClient(t, cloud)
		var repeated atomic.Int64
		var wg sync.WaitGroup
		for lane := range 30 {
			wg.Go(func() {
				for n := range 34 {
					s := tune(fmt.Sprintf("j-%d-%d", lane, n))
					s.Lifetime = 24 * time.Hour
					for { // whoever is told of a failure repeats with the same key
						receipt, err := runs.Run(t.Context(), s)
						if receipt.Succeeded() {
							break
						}
						if !assert.Error(t, err) || time.Since(start) > 60*24*time.Hour {
							return
						}
						repeated.Add(1)
						<-time.After(10 * time.Minute)
					}
				}
			})
		}
		wg.Wait()
		<-time.After(25 * time.Hour)
		t.Logf("%v, %d calls of Run repeated, %d machines, bill %s, %d lists, %d calls", time.Since(start).Round(time.Hour), repeated.Load(),
			cloud.Launched(), cloud.Cost(), cloud.Calls(fake.OpList), cloud.Calls(""))
		assert.Equal(t, 1020, cloud.Launched(), "one machine a job, whatever went wrong")
		assert.Greater(t, time.Since(start), 28*24*time.Hour)
		assert.Empty(t, cloud.Billing(), "nothing is left billing")
	})
	took := processorTime(t) - began
	t.Logf("in %v of a processor's time", took)
	assert.Less(t, took, monthTime)
}

// processorTime is what this process has used of the processors: a busy computer does not change it.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkListOfAThousand(b *testing.B) {
	cloud := fake.New()
	for n := range 1000 {
		if _, err := cloud.Launch(b.Context(), request(fmt.Sprint("k-", n))); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if list, err := cloud.List(b.Context(), runctl.ListQuery{}); err != nil || len(list) != 1000 {
			b.Fatal(len(list), err)
		}
	}
}
