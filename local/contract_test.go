//go:build linux

package local_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/local"
	"runctl/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, _ http.RoundTripper) runctl.Provider {
			p, err := local.New(local.Config{Dir: filepath.Join(t.TempDir(), "state")})
			require.NoError(t, err)
			return p
		},
		Skip: map[string]string{
			"Exec/Ended": "an instance that has ended stays readable on this computer, as Offer.Keeps says",
		},
	})
}

func TestAJobRunsInPlaceFromStartToReceipt(t *testing.T) {
	p, err := local.New(local.Config{Dir: filepath.Join(t.TempDir(), "state")})
	require.NoError(t, err)
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("secret")}, p)
	require.NoError(t, err)
	defer c.Close()
	here := t.TempDir()
	t.Chdir(here)
	require.NoError(t, os.Mkdir("src", 0o700))
	require.NoError(t, os.WriteFile("src/input", []byte("in place\n"), 0o600))

	run, err := c.Start(t.Context(), runctl.RunSpec{
		Lifetime: time.Hour,
		Job:      runctl.Job{Args: []string{"sh", "-c", "cat input; exit 3"}, Dir: "src"},
	})
	require.NoError(t, err)
	receipt, err := run.Wait(t.Context())
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, receipt.ExitCode)
	require.NoError(t, c.Terminate(t.Context(), run.Ref()))

	again, err := c.Attach(t.Context(), run.Ref())
	require.NoError(t, err)
	var log bytes.Buffer
	for chunk, err := range again.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		log.Write(chunk.Data)
	}
	assert.Equal(t, "in place\n", log.String(), "the log outlives the machine")
}
