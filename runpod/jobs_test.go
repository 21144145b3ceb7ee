//go:build linux

package runpod_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestAJobsCodeIsItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		code   int
		signal string
		cause  runctl.Cause
	}{
		"0":         {"echo hello", 0, "", runctl.CauseExit},
		"1":         {"echo hello; exit 1", 1, "", runctl.CauseExit},
		"own 137":   {"echo hello; exit 137", 137, "", runctl.CauseExit},
		"not there": {"echo hello; exec /no/such/program", 127, "", runctl.CauseExit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.start(spec(c.script))
			receipt, err := r.Wait(t.Context())
			var exit *runctl.ExitError
			if c.code == 0 {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, &exit)
			}
			assert.Equal(t, []any{c.code, c.signal, c.cause, "supervisor"}, []any{receipt.ExitCode, receipt.Signal, receipt.Cause, receipt.Source})
			log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
			assert.Contains(t, log, "hello\n")
			assert.Empty(t, lost)
			assert.Equal(t, 1, w.face.Starts(r.Instance().ID))
		})
	}
}
