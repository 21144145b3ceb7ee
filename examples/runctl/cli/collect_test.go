package cli

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

func TestWhatAJobPutsOutIsCollectedUnasked(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "x\n", ExitCode: 3, Outputs: map[string]string{"model.json": "{}", "deep/w.bin": "weights"}})
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 3, r.code, "the job's own, whatever was collected: %s", r.stderr)
	assert.Equal(t, "{}", w.file("work", "runctl-out", "x", "model.json"))
	assert.Equal(t, "weights", w.file("work", "runctl-out", "x", "deep", "w.bin"))
	assert.Contains(t, r.stderr, "log and outputs: runctl-out/x/; record: ")
	w.nothingLeft()
}

func TestAnOutputNamedAsTheLogStandsBesideIt(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "ours\n", Outputs: map[string]string{"log": "its own"}})
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, "its own", w.file("work", "runctl-out", "x", "log"))
	assert.Equal(t, "ours\n", w.file("work", "runctl-out", "x", "log.runctl"))
	assert.Equal(t, "ours\n", w.run("logs", "x").stdout)
}

// unreadable is a provider whose machines run a job and cannot be entered.
type unreadable struct {
	runctl.Provider
	runctl.JobRunner
}

func TestAMachineWithoutFilesIsNoFailure(t *testing.T) {
	w := newWorld(t)
	w.reg.Register(runctl.Factory{Name: "sealed", Open: func(context.Context, func(string) string) (runctl.Provider, error) {
		c := fake.New(fake.Name("sealed"), fake.JobOnly(), fake.Offers(freeOffer))
		jobs, _ := runctl.As[runctl.JobRunner](c)
		return unreadable{c, jobs}, nil
	}})
	r := w.run("run", "-p", "sealed", "--name", "x", "prog")
	assert.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, "fake: prog\n", r.stdout)
	assert.Contains(t, r.stderr, "; log: "+filepath.Join("runctl-out", "x")+"/")
	assert.NotContains(t, r.stderr, "cannot be read")
	assert.Equal(t, 0, *w.record("x").Exit)
}

func TestWhatCannotBeCollectedKeepsItsMachineUntilItIsEnded(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Script("", fake.Script{Log: "x\n", Outputs: map[string]string{"model.json": "{}"}})
	r := w.run("run", "-p", "fake", "--name", "x", "--out", "missing", "prog")
	assert.Equal(t, 125, r.code, r.stderr)
	assert.Contains(t, r.stderr, "runctl attach x tries again, runctl terminate x ends it")
	assert.Equal(t, "{}", w.file("work", "runctl-out", "x", "model.json"))
	assert.Len(t, w.cloud.Billing(), 1)
	require.Equal(t, 0, w.run("terminate", "x").code)
	assert.Equal(t, "succeeded", w.record("x").Outcome, "the job did")
	w.nothingLeft()
}

func TestAttachAfterTheMachineWentWithACollectedRunKnowsTheReceipt(t *testing.T) {
	w := newWorld(t, fake.ShellOnly(), fake.Forgetful())
	w.cloud.Script("", fake.Script{Log: "x\n", ExitCode: 5})
	require.Equal(t, 5, w.run("run", "-p", "fake", "--name", "x", "prog").code)
	rec := w.record("x") // as it is when runctl is killed between the machine's end and the last word
	rec.Phase, rec.Ended, rec.Exit, rec.Outcome = phaseRunning, nil, nil, ""
	require.NoError(t, replaceState(filepath.Join(w.dir, "state", "runs", "x.json"), rec))
	r := w.run("attach", "x")
	assert.Equal(t, 5, r.code, r.stderr)
	assert.Contains(t, r.stderr, "ended in the meantime, failed")
	assert.Equal(t, "failed", w.record("x").Outcome)
	assert.Equal(t, "x\n", w.run("logs", "x").stdout)
}
