//go:build linux

package runpod_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/runpod"
)

func TestAContainerThatStartsAfterTheTimeForItsJobDoesNotRunIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *face.Options) { o.Starting = 3 * time.Second })
	ran := filepath.Join(t.TempDir(), "ran")
	label := runctl.Mark{Owner: "me", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil)
	i, err := w.cloud.Launch(t.Context(), runctl.LaunchRequest{Label: label, Offer: w.offer(), Lifetime: time.Second,
		Job: &runctl.Job{ID: "k1", Args: []string{"touch", ran}, Grace: time.Second}})
	require.NoError(t, err)
	proc, err := w.cloud.Process(t.Context(), i)
	require.NoError(t, err)
	var s runctl.Status
	w.until("a word of the container", func() bool {
		s, err = proc.Status(t.Context())
		require.NoError(t, err)
		return s.Receipt != nil || s.Live == runctl.Dead
	})
	require.NotNil(t, s.Receipt, s.Evidence)
	assert.Equal(t, runctl.CauseAgain, s.Receipt.Cause, "it may be the second start of a program that ran before")
	assert.NotZero(t, s.Receipt.ExitCode)
	assert.Contains(t, s.Evidence, "after the time for the job to begin")
	_, err = os.Stat(ran)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestOneAnswerThatAPodIsNotKnownIsNotItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec(holding("echo done")))
	w.up(r)
	proc, err := w.cloud.Process(t.Context(), r.Instance())
	require.NoError(t, err)
	_, err = proc.Status(t.Context())
	require.NoError(t, err)
	w.face.Inject(face.Fault{On: "getPod", Status: 404, Body: `{"title":"Not Found","status":404,"detail":"pod not found"}`})
	_, err = proc.Status(t.Context())
	require.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.NotErrorIs(t, err, runctl.ErrNotFound)
	s, err := proc.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, runctl.Alive, s.Live)
}
