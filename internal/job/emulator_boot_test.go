package job

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Boot writes, the emulated machine runs; anything else leaves it without a guard.
func TestTheEmulatorRunsBootScripts(t *testing.T) {
	for _, g := range []Guard{{Lifetime: time.Hour}, {Lifetime: 90 * time.Second, Keep: time.Minute, Grace: 5 * time.Minute, User: "ubuntu"}} {
		got, ok := guardOf(Boot(g, nil))
		if g.Grace == 0 {
			g.Grace = defaultGrace
		}
		require.True(t, ok)
		require.Equal(t, g, got)

		e := NewEmulator(nil)
		require.NoError(t, e.Boot(Boot(g, map[string]string{})))
		require.NoError(t, e.Boot(Boot(g, map[string]string{})), "at every boot")
		h, err := Greet(context.Background(), e)
		require.NoError(t, err)
		require.True(t, h.Guard)
		require.LessOrEqual(t, h.Left, g.Lifetime)
	}
	for _, text := range []string{"", "\n", "#!/bin/sh\necho hello\n", "exec sh sup guard 1 2 3", "exec sh sup guard 0 0 0 -", "exec sh sup guard x 0 0 -",
		"exec sh sup guard 1000 0 0 -\nrm -rf /\n"} {
		e := NewEmulator(nil)
		require.NoError(t, e.Boot([]byte(text)))
		h, err := Greet(context.Background(), e)
		require.NoError(t, err)
		require.False(t, h.Guard, text)
	}
}
