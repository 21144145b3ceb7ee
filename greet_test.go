package runctl_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/internal/job"
)

// watched is a cloud that notes its launch requests, and the supervisor's verbs that its machines hear.
type watched struct {
	*fake.Cloud
	mu       sync.Mutex
	launches []runctl.LaunchRequest
	verbs    []string
}

func (w *watched) Launch(ctx context.Context, r runctl.LaunchRequest) (runctl.Instance, error) {
	w.mu.Lock()
	w.launches = append(w.launches, r)
	w.mu.Unlock()
	return w.Cloud.Launch(ctx, r)
}

func (w *watched) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	m, err := w.Cloud.Connect(ctx, i, a)
	return watchedMachine{m, w}, err
}

type watchedMachine struct {
	runctl.Machine
	w *watched
}

func (m watchedMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	m.w.mu.Lock()
	if len(argv) > 4 {
		m.w.verbs = append(m.w.verbs, argv[4])
	}
	m.w.mu.Unlock()
	return m.Machine.Exec(ctx, argv, stdin, stdout, stderr)
}

func (w *watched) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Compact(slices.Clone(w.verbs))
}

// A machine that runs boot scripts gets one, with the lifetime and the keep of its launch, and is asked for its guard
// before it gets a job.
func TestAMachineIsGreetedBeforeItGetsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New(fake.Boots(), fake.ShellOnly())}
		s := spec("a", 0)
		s.Keep, s.Job.Grace = 20*time.Minute, 7*time.Minute
		start(t, client(t, w, runctl.Config{}), s)
		assert.Equal(t, []string{"hello", "start"}, w.heard())
		want := job.Boot(job.Guard{Lifetime: 48 * time.Hour, Keep: 20 * time.Minute, Grace: 7 * time.Minute}, nil)
		assert.Equal(t, string(want), string(w.launches[0].Boot))
		assert.Less(t, len(want), 64<<10)
	})
}

// Nobody else gets a boot script or is greeted: not a machine that would not run it, nor a vessel of a job.
func TestOnlyMachinesThatBootOursAreGreeted(t *testing.T) {
	for name, cloud := range map[string]*fake.Cloud{"no boot scripts": fake.New(fake.ShellOnly()), "job road": fake.New(fake.Boots())} {
		w := &watched{Cloud: cloud}
		start(t, client(t, w, runctl.Config{}), spec("a", 0))
		assert.Nil(t, w.launches[0].Boot, name)
		assert.NotContains(t, w.heard(), "hello", name)
	}
	w := &watched{Cloud: fake.New(fake.Boots(), fake.ShellOnly(), fake.Unguarded())}
	s := spec("a", 0)
	s.Unguarded = true
	start(t, client(t, w, runctl.Config{}), s)
	assert.NotContains(t, string(w.launches[0].Boot), "poweroff -f", "a cloud that would go on billing does not turn the machine off")
}

// A boot script that never ran leaves a machine that nothing would end: it is ended, and gets no job.
func TestAMachineWithoutItsGuardIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New(fake.Boots(), fake.ShellOnly())}
		w.Inject(fake.Fault{Op: fake.OpBoot})
		began := time.Now()
		_, err := client(t, w, runctl.Config{}).Start(t.Context(), spec("a", 0))
		require.ErrorIs(t, err, runctl.ErrGuard)
		assert.Equal(t, "fake m-000001 a: the machine answers, but within 10m0s its guard did not come up, so nothing there would end it; "+
			"use an image that runs the boot script that a launch gives it; the machine was terminated", err.Error())
		var e *runctl.Error
		require.ErrorAs(t, err, &e)
		assert.False(t, e.MayBill)
		assert.Equal(t, []string{"hello"}, w.heard(), "no job")
		assert.Empty(t, w.Billing())
		assert.InDelta(t, 10*time.Minute, time.Since(began), float64(time.Minute))
	})
}

