package runctl

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// tornLog is a job whose log stream is cut in the middle of chunks, repeats what was read, and lacks a hole.
type tornLog struct {
	leakyRun
	rng        *rand.Rand
	text       []byte
	from, to   int64 // bytes that are lost at the source
	reconnects int
}

func (l *tornLog) Process(context.Context, Instance) (Process, error) { return l, nil }

func (l *tornLog) Logs(_ context.Context, q LogQuery) iter.Seq2[LogChunk, error] {
	l.reconnects++
	return func(yield func(LogChunk, error) bool) {
		at := max(q.Offset-l.rng.Int64N(20), 0) // a source that counts in lines of its own
		for range l.rng.IntN(4) {
			if at >= l.from && at < l.to {
				at = l.to
			}
			end := min(at+l.rng.Int64N(9), int64(len(l.text)))
			if at < l.from {
				end = min(end, l.from)
			}
			if !yield(LogChunk{Offset: at, Data: bytes.Clone(l.text[at:end])}, nil) {
				return
			}
			at = end
		}
		if at < int64(len(l.text)) {
			yield(LogChunk{}, errReset)
		}
	}
}

type tornCloud struct {
	*modelCloud
	*tornLog
}

// A reader over thousands of cuts sees each byte once, in order, and the hole by its size.
func TestLogsSurviveTornStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		text := make([]byte, 20_000)
		for n := range text {
			text[n] = byte(rng.UintN(256))
		}
		torn := &tornLog{rng: rng, text: text, from: 5000, to: 5123}
		cloud := newModelCloud()
		c := newTestClient(t, Config{}, tornCloud{cloud, torn})
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		i.Road = RoadJob
		r, err := c.newRun(t.Context(), c.providers[0], i, "k1")
		require.NoError(t, err)
		next, lost := int64(0), int64(0)
		for chunk, err := range r.Logs(t.Context(), LogQuery{Follow: true}) {
			require.NoError(t, err)
			require.Equal(t, next+chunk.Lost, chunk.Offset)
			require.Equal(t, text[chunk.Offset:chunk.Offset+int64(len(chunk.Data))], chunk.Data)
			next, lost = chunk.Offset+int64(len(chunk.Data)), lost+chunk.Lost
		}
		require.EqualValues(t, len(text), next)
		require.EqualValues(t, 123, lost)
		require.Greater(t, torn.reconnects, 1000)
		t.Logf("%d streams", torn.reconnects)
	})
}
