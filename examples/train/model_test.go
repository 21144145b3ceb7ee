package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallConfig trains fast enough to be run many times.
func smallConfig() Config {
	return Config{Task: taskName, Layers: []int{inputs, 6, 5, classes}, Batch: 8, Seed: 3, LR: 0.01}
}

func TestGradientMatchesFiniteDifferences(t *testing.T) {
	tr := newTrainer(smallConfig())
	tr.batch.Fill(tr.rng)
	tr.net.LossAndGrad(tr.batch, tr.grad)
	scratch := make([]float64, len(tr.grad))
	const h = 1e-6
	for i, old := range tr.net.Params {
		tr.net.Params[i] = old + h
		up := tr.net.LossAndGrad(tr.batch, scratch)
		tr.net.Params[i] = old - h
		down := tr.net.LossAndGrad(tr.batch, scratch)
		tr.net.Params[i] = old
		require.InDeltaf(t, (up-down)/(2*h), tr.grad[i], 1e-7, "parameter %d", i)
	}
}

func TestLossFalls(t *testing.T) {
	dir := t.TempDir()
	res := runIn(t, dir, "--steps", "500", "--every", "25")
	require.Equal(t, exitOK, res.code, res.stderr)

	losses := losses(t, res.stdout)
	require.Len(t, losses, 20)
	assert.InDelta(t, math.Log(classes), losses[0], 0.3, "an untrained network knows little more than chance")
	assert.Less(t, losses[9], 0.8*losses[0])
	assert.Less(t, losses[19], 0.5*losses[0])

	var model struct {
		Config
		Step           int
		Loss, Accuracy float64
		Params         []float64
	}
	require.NoError(t, json.Unmarshal(readModel(t, dir), &model))
	assert.Equal(t, 500, model.Step)
	assert.Greater(t, model.Accuracy, 0.75)

	// What the file says about the model is true of the weights in it.
	net := newNetwork(model.Layers)
	require.Len(t, model.Params, len(net.Params))
	copy(net.Params, model.Params)
	loss, accuracy := net.Evaluate(heldOut(model.Seed))
	assert.Equal(t, model.Loss, loss)
	assert.Equal(t, model.Accuracy, accuracy)
	assert.Regexp(t, `\nfinal loss `+strconv.FormatFloat(loss, 'f', 4, 64)+`  accuracy [0-9.]+%\n`+
		`model `+regexp.QuoteMeta(dir)+`/outputs/model.json\n$`, res.stdout)
}

func TestSeedDecidesTheRun(t *testing.T) {
	a := runIn(t, t.TempDir(), "--steps", "20", "--every", "5", "--seed", "7")
	b := runIn(t, t.TempDir(), "--steps", "20", "--every", "5", "--seed", "7")
	c := runIn(t, t.TempDir(), "--steps", "20", "--every", "5", "--seed", "8")
	assert.Equal(t, losses(t, a.stdout), losses(t, b.stdout))
	assert.NotEqual(t, losses(t, a.stdout), losses(t, c.stdout))
}

func TestHeldOutPointsAreNotTrainingPoints(t *testing.T) {
	held := heldOut(1)
	train := newBatch(heldOutN)
	train.Fill(rand.New(rand.NewPCG(1, trainID)))
	assert.NotEqual(t, held.X, train.X)
	assert.Equal(t, held, heldOut(1))
}

func TestTrainingStopsWhenTheLossIsNoNumber(t *testing.T) {
	tr := newTrainer(smallConfig())
	tr.net.Params[0] = math.NaN()
	_, err := tr.Step()
	require.ErrorContains(t, err, "the loss of step 1 is NaN")
	assert.Zero(t, tr.step)
}

// losses returns the losses of the lines of progress in out.
func losses(t *testing.T, out string) []float64 {
	t.Helper()
	var all []float64
	for _, m := range regexp.MustCompile(`(?m)^step \d+  loss (\d+\.\d+)$`).FindAllStringSubmatch(out, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}
