//go:build linux

package local

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/job"
)

// start runs a shell script as a job on the instance.
func start(t *testing.T, p *Provider, i runctl.Instance, run, script string) {
	t.Cleanup(func() { requireNoProcess(t, p) })
	t.Cleanup(func() { _ = job.Cancel(context.Background(), p.machine(i.ID), run, 0) })
	require.NoError(t, job.Start(t.Context(), p.machine(i.ID), job.Spec{
		Run: run, Digest: "d", Argv: []string{"sh", "-c", script}, Dir: t.TempDir(), Grace: time.Minute,
	}))
}

func wait(t *testing.T, p *Provider, i runctl.Instance, run string) job.Receipt {
	s, err := job.Wait(t.Context(), p.machine(i.ID), run, 30*time.Second)
	require.NoError(t, err)
	require.NotNil(t, s.Receipt, "%+v", s)
	return *s.Receipt
}

func get(t *testing.T, p *Provider, i runctl.Instance) runctl.Instance {
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	return got
}

// requireNoProcess waits until nothing is left that was started for an instance of p.
func requireNoProcess(t *testing.T, p *Provider) {
	require.Eventually(t, func() bool {
		environs, err := filepath.Glob("/proc/[0-9]*/environ")
		require.NoError(t, err)
		for _, e := range environs {
			if b, err := os.ReadFile(e); err == nil && bytes.Contains(b, []byte(p.dir)) {
				return false
			}
		}
		return true
	}, 20*time.Second, 20*time.Millisecond)
}

// keeping launches an instance, five minutes ago, that ends itself after ten minutes without a run.
func keeping(t *testing.T, p *Provider) runctl.Instance {
	at(p, time.Now().Add(-5*time.Minute))
	req := request("keeping")
	req.Keep = 10 * time.Minute
	i, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	return i
}

func TestAnInstanceEndsWhenItsLifetimeIsOver(t *testing.T) {
	p := newProvider(t)
	i := launch(t, p, "a")
	at(p, i.Launched.Add(time.Hour-time.Nanosecond))
	assert.Equal(t, runctl.StateRunning, get(t, p, i).State)
	at(p, i.Launched.Add(time.Hour))
	over := get(t, p, i)
	assert.Equal(t, runctl.StateTerminated, over.State)
	assert.Equal(t, i.Launched.Add(time.Hour), over.Ended)
	assert.Contains(t, over.Reason, "lifetime")
	at(p, i.Launched)
	assert.Equal(t, runctl.StateTerminated, get(t, p, i).State, "an end is final, whatever the clock does")
}

func TestAnUnusedInstanceEndsAfterItsKeepTime(t *testing.T) {
	p := newProvider(t)
	i := keeping(t, p)
	at(p, i.Launched.Add(10*time.Minute-time.Nanosecond))
	assert.Equal(t, runctl.StateRunning, get(t, p, i).State)
	at(p, i.Launched.Add(59*time.Minute))
	over := get(t, p, i)
	assert.Equal(t, runctl.StateTerminated, over.State)
	assert.Equal(t, i.Launched.Add(10*time.Minute), over.Ended, "not when somebody looked")
}

func TestTheKeepTimeCountsFromTheEndOfTheLastRun(t *testing.T) {
	p := newProvider(t)
	i := keeping(t, p)
	gate := filepath.Join(t.TempDir(), "gate")
	start(t, p, i, "one", "until [ -e "+gate+" ]; do sleep 0.01; done; echo done")
	at(p, i.Launched.Add(12*time.Minute))
	assert.Equal(t, runctl.StateRunning, get(t, p, i).State, "a live run keeps its machine")
	require.NoError(t, os.WriteFile(gate, nil, 0o600))
	ended := wait(t, p, i, "one").Ended
	at(p, ended.Add(10*time.Minute-time.Second))
	assert.Equal(t, runctl.StateRunning, get(t, p, i).State)
	at(p, ended.Add(10*time.Minute))
	over := get(t, p, i)
	assert.Equal(t, runctl.StateTerminated, over.State)
	assert.True(t, over.Ended.Equal(ended.Add(10*time.Minute)))

	m, err := p.Connect(t.Context(), over, runctl.Access{})
	require.NoError(t, err, "what has ended can still be read")
	var log bytes.Buffer
	_, err = job.Log(t.Context(), m, "one", 0, true, &log)
	require.NoError(t, err)
	assert.Equal(t, "done\n", log.String())
	s, err := job.Inspect(t.Context(), m, "one")
	require.NoError(t, err)
	assert.Equal(t, job.PhaseDone, s.Phase)
}

func TestAnInstanceIsNotEndedBeforeItsRunsAre(t *testing.T) {
	p := newProvider(t)
	i := launch(t, p, "a")
	gate := filepath.Join(t.TempDir(), "gate")
	start(t, p, i, "one", "until [ -e "+gate+" ]; do sleep 0.01; done")
	at(p, i.Launched.Add(2*time.Hour))
	now := get(t, p, i)
	assert.Equal(t, runctl.StateStopping, now.State)
	assert.True(t, now.Ended.IsZero())
	assert.Contains(t, now.Reason, "1 of its runs")
	require.NoError(t, os.WriteFile(gate, nil, 0o600))
	wait(t, p, i, "one")
	assert.Equal(t, runctl.StateTerminated, get(t, p, i).State)
}