// A guard may come up later than the login does, and a reply may be lost.
func TestAGuardThatIsLateIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Boots(), fake.ShellOnly())
		cloud.Inject(fake.Fault{Op: fake.OpBoot}, fake.Fault{Op: fake.OpExec, Nth: 2, Hang: true})
		c := client(t, cloud, runctl.Config{})
		done := make(chan error)
		go func() {
			_, err := c.Start(t.Context(), spec("a", 0))
			done <- err
		}()
		<-time.After(5 * time.Minute)
		m, err := c.Machine(t.Context(), cloud.Billing()[0].Ref())
		require.ErrorIs(t, err, runctl.ErrInvalid, "the cloud's own view has no mark")
		require.Nil(t, m)
		all, err := c.List(t.Context())
		require.NoError(t, err)
		m, err = c.Machine(t.Context(), all[0].Ref())
		require.NoError(t, err)
		require.NoError(t, job.Arm(t.Context(), m, job.Guard{Lifetime: 48 * time.Hour, Keep: 30 * time.Minute}))
		require.NoError(t, <-done)
		assert.Len(t, cloud.Billing(), 1)
	})
}

// A guard that would end the machine later than was asked for is none of ours.
func TestAGuardWithALongerLifetimeIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Boots(), fake.ShellOnly())
		cloud.Inject(fake.Fault{Op: fake.OpBoot})
		c := client(t, cloud, runctl.Config{})
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "box", Lifetime: time.Hour, MaxHourly: runctl.USD(9)})
		require.NoError(t, err)
		m, err := c.Machine(t.Context(), i.Ref())
		require.NoError(t, err)
		require.NoError(t, job.Arm(t.Context(), m, job.Guard{Lifetime: 100 * time.Hour}))
		_, err = c.Submit(t.Context(), i.Ref(), runctl.Job{Args: []string{"train"}})
		require.ErrorIs(t, err, runctl.ErrGuard)
		assert.Contains(t, err.Error(), "its guard has another lifetime")
	})
}

// Submit does not end a machine that it did not launch, but it says what is the matter with it.
func TestSubmitRefusesAMachineWithoutItsGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New(fake.Boots(), fake.ShellOnly())}
		w.Inject(fake.Fault{Op: fake.OpBoot})
		c := client(t, w, runctl.Config{})
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "box", Lifetime: time.Hour, MaxHourly: runctl.USD(9)})
		require.NoError(t, err)
		_, err = c.Submit(t.Context(), i.Ref(), runctl.Job{Args: []string{"train"}})
		require.ErrorIs(t, err, runctl.ErrGuard)
		var e *runctl.Error
		require.ErrorAs(t, err, &e)
		assert.True(t, e.MayBill)
		assert.Contains(t, err.Error(), "bills until somebody terminates it")
		assert.Equal(t, []string{"hello"}, w.heard())
		assert.Len(t, w.Billing(), 1)
	})
}

// A machine that is ending itself gets no job, and nobody waits for it.
func TestAMachineThatIsEndingGetsNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New(fake.Boots(), fake.ShellOnly())}
		w.Inject(fake.Fault{Op: fake.OpBoot})
		c := client(t, w, runctl.Config{})
		i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "box", Lifetime: 10 * time.Hour, MaxHourly: runctl.USD(9)})
		require.NoError(t, err)
		m, err := c.Machine(t.Context(), i.Ref())
		require.NoError(t, err)
		require.NoError(t, job.Arm(t.Context(), m, job.Guard{Lifetime: time.Hour}))
		<-time.After(61 * time.Minute)
		_, err = c.Submit(t.Context(), i.Ref(), runctl.Job{Args: []string{"train"}})
		require.ErrorIs(t, err, runctl.ErrLost)
		assert.Contains(t, err.Error(), "the machine is ending itself: lifetime")
	})
}

// Whoever leaves while the guard is waited for finds the machine again, and gets his own error.
func TestLeavingBeforeTheGuardCameKeepsTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Boots(), fake.ShellOnly())
		cloud.Inject(fake.Fault{Op: fake.OpBoot})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := client(t, cloud, runctl.Config{}).Start(ctx, spec("a", 0))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, runctl.ErrGuard)
		assert.Len(t, cloud.Billing(), 1)
	})
}
