package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func itoa(n int) string { return strconv.Itoa(n) }

// result is what a run within the test's own process left behind.
type result struct {
	stdout, stderr string
	code           int
}

// runIn runs the command with its directories under dir.
func runIn(t *testing.T, dir string, args ...string) result {
	t.Helper()
	return runFrom(t, context.Background(), "", dir, args...)
}

// runFrom is runIn with a context and a value for RUNCTL_RESUME.
func runFrom(t *testing.T, ctx context.Context, resume, dir string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, env(map[string]string{
		"RUNCTL_CHECKPOINT_DIR": filepath.Join(dir, "checkpoints"),
		"RUNCTL_OUTPUT_DIR":     filepath.Join(dir, "outputs"),
		"RUNCTL_RESUME":         resume,
	}), &stdout, &stderr)
	return result{stdout.String(), stderr.String(), code}
}

func TestEveryResumeIsBitIdentical(t *testing.T) {
	const steps = 12
	whole := newTrainer(smallConfig())
	var want []uint64
	for range steps {
		loss, err := whole.Step()
		require.NoError(t, err)
		want = append(want, math.Float64bits(loss))
	}
	for cut := 0; cut <= steps; cut++ {
		tr := newTrainer(smallConfig())
		var got []uint64
		for range cut {
			loss, err := tr.Step()
			require.NoError(t, err)
			got = append(got, math.Float64bits(loss))
		}
		tr = throughBytes(t, tr)
		require.Equal(t, cut, tr.step)
		for range steps - cut {
			loss, err := tr.Step()
			require.NoError(t, err)
			got = append(got, math.Float64bits(loss))
		}
		assert.Equal(t, want, got, "cut at %d", cut)
		assert.Equal(t, whole.net.Params, tr.net.Params, "cut at %d", cut)
	}
}

// throughBytes returns the trainer as it comes back from a checkpoint file.
func throughBytes(t *testing.T, tr *Trainer) *Trainer {
	t.Helper()
	s, err := tr.Snapshot()
	require.NoError(t, err)
	data, err := encode(s)
	require.NoError(t, err)
	back, err := decode(data)
	require.NoError(t, err)
	tr, err = restoreTrainer(back)
	require.NoError(t, err)
	return tr
}

func TestSnapshotIsACopy(t *testing.T) {
	tr := newTrainer(smallConfig())
	s, err := tr.Snapshot()
	require.NoError(t, err)
	before := fmt.Sprint(*s)
	_, err = tr.Step()
	require.NoError(t, err)
	assert.Equal(t, before, fmt.Sprint(*s))
}

func TestResumedRunPrintsTheSameLines(t *testing.T) {
	whole := t.TempDir()
	want := runIn(t, whole, "--steps", "40", "--every", "6")
	require.Equal(t, exitOK, want.code)

	// 15 lies between two lines of progress and between two checkpoints.
	dir := t.TempDir()
	first := runIn(t, dir, "--steps", "15", "--every", "6", "--checkpoint-every", "4")
	require.Equal(t, exitOK, first.code)
	second := runIn(t, dir, "--steps", "40", "--every", "6")
	require.Equal(t, exitOK, second.code, second.stderr)

	after, ok := strings.CutPrefix(second.stdout, "resumed from step 15\n")
	require.True(t, ok, second.stdout)
	_, fromLine18, _ := strings.Cut(want.stdout, "step 18 ")
	assert.Equal(t, "step 18 "+strings.ReplaceAll(fromLine18, whole, dir), after)
	assert.Equal(t, readModel(t, whole), readModel(t, dir))
}

func TestResumeFromAnotherRun(t *testing.T) {
	earlier := t.TempDir()
	require.Equal(t, exitOK, runIn(t, earlier, "--steps", "10", "--checkpoint-every", "5").code)
	before := files(t, filepath.Join(earlier, "checkpoints"))
	want := modelAfter(t, "14")

	for from, path := range map[int]string{
		10: filepath.Join(earlier, "checkpoints"),
		5:  filepath.Join(earlier, "checkpoints", checkpointName(5)),
	} {
		dir := t.TempDir()
		// RUNCTL_RESUME goes before what the run's own directory holds.
		require.Equal(t, exitOK, runIn(t, dir, "--steps", "3").code)
		res := runFrom(t, context.Background(), path, dir, "--steps", "14")
		assert.Equal(t, exitOK, res.code, res.stderr)
		assert.True(t, strings.HasPrefix(res.stdout, "resumed from step "+itoa(from)+"\n"), res.stdout)
		assert.Equal(t, want, readModel(t, dir))
	}
	assert.Equal(t, before, files(t, filepath.Join(earlier, "checkpoints")), "the earlier run is only read")
}

