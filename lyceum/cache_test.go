package lyceum

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func askNext(n *int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		*n++
		return *n, nil
	}
}

func TestAReplyThatWasOnItsWayWhenItBecameVoidIsNotKept(t *testing.T) {
	var c cached[int]
	n := 0
	v, _, err := c.get(t.Context(), time.Hour, func(ctx context.Context) (int, error) {
		c.void() // a launch, while the request is under way
		return askNext(&n)(ctx)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, v)
	v, _, err = c.get(t.Context(), time.Hour, askNext(&n))
	require.NoError(t, err)
	assert.Equal(t, 2, v)
}

// later lets virtual time pass.
func later(t *testing.T, d time.Duration) { require.NoError(t, pause(t.Context(), d)) }
