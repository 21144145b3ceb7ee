package main

import (
	"math"
	"math/rand/v2"
)

// The task: tell from a point in the plane which of three intertwined spiral
// arms it lies on. No straight line separates the arms, so a network must
// learn to bend its boundaries.
const (
	taskName  = "three-spirals/1"
	inputs    = 2
	classes   = 3
	batchSize = 128

	turns     = 1.25 // how often an arm winds around the centre
	noise     = 0.03 // spread of the points about their arm
	heldOutN  = 600  // points the final model is judged by
	heldOutID = 2    // random stream of the held-out points
	trainID   = 1    // random stream of weights and training batches
)

// Batch is a set of points and the arm each lies on.
type Batch struct {
	X     [][inputs]float64
	Label []int
}

// newBatch returns room for n points.
func newBatch(n int) Batch {
	return Batch{X: make([][inputs]float64, n), Label: make([]int, n)}
}

// Fill overwrites the batch with fresh points drawn from rng.
func (b Batch) Fill(rng *rand.Rand) {
	for i := range b.X {
		arm := rng.IntN(classes)
		// The square root spreads the points evenly along the arm, whose
		// outer turns are longer than its inner ones.
		r := 0.1 + 0.9*math.Sqrt(rng.Float64())
		angle := 2 * math.Pi * (turns*r + float64(arm)/classes)
		b.X[i][0] = r*math.Cos(angle) + noise*rng.NormFloat64()
		b.X[i][1] = r*math.Sin(angle) + noise*rng.NormFloat64()
		b.Label[i] = arm
	}
}

// heldOut returns the points that no training batch contains. They depend on
// the seed alone, not on how far the training has come.
func heldOut(seed uint64) Batch {
	b := newBatch(heldOutN)
	b.Fill(rand.New(rand.NewPCG(seed, heldOutID)))
	return b
}
