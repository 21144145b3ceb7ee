package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sampleState is a state as it is after a few steps.
func sampleState(t testing.TB) *State {
	t.Helper()
	tr := newTrainer(smallConfig())
	for range 3 {
		_, err := tr.Step()
		require.NoError(t, err)
	}
	s, err := tr.Snapshot()
	require.NoError(t, err)
	return s
}

func sampleBytes(t testing.TB) []byte {
	t.Helper()
	data, err := encode(sampleState(t))
	require.NoError(t, err)
	return data
}

func TestCheckpointRoundTrip(t *testing.T) {
	want := sampleState(t)
	got, err := decode(sampleBytes(t))
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestTornCheckpointIsRefused(t *testing.T) {
	data := sampleBytes(t)
	for n := range data {
		_, err := decode(data[:n])
		require.ErrorIsf(t, err, errTorn, "cut to %d bytes", n)
	}
	for i := range data {
		damaged := slices.Clone(data)
		damaged[i] ^= 0x10
		_, err := decode(damaged)
		require.ErrorIsf(t, err, errTorn, "byte %d changed", i)
	}
	_, err := decode(append(slices.Clone(data), 0))
	require.ErrorIs(t, err, errTorn)
	_, err = decode(make([]byte, len(data)))
	require.ErrorIs(t, err, errTorn)
}

// withHeader returns a whole, sealed checkpoint around a header.
func withHeader(header string, numbers ...float64) []byte {
	body := []byte(magic)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(header)))
	body = append(body, header...)
	for _, x := range numbers {
		body = binary.LittleEndian.AppendUint64(body, math.Float64bits(x))
	}
	return seal(body)
}

func TestWrongContentIsRefused(t *testing.T) {
	const (
		head = `{"config":{"task":"t","layers":`
		mid  = `,"batch":1,"seed":1,"lr":0.1},"step":`
		rng  = `,"rng":"cGNnOgAAAAAAAAABAAAAAAAAAAI="}`
		good = head + `[1,1]` + mid + `2,"window_sum":1,"window_count":2` + rng
	)
	six := []float64{1, 2, 3, 4, 5, 6}
	_, err := decode(withHeader(good, six...))
	require.NoError(t, err, "the pattern of the cases below")

	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"other magic":     {seal([]byte("TRAINCK2....")), "not a checkpoint of this version"},
		"no header":       {seal([]byte(magic)), "not a checkpoint of this version"},
		"long header":     {seal([]byte(magic + "\xff\xff\xff\xff")), "does not fit"},
		"short header":    {seal([]byte(magic + "\x05\x00\x00\x00{}")), "does not fit"},
		"no JSON":         {withHeader(`nope`), "header"},
		"two values":      {withHeader(good+`{}`, six...), "more than one value"},
		"unknown field":   {withHeader(`{"other":1}`), "unknown field"},
		"no layers":       {withHeader(`{}`), "0 layers"},
		"layer of width0": {withHeader(head + `[1,0]` + mid + `0` + rng), "layers [1 0]"},
		"wide layer":      {withHeader(head + `[1,9999]` + mid + `0` + rng), "layers [1 9999]"},
		"negative step":   {withHeader(head + `[1,1]` + mid + `-1` + rng), "step -1"},
		"bad window":      {withHeader(head + `[1,1]` + mid + `2,"window_count":3` + rng), "3 losses after 2 steps"},
		"no random state": {withHeader(head + `[1,1]` + mid + `2}`), "random state"},
		"too few numbers": {withHeader(good, six[:5]...), "holds 40 bytes of numbers"},
		"too many":        {withHeader(good, 1, 2, 3, 4, 5, 6, 7), "holds 56 bytes of numbers"},
		"not a number":    {withHeader(good, 1, 2, math.NaN(), 4, 5, 6), "number 2 is NaN"},
		"no batch": {withHeader(`{"config":{"task":"t","layers":[1,1],"batch":0,"seed":1,"lr":1},"step":0` + rng),
			"batch of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(tc.data)
			require.ErrorContains(t, err, tc.want)
			assert.NotErrorIs(t, err, errTorn)
		})
	}
}

// checkDecode holds decode to its promise for any bytes: it does not panic,
// and what it accepts can be written, read back the same, and trained on.
func checkDecode(t *testing.T, data []byte) {
	s, err := decode(data)
	if err != nil {
		require.Nil(t, s)
		return
	}
	again, err := encode(s)
	require.NoError(t, err)
	back, err := decode(again)
	require.NoError(t, err)
	require.Equal(t, s, back)
	_, err = restoreTrainer(s)
	require.NoError(t, err)
}

func FuzzDecode(f *testing.F) {
	data := sampleBytes(f)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{})
	f.Fuzz(checkDecode)
}

// FuzzDecodeSealed puts a right checksum under its input, so that the fuzzer
// gets past it to the parser behind.
func FuzzDecodeSealed(f *testing.F) {
	data := sampleBytes(f)
	f.Add(data[:len(data)-sha256.Size])
	f.Add([]byte(magic + "\x02\x00\x00\x00{}"))
	small := withHeader(`{"config":{"task":"t","layers":[1,1],"batch":1,"seed":1,"lr":0.1},"step":2,`+
		`"window_sum":1,"window_count":2,"rng":"cGNnOgAAAAAAAAABAAAAAAAAAAI="}`, 1, 2, 3, 4, 5, 6)
	f.Add(small[:len(small)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, seal(body)) })
}
