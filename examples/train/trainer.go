package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Adam's usual constants.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// Trainer holds everything that changes while a network learns. Its next step
// depends on nothing else, which is what makes an exact resume possible.
type Trainer struct {
	cfg    Config
	net    *Network
	m, v   []float64 // Adam's running means of the gradient and its square
	source *rand.PCG
	rng    *rand.Rand
	step   int
	window Window

	batch Batch
	grad  []float64
}

// Window collects the losses since the last line of progress.
type Window struct {
	Sum   float64
	Count int
}

// Mean is the average loss of the window.
func (w Window) Mean() float64 { return w.Sum / float64(w.Count) }

// newTrainer returns a trainer at step 0 with freshly drawn weights.
func newTrainer(cfg Config) *Trainer {
	t := emptyTrainer(cfg)
	t.net.Init(t.rng)
	return t
}

// emptyTrainer returns a trainer whose weights are all zero.
func emptyTrainer(cfg Config) *Trainer {
	net := newNetwork(cfg.Layers)
	source := rand.NewPCG(cfg.Seed, trainID)
	return &Trainer{
		cfg:    cfg,
		net:    net,
		m:      make([]float64, len(net.Params)),
		v:      make([]float64, len(net.Params)),
		source: source,
		rng:    rand.New(source),
		batch:  newBatch(cfg.Batch),
		grad:   make([]float64, len(net.Params)),
	}
}

// Step draws one batch, moves the weights once, and returns the batch's loss
// from before the move.
func (t *Trainer) Step() (float64, error) {
	t.batch.Fill(t.rng)
	loss := t.net.LossAndGrad(t.batch, t.grad)
	if !finite(loss) {
		return loss, fmt.Errorf("the loss of step %d is %v, training cannot go on: try an --lr below %v",
			t.step+1, loss, t.cfg.LR)
	}
	t.step++
	t.window.Sum += loss
	t.window.Count++

	// Correct the means for having started at zero.
	fix1 := 1 / (1 - math.Pow(beta1, float64(t.step)))
	fix2 := 1 / (1 - math.Pow(beta2, float64(t.step)))
	for i, g := range t.grad {
		t.m[i] = beta1*t.m[i] + (1-beta1)*g
		t.v[i] = beta2*t.v[i] + (1-beta2)*g*g
		t.net.Params[i] -= t.cfg.LR * t.m[i] * fix1 / (math.Sqrt(t.v[i]*fix2) + epsilon)
	}
	return loss, nil
}

// Snapshot returns a copy of the trainer's state.
func (t *Trainer) Snapshot() (*State, error) {
	rng, err := t.source.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("saving the random state: %w", err)
	}
	return &State{
		Config: t.cfg,
		Step:   t.step,
		Window: t.window,
		RNG:    rng,
		Params: slices.Clone(t.net.Params),
		M:      slices.Clone(t.m),
		V:      slices.Clone(t.v),
	}, nil
}

// restoreTrainer returns a trainer that goes on from s.
func restoreTrainer(s *State) (*Trainer, error) {
	t := emptyTrainer(s.Config)
	if err := t.source.UnmarshalBinary(s.RNG); err != nil {
		return nil, fmt.Errorf("restoring the random state: %w", err)
	}
	t.step = s.Step
	t.window = s.Window
	copy(t.net.Params, s.Params)
	copy(t.m, s.M)
	copy(t.v, s.V)
	return t, nil
}