func TestFinishedRunHasNothingLeft(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, exitOK, runIn(t, dir, "--steps", "4").code)
	model := readModel(t, dir)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "outputs")))
	res := runIn(t, dir, "--steps", "4")
	assert.Equal(t, exitOK, res.code)
	assert.True(t, strings.HasPrefix(res.stdout, "resumed from step 4\nnothing left to train"), res.stdout)
	assert.Equal(t, model, readModel(t, dir))
}

func TestResumeRefused(t *testing.T) {
	made := t.TempDir()
	require.Equal(t, exitOK, runIn(t, made, "--steps", "4").code)
	checkpoints := filepath.Join(made, "checkpoints")
	file := filepath.Join(checkpoints, checkpointName(4))
	missing := filepath.Join(made, "nowhere")

	for name, tc := range map[string]struct {
		resume string
		args   []string
		want   []string
	}{
		"seed": {checkpoints, []string{"--seed", "2"},
			[]string{file, "is refused", "--seed 1 (this run has 2)", "start anew"}},
		"lr": {checkpoints, []string{"--lr", "0.5"},
			[]string{file, "is refused", "--lr 0.003 (this run has 0.5)", "start anew"}},
		"too far": {checkpoints, []string{"--steps", "3"},
			[]string{file, "is at step 4, past --steps 3", "use a larger --steps"}},
		"missing": {missing, nil, []string{"RUNCTL_RESUME", missing, "unset it"}},
		"empty":   {t.TempDir(), nil, []string{"RUNCTL_RESUME", "no checkpoint was committed there", "unset it"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			res := runFrom(t, context.Background(), tc.resume, dir, tc.args...)
			assert.Equal(t, exitError, res.code)
			assert.Empty(t, res.stdout)
			for _, part := range tc.want {
				assert.Contains(t, res.stderr, part)
			}
			assert.Equal(t, 1, strings.Count(res.stderr, "\n"), res.stderr)
			assert.Empty(t, files(t, filepath.Join(dir, "checkpoints")))
		})
	}
}

func TestConfigDifferencesNamesEveryField(t *testing.T) {
	a := smallConfig()
	assert.Empty(t, a.differences(smallConfig()))
	b := Config{Task: "other", Layers: []int{2, 3}, Batch: 9, Seed: 4, LR: 0.02}
	assert.Equal(t, []string{
		"task three-spirals/1 (this run has other)", "layers [2 6 5 3] (this run has [2 3])",
		"batch size 8 (this run has 9)", "--seed 3 (this run has 4)", "--lr 0.01 (this run has 0.02)",
	}, a.differences(b))
}

// cancelAt is a writer that ends a context when it sees a text.
type cancelAt struct {
	bytes.Buffer
	text   string
	cancel context.CancelCauseFunc
}

func (w *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.cancel(stopSignal{syscall.SIGTERM})
	}
	return w.Buffer.Write(p)
}

func TestStopSavesTheStepItStoppedAt(t *testing.T) {
	dir := t.TempDir()
	opts, err := parseOptions([]string{
		"--every", "1", "--dir", filepath.Join(dir, "checkpoints"), "--out", filepath.Join(dir, "outputs")}, env(nil))
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	w := &cancelAt{text: "step 7 ", cancel: cancel}
	err = runTraining(ctx, opts, w)
	assert.Equal(t, stopSignal{syscall.SIGTERM}, err)
	assert.True(t, strings.HasSuffix(w.String(), "\nsaved checkpoint step 7\n"), w.String())

	// Stopped before its first step, a run saves where it stands.
	res := runFrom(t, ctx, "", dir)
	assert.Equal(t, result{"resumed from step 7\nsaved checkpoint step 7\n", "", 143}, res)
	res = runFrom(t, ctx, "", t.TempDir())
	assert.Equal(t, result{"saved checkpoint step 0\n", "", 143}, res)

	res = runIn(t, dir, "--steps", "20")
	assert.Equal(t, exitOK, res.code)
	assert.Equal(t, modelAfter(t, "20"), readModel(t, dir))
}
