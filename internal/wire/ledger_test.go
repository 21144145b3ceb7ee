package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
)

func TestALedgerCountsWhatWasAndNotWhatWasToCome(t *testing.T) {
	start := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	var l Ledger
	l.Set("a", "pending", at(0), 0)
	l.Set("a", "ready", at(10), 6)
	l.Set("b", "pending", at(1), 0)
	l.Set("b", "ready", at(60), 1)
	l.End("b", at(30)) // before it was ever ready
	assert.Zero(t, l.Spent("a", at(10)))
	assert.InDelta(t, 3, l.Spent("a", at(40)), 1e-9)
	assert.Len(t, l.Spans(at(5)), 2, "what is to come is not told")
	assert.Zero(t, l.Spent("a", at(5)))
	l.End("a", at(70))
	l.End("a", at(90)) // it is over already
	assert.InDelta(t, 6, l.Spent("a", at(500)), 1e-9)
	want := []Span{{"a", "pending", at(0), at(10), 0}, {"a", "ready", at(10), at(70), 6}, {"b", "pending", at(1), at(30), 0}}
	assert.Empty(t, cmp.Diff(want, l.Spans(at(500))))
	assert.Zero(t, l.Spent("nobody", at(500)))
	l.End("nobody", at(1))
}
