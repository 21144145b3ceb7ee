package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
)

// Config is what decides the numbers a training sees. A checkpoint can only be
// continued under the config it was made with.
type Config struct {
	Task   string  `json:"task"`
	Layers []int   `json:"layers"`
	Batch  int     `json:"batch"`
	Seed   uint64  `json:"seed"`
	LR     float64 `json:"lr"`
}

// differences returns what sets a checkpoint's config apart from the one a run
// wants, as "--flag checkpoint-value (this run has value)" for a message.
func (c Config) differences(want Config) []string {
	var diffs []string
	add := func(name string, got, want any) {
		diffs = append(diffs, fmt.Sprintf("%s %v (this run has %v)", name, got, want))
	}
	if c.Task != want.Task {
		add("task", c.Task, want.Task)
	}
	if !slices.Equal(c.Layers, want.Layers) {
		add("layers", c.Layers, want.Layers)
	}
	if c.Batch != want.Batch {
		add("batch size", c.Batch, want.Batch)
	}
	if c.Seed != want.Seed {
		add("--seed", c.Seed, want.Seed)
	}
	if c.LR != want.LR {
		add("--lr", c.LR, want.LR)
	}
	return diffs
}

// State is the content of a checkpoint: all a [Trainer] needs to go on.
type State struct {
	Config Config
	Step   int
	Window Window
	RNG    []byte
	Params []float64
	M, V   []float64
}

// stateHeader is the part of the state that is written as JSON.
type stateHeader struct {
	Config Config  `json:"config"`
	Step   int     `json:"step"`
	Sum    float64 `json:"window_sum"`
	Count  int     `json:"window_count"`
	RNG    []byte  `json:"rng"`
}

// A checkpoint file is, in this order:
//
//	magic      8 bytes, naming the format and its version
//	header     4 bytes of length, little endian, then that much JSON
//	numbers    parameters, first and second moments: float64, little endian
//	checksum   32 bytes, SHA-256 of all before
const (
	magic      = "TRAINCK1"
	maxHeader  = 1 << 16
	maxLayers  = 16
	maxWidth   = 4096
	maxSamples = 1 << 16
)

// errTorn marks a checkpoint whose bytes are not what was once written.
var errTorn = errors.New("incomplete or damaged (its checksum does not match)")

// encode returns the bytes of a checkpoint file.
func encode(s *State) ([]byte, error) {
	header, err := json.Marshal(stateHeader{s.Config, s.Step, s.Window.Sum, s.Window.Count, s.RNG})
	if err != nil {
		return nil, err
	}
	if len(header) > maxHeader {
		return nil, fmt.Errorf("header of %d bytes is too long", len(header))
	}
	var b bytes.Buffer
	b.WriteString(magic)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(header))))
	b.Write(header)
	for _, numbers := range [][]float64{s.Params, s.M, s.V} {
		for _, x := range numbers {
			b.Write(binary.LittleEndian.AppendUint64(b.AvailableBuffer(), math.Float64bits(x)))
		}
	}
	return seal(b.Bytes()), nil
}

// seal returns body followed by its checksum.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(slices.Clip(body), sum[:]...)
}

// decode reads the bytes of a checkpoint file. It accepts only what [encode]
// could have written, whole.
func decode(data []byte) (*State, error) {
	if len(data) < len(magic)+sha256.Size {
		return nil, errTorn
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, errTorn
	}
	rest, ok := bytes.CutPrefix(body, []byte(magic))
	if !ok || len(rest) < 4 {
		return nil, fmt.Errorf("not a checkpoint of this version (%s)", magic)
	}
	size := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if size > maxHeader || int(size) > len(rest) {
		return nil, fmt.Errorf("header of %d bytes does not fit", size)
	}
	h, err := decodeHeader(rest[:size])
	if err != nil {
		return nil, err
	}
	rest = rest[size:]
	n := paramCount(h.Config.Layers)
	if len(rest) != 3*n*8 {
		return nil, fmt.Errorf("holds %d bytes of numbers, layers %v need %d", len(rest), h.Config.Layers, 3*n*8)
	}
	numbers := make([]float64, 3*n)
	for i := range numbers {
		numbers[i] = math.Float64frombits(binary.LittleEndian.Uint64(rest[i*8:]))
		if !finite(numbers[i]) {
			return nil, fmt.Errorf("number %d is %v", i, numbers[i])
		}
	}
	return &State{
		Config: h.Config,
		Step:   h.Step,
		Window: Window{h.Sum, h.Count},
		RNG:    h.RNG,
		Params: numbers[:n:n],
		M:      numbers[n : 2*n : 2*n],
		V:      numbers[2*n:],
	}, nil
}

// decodeHeader reads the JSON part and refuses values no run can have.
func decodeHeader(data []byte) (stateHeader, error) {
	var h stateHeader
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return h, errors.New("header: more than one value")
	}
	c := h.Config
	switch {
	case len(c.Layers) < 2 || len(c.Layers) > maxLayers:
		return h, fmt.Errorf("header: %d layers", len(c.Layers))
	case slices.Min(c.Layers) < 1 || slices.Max(c.Layers) > maxWidth:
		return h, fmt.Errorf("header: layers %v", c.Layers)
	case c.Batch < 1 || c.Batch > maxSamples:
		return h, fmt.Errorf("header: batch of %d", c.Batch)
	case h.Step < 0 || h.Step > maxSteps:
		return h, fmt.Errorf("header: step %d", h.Step)
	case h.Count < 0 || h.Count > h.Step:
		return h, fmt.Errorf("header: %d losses after %d steps", h.Count, h.Step)
	}
	if err := new(rand.PCG).UnmarshalBinary(h.RNG); err != nil {
		return h, fmt.Errorf("header: random state: %w", err)
	}
	return h, nil
}
