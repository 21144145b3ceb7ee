package code

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errCut = errors.New("the line was cut")

// cutAfter breaks a stream after so many bytes.
type cutAfter struct {
	r    io.Reader
	left int64
}

func (c *cutAfter) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errCut
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// slack is more than what a cut can cost beside the bytes that were not sent: a file that was half there, and what
// tar and a decompressor hold back.
const slack = 330_000

// archiveEnd are the zeros behind a tar's last file: when a cut takes some of them, everything has arrived, and some tars
// have stopped reading.
const archiveEnd = 1024

// TestACutInstallsNothingAndWhatArrivedIsNotSentAgain cuts the stream at random places, and repeats.
func TestACutInstallsNothingAndWhatArrivedIsNotSentAgain(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		src := space(t)
		want := files{"run.sh": "#!/bin/sh\n", "l": "-> run.sh"}
		for i := range 30 {
			want[fmt.Sprintf("d%d/f%d", i%3, i)] = noise(uint64(i), 1000+r.IntN(100_000))
		}
		want.write(t, src)
		tree := dir(t, src, Options{})
		require.NoError(t, tree.Send(t.Context(), m))
		whole := m.taken()
		for n := range 18 {
			require.NoError(t, os.RemoveAll(filepath.Join(m.root, "code")))
			at := r.Int64N(whole)
			if n == 0 {
				at = whole - archiveEnd/2
			}
			m.wrap = func(r io.Reader) io.Reader { return &cutAfter{r, at} }
			err := tree.Send(t.Context(), m)
			if at <= whole-archiveEnd || err != nil {
				require.ErrorIs(t, err, errCut, "at %d", at)
			}
			if at <= whole-archiveEnd {
				assert.NoDirExists(t, filepath.Join(m.root, "code", "d."+tree.Digest()))
			}
			if r.IntN(3) == 0 { // and once more
				again := r.Int64N(whole-at) + 1
				m.wrap = func(r io.Reader) io.Reader { return &cutAfter{r, again} }
				if err := tree.Send(t.Context(), m); err == nil {
					assert.Equal(t, want, treeOn(t, m, tree.Digest()))
					continue
				}
			}
			m.wrap = nil
			m.taken()
			require.NoError(t, tree.Send(t.Context(), m), "after a cut at %d", at)
			sent := m.taken()
			assert.Equal(t, want, treeOn(t, m, tree.Digest()))
			assert.Less(t, sent, whole-at+slack, "cut at %d of %d", at, whole)
			left, _ := filepath.Glob(filepath.Join(m.root, "code", "*"))
			assert.Len(t, left, 1, "%v", left)
		}
	})
}

func TestWhatArrivedOfOneTreeServesAnother(t *testing.T) {
	m := newMachine(t, 0)
	src := space(t)
	for i := range 10 {
		put(t, src, fmt.Sprintf("f%d", i), noise(uint64(i), 100_000))
	}
	m.wrap = func(r io.Reader) io.Reader { return &cutAfter{r, 700_000} }
	require.ErrorIs(t, dir(t, src, Options{}).Send(t.Context(), m), errCut)
	m.wrap = nil
	m.taken()
	put(t, src, "f0", "changed")
	require.NoError(t, os.Rename(filepath.Join(src, "f1"), filepath.Join(src, "moved")))
	tree := dir(t, src, Options{})
	require.NoError(t, tree.Send(t.Context(), m))
	assert.Less(t, m.taken(), int64(650_000))
	assert.Equal(t, filesOf(t, src), treeOn(t, m, tree.Digest()))
}