func TestTerminateEndsTheRunsOfThisInstanceAlone(t *testing.T) {
	p := newProvider(t)
	i, other := launch(t, p, "a"), launch(t, p, "b")
	ready := filepath.Join(t.TempDir(), "ready")
	start(t, p, i, "one", "trap 'echo saved; exit 3' TERM; : > "+ready+"; while :; do sleep 0.01; done")
	start(t, p, other, "one", "exec sleep 600")
	require.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, p.Terminate(t.Context(), i.ID))
	assert.NotEqual(t, runctl.StateRunning, get(t, p, i).State)
	r := wait(t, p, i, "one")
	assert.Equal(t, "cancel", r.Cause)
	assert.Equal(t, 3, r.Code)
	over := get(t, p, i)
	assert.Equal(t, runctl.StateTerminated, over.State)
	assert.Equal(t, "terminated", over.Reason)
	require.NoError(t, p.Terminate(t.Context(), i.ID), "gone already is nil")
	assert.True(t, over.Ended.Equal(get(t, p, i).Ended))

	s, err := job.Inspect(t.Context(), p.machine(other.ID), "one")
	require.NoError(t, err)
	assert.Equal(t, job.PhaseRunning, s.Phase)
	assert.Equal(t, runctl.StateRunning, get(t, p, other).State)
	var log bytes.Buffer
	_, err = job.Log(t.Context(), p.machine(i.ID), "one", 0, true, &log)
	require.NoError(t, err)
	assert.Contains(t, log.String(), "saved\n", "the files stay")
}

func TestTerminateIsWrittenDownBeforeTheRunsAreAsked(t *testing.T) {
	p := newProvider(t)
	i := launch(t, p, "a")
	require.NoError(t, os.WriteFile(p.path(i.ID, rootDir, "v1"), nil, 0o600)) // no supervisor can work here
	assert.ErrorIs(t, p.Terminate(t.Context(), i.ID), runctl.ErrUnavailable)
	_, err := p.Get(t.Context(), i.ID)
	assert.ErrorIs(t, err, runctl.ErrUnavailable, "nobody knows what runs there: that is no end")
	require.NoError(t, os.Remove(p.path(i.ID, rootDir, "v1")))
	assert.Equal(t, runctl.StateTerminated, get(t, p, i).State, "the wish stands")
}

func TestCheckpointDirIsWhereTheJobWritesThem(t *testing.T) {
	p := newProvider(t)
	i := launch(t, p, "a")
	start(t, p, i, "one", `echo step 5 > "$RUNCTL_CHECKPOINT_DIR/5"`)
	require.Zero(t, wait(t, p, i, "one").Code)
	b, err := os.ReadFile(filepath.Join(p.CheckpointDir(i.ID, "one"), "5"))
	require.NoError(t, err)
	assert.Equal(t, "step 5\n", string(b))
}

func TestWhatEndedLongAgoIsRemovedByALaterLaunch(t *testing.T) {
	p := newProvider(t)
	ended, live, unseen := launch(t, p, "ended"), request("live"), launch(t, p, "unseen")
	live.Lifetime = 1000 * time.Hour
	alive, err := p.Launch(t.Context(), live)
	require.NoError(t, err)
	require.NoError(t, p.Terminate(t.Context(), ended.ID))
	require.Equal(t, runctl.StateTerminated, get(t, p, ended).State)

	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600))
	require.NoError(t, os.Symlink(outside, p.path(ended.ID, rootDir, "link")))
	require.NoError(t, os.Symlink(outside, p.path(newPrefix+"link")))
	for _, foreign := range []string{"notes", "l-short"} {
		require.NoError(t, os.MkdirAll(p.path(foreign, rootDir), 0o700))
	}
	require.NoError(t, os.MkdirAll(p.path(newPrefix+"crashed"), 0o700))

	at(p, ended.Launched.Add(keepFor-time.Hour))
	launch(t, p, "early")
	assert.DirExists(t, p.path(ended.ID), "not before its time")

	at(p, ended.Launched.Add(keepFor+2*time.Hour))
	launch(t, p, "later")
	assert.NoDirExists(t, p.path(ended.ID))
	assert.NoDirExists(t, p.path(unseen.ID), "its lifetime was over, though nobody looked")
	assert.NoDirExists(t, p.path(newPrefix+"crashed"))
	assert.FileExists(t, filepath.Join(outside, "precious"), "no link is followed")
	for _, stays := range []string{alive.ID, "notes", "l-short", newPrefix + "link"} {
		_, err := os.Lstat(p.path(stays))
		assert.NoError(t, err, stays)
	}
	_, err = p.Get(t.Context(), ended.ID)
	assert.ErrorIs(t, err, runctl.ErrNotFound)
}

func TestASweepIsBounded(t *testing.T) {
	p := newProvider(t)
	for n := range 2 * maxRemoved {
		launch(t, p, string(rune('a'+n)))
	}
	at(p, p.now().Add(keepFor+2*time.Hour))
	launch(t, p, "later")
	entries, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	assert.Len(t, entries, maxRemoved+1)
}

func TestAnInstanceThatIsRemovedDuringAListIsPassedOver(t *testing.T) {
	p := newProvider(t)
	i := launch(t, p, "a")
	require.NoError(t, os.Rename(p.path(i.ID), p.path(gonePrefix+i.ID)))
	_, err := p.read(i.ID)
	assert.ErrorIs(t, err, runctl.ErrNotFound)
	assert.NotErrorIs(t, err, fs.ErrNotExist)
	all, err := p.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	assert.Empty(t, all)
}
