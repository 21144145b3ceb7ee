package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestARunThatIsKilledInACommitLeavesAWholeCheckpoint kills the trainer at random moments, most of which fall into a
// commit, since it commits each step. Whatever is there then, the next run finds a whole checkpoint, loses no step that
// was committed, and goes on: in the same directory, or as another run that is told where to resume.
func TestARunThatIsKilledInACommitLeavesAWholeCheckpoint(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	o, err := parseOptions(nil, env(nil))
	require.NoError(t, err)
	dir, resume, last, torn := t.TempDir(), "", 0, 0
	for range 30 {
		p := startResumed(t, resume, dir, "--steps", "1000000", "--every", "1", "--checkpoint-every", "1")
		p.waitLine("step ")
		p.waitLine("step ") // the step before is committed here
		<-time.After(time.Duration(rng.Int64N(int64(5 * time.Millisecond))))
		require.NoError(t, p.cmd.Process.Kill())
		out, _ := p.finish()
		require.Empty(t, p.stderr.String(), out)

		checkpoints := filepath.Join(dir, "checkpoints")
		entries, err := os.ReadDir(checkpoints)
		require.NoError(t, err)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), tempSuffix) {
				torn++
				break
			}
		}
		path, err := findCheckpoint(checkpoints, "")
		require.NoError(t, err)
		s, err := loadCheckpoint(path, o.Config())
		require.NoError(t, err, "the committed checkpoint is whole")
		require.Greater(t, s.Step, last, "what was committed stays")
		last, resume = s.Step, ""
		if rng.IntN(2) == 0 { // as the next attempt, on another machine
			dir, resume = t.TempDir(), checkpoints
		}
	}
	t.Logf("%d of 30 kills left a file half-way; %d steps", torn, last)
	assert.NotZero(t, torn)

	steps := itoa(last + 3)
	out, code := startResumed(t, resume, dir, "--steps", steps).finish()
	require.Equal(t, exitOK, code, out)
	assert.Equal(t, modelAfter(t, steps), readModel(t, dir), "thirty deaths change no number")
}
