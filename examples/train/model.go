package main

import (
	"math"
	"math/rand/v2"
)

// hidden is the width of the two hidden layers.
const hidden = 64

// Network is a multi-layer perceptron with tanh between its layers and a
// softmax at its end. All weights live in one slice, so that the optimiser and
// the checkpoint need to know nothing about layers.
type Network struct {
	Layers []int     // widths, from the inputs to the classes
	Params []float64 // for each layer: weights (row per output), then biases

	act   [][]float64 // activations per layer, act[0] being the input
	delta [][]float64 // derivative of the loss by each layer's activations
}

// paramCount returns how many weights and biases the layers need.
func paramCount(layers []int) int {
	n := 0
	for l := 1; l < len(layers); l++ {
		n += layers[l] * (layers[l-1] + 1)
	}
	return n
}

// newNetwork returns a network with all weights zero.
func newNetwork(layers []int) *Network {
	n := &Network{Layers: layers, Params: make([]float64, paramCount(layers))}
	for _, width := range layers {
		n.act = append(n.act, make([]float64, width))
		n.delta = append(n.delta, make([]float64, width))
	}
	return n
}

// Init draws the weights from rng, scaled so that signals keep their size from
// layer to layer; biases start at zero.
func (n *Network) Init(rng *rand.Rand) {
	at := 0
	for l := 1; l < len(n.Layers); l++ {
		in, out := n.Layers[l-1], n.Layers[l]
		scale := 1 / math.Sqrt(float64(in))
		for range in * out {
			n.Params[at] = scale * rng.NormFloat64()
			at++
		}
		for range out {
			n.Params[at] = 0
			at++
		}
	}
}

// Forward computes the probability of each class for the point x. The result
// is valid until the next call.
func (n *Network) Forward(x []float64) []float64 {
	copy(n.act[0], x)
	at, last := 0, len(n.Layers)-1
	for l := 1; l <= last; l++ {
		in, out := n.act[l-1], n.act[l]
		weights := n.Params[at : at+len(in)*len(out)]
		at += len(weights)
		biases := n.Params[at : at+len(out)]
		at += len(biases)
		for o := range out {
			sum := biases[o]
			for i, w := range weights[o*len(in) : (o+1)*len(in)] {
				sum += w * in[i]
			}
			if l < last {
				sum = math.Tanh(sum)
			}
			out[o] = sum
		}
	}
	softmax(n.act[last])
	return n.act[last]
}

// backward adds to grad the derivative of the loss of the point last passed
// to [Network.Forward], times scale, for the true class label.
func (n *Network) backward(label int, scale float64, grad []float64) {
	last := len(n.Layers) - 1
	for c, p := range n.act[last] {
		n.delta[last][c] = p * scale
	}
	n.delta[last][label] -= scale

	end := len(n.Params)
	for l := last; l >= 1; l-- {
		in, delta, back := n.act[l-1], n.delta[l], n.delta[l-1]
		start := end - len(delta)*(len(in)+1)
		bias := end - len(delta)
		clear(back)
		for o, d := range delta {
			row := n.Params[start+o*len(in) : start+(o+1)*len(in)]
			g := grad[start+o*len(in) : start+(o+1)*len(in)]
			for i, w := range row {
				g[i] += d * in[i]
				back[i] += d * w
			}
			grad[bias+o] += d
		}
		if l > 1 { // through the tanh of the layer below
			for i, a := range in {
				back[i] *= 1 - a*a
			}
		}
		end = start
	}
}

// LossAndGrad returns the mean cross-entropy over the batch and stores its
// derivative by each parameter in grad.
func (n *Network) LossAndGrad(b Batch, grad []float64) float64 {
	clear(grad)
	scale := 1 / float64(len(b.X))
	loss := 0.0
	for i := range b.X {
		p := n.Forward(b.X[i][:])
		loss += crossEntropy(p[b.Label[i]])
		n.backward(b.Label[i], scale, grad)
	}
	return loss * scale
}

// Evaluate returns the mean cross-entropy over the batch and the share of its
// points that get their own class.
func (n *Network) Evaluate(b Batch) (loss, accuracy float64) {
	right := 0
	for i := range b.X {
		p := n.Forward(b.X[i][:])
		loss += crossEntropy(p[b.Label[i]])
		best := 0
		for c := range p {
			if p[c] > p[best] {
				best = c
			}
		}
		if best == b.Label[i] {
			right++
		}
	}
	size := float64(len(b.X))
	return loss / size, float64(right) / size
}

// crossEntropy is the loss of giving the true class the probability p. The
// floor keeps a hopeless guess finite.
func crossEntropy(p float64) float64 { return -math.Log(max(p, 1e-300)) }

// softmax turns scores into probabilities, in place.
func softmax(v []float64) {
	top := v[0]
	for _, x := range v {
		top = max(top, x)
	}
	sum := 0.0
	for i, x := range v {
		v[i] = math.Exp(x - top)
		sum += v[i]
	}
	for i := range v {
		v[i] /= sum
	}
}

// finite reports whether v is a number other than an infinity.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
