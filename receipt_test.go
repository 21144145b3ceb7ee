package runctl

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endedRun has ended, and its cloud says of whom with this name.
type endedRun struct {
	leakyRun
	name string
}

func (r endedRun) Process(context.Context, Instance) (Process, error) { return r, nil }
func (r endedRun) Status(context.Context) (Status, error) {
	return Status{Live: Dead, Receipt: &Receipt{Run: r.name, Cause: CauseExit}}, nil
}
func (r endedRun) Wait(ctx context.Context) (Status, error) { return r.Status(ctx) }

type endedCloud struct {
	*modelCloud
	endedRun
}

// A cloud that keeps no names of runs leaves them out of its receipts, and whoever waits knows whose it is.
func TestAReceiptWithoutANameIsThatOfTheRunThatWasWaitedFor(t *testing.T) {
	for name, want := range map[string]string{"": "k1", "other": "other"} {
		c := newTestClient(t, Config{}, endedCloud{newModelCloud(), endedRun{name: name}})
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		i.Road = RoadJob
		r, err := c.newRun(t.Context(), c.providers[0], i, "k1")
		require.NoError(t, err)
		receipt, err := r.Wait(t.Context())
		require.NoError(t, err)
		s, err := r.Status(t.Context())
		require.NoError(t, err)
		last, err := r.lastLook(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{want, want, want}, []string{receipt.Run, s.Receipt.Run, last.Run})
	}
}
