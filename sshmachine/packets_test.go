package sshmachine_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/sshmachine"
)

// duplex is a connection of two streams.
type duplex struct {
	net.Conn
	r io.Reader
	w io.Writer
}

func (d duplex) Read(p []byte) (int, error)  { return d.r.Read(p) }
func (d duplex) Write(p []byte) (int, error) { return d.w.Write(p) }

func random(t *testing.T, n int) []byte {
	t.Helper()
	const seed = 1
	t.Logf("seed %d", seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// The SSH library fills its buffer with the beginning of a packet, writes it, and then the rest.
func TestAFullBufferGoesOutWithTheRestOfItsPacket(t *testing.T) {
	var sent bytes.Buffer
	c := sshmachine.Packets(duplex{w: &sent})
	packet := random(t, 30_000)
	n, err := c.Write(packet[:4096])
	require.NoError(t, err)
	assert.Equal(t, 4096, n)
	assert.Zero(t, sent.Len())
	n, err = c.Write(packet[4096:])
	require.NoError(t, err)
	assert.Equal(t, len(packet)-4096, n)
	assert.Equal(t, packet, sent.Bytes())
	_, err = c.Write(packet[:100])
	require.NoError(t, err)
	assert.Equal(t, len(packet)+100, sent.Len(), "a small packet waits for nothing")
}

func TestAPacketAsLongAsTheBufferGoesOutByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		c, packet := sshmachine.Packets(here), random(t, 4096)
		for range 3 {
			began := time.Now()
			_, err := c.Write(packet)
			require.NoError(t, err)
			got := make([]byte, 4096)
			_, err = io.ReadFull(there, got)
			require.NoError(t, err)
			assert.Equal(t, packet, got)
			assert.Less(t, time.Since(began), 50*time.Millisecond)
			synctest.Wait()
		}
	})
}

func TestWhatTheLibraryWritesArrivesInOrder(t *testing.T) {
	all, pieces := random(t, 4<<20), rand.New(rand.NewPCG(2, 2))
	var sent bytes.Buffer
	w := bufio.NewWriter(sshmachine.Packets(duplex{w: &sent}))
	for left := all; len(left) > 0; {
		n := min(len(left), 1+pieces.IntN(40_000))
		for _, part := range [][]byte{left[:min(4, n)], left[min(4, n):n]} {
			_, err := w.Write(part)
			require.NoError(t, err)
		}
		require.NoError(t, w.Flush())
		left = left[n:]
	}
	// It may end in a full buffer, which waits for what follows.
	assert.True(t, bytes.HasPrefix(all, sent.Bytes()))
	assert.LessOrEqual(t, len(all)-sent.Len(), 4096)
}

func TestAWriteThatFailedLaterIsToldByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		c := sshmachine.Packets(duplex{w: writer(func(p []byte) (int, error) {
			if len(p) == 4096 {
				return 0, broken
			}
			return len(p), nil
		})})
		_, err := c.Write(make([]byte, 4096))
		require.NoError(t, err)
		<-time.After(time.Second) // of the bubble
		_, err = c.Write([]byte("more"))
		assert.ErrorIs(t, err, broken)
	})
}

func TestWhatHasComeIsReadBeforeTheEnd(t *testing.T) {
	all := random(t, 1<<20)
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"the end after it":   io.MultiReader(bytes.NewReader(all), iotest.ErrReader(broken)),
		"the end with it":    iotest.DataErrReader(io.MultiReader(bytes.NewReader(all), iotest.ErrReader(broken))),
		"byte by byte":       iotest.OneByteReader(io.MultiReader(bytes.NewReader(all), iotest.ErrReader(broken))),
		"a few bytes a time": iotest.HalfReader(io.MultiReader(bytes.NewReader(all), iotest.ErrReader(broken))),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(sshmachine.Packets(duplex{r: r}))
			assert.ErrorIs(t, err, broken)
			assert.Equal(t, all, got)
		})
	}
}

func TestOneReadTakesAllThatHasCome(t *testing.T) {
	reads := 0
	c := sshmachine.Packets(duplex{r: reader(func(p []byte) (int, error) {
		reads++
		return min(len(p), 64<<10), nil
	})})
	_, err := io.ReadFull(c, make([]byte, 64<<10))
	require.NoError(t, err)
	for range 16 {
		_, err := io.ReadFull(c, make([]byte, 4<<10))
		require.NoError(t, err)
	}
	assert.Equal(t, 2, reads)
}
