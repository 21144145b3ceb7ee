//go:build linux

package runpod_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/execfile"
	face "runctl/internal/wire/runpod"
)

// offer is the cheapest on the job road.
func (w *world) offer() runctl.Offer {
	w.t.Helper()
	offers, err := w.c.Offers(w.t.Context(), runctl.OfferQuery{Road: runctl.RoadJob})
	require.NoError(w.t, err)
	require.NotEmpty(w.t, offers)
	return offers[0]
}

func TestTrap07ThePodItselfKeepsItsDeadlineAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	label := runctl.Mark{Owner: "me", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil)
	i, err := w.cloud.Launch(t.Context(), runctl.LaunchRequest{Label: label, Offer: w.offer(), Lifetime: 3 * time.Second,
		Job: &runctl.Job{ID: "k1", Args: []string{"sleep", "1000"}, Grace: time.Second}})
	require.NoError(t, err)
	began := time.Now()
	require.Eventually(t, func() bool { return w.face.Pod(i.ID).Status == face.Exited }, 4*time.Minute, 100*time.Millisecond, "its own end, with nobody looking")
	assert.GreaterOrEqual(t, time.Since(began), 3*time.Second-time.Second/2, "not before")
	assert.Equal(t, 1, w.face.Starts(i.ID))
	assert.Zero(t, w.face.Served("deletePod"))
	proc, err := w.cloud.Process(t.Context(), i)
	require.NoError(t, err)
	s, err := proc.Status(t.Context())
	require.NoError(t, err)
	require.NotNil(t, s.Receipt, s.Evidence)
	assert.Equal(t, runctl.CauseLifetime, s.Receipt.Cause)
}

func TestTrap27ALogComesByTheAPIAloneWithoutAPortOrAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec("echo one; echo two; sleep 1; echo three"))
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.Equal(t, "one\ntwo\nthree\n", log)
	assert.Empty(t, lost)
	pod := w.face.Pod(r.Instance().ID)
	assert.Empty(t, pod.Ports, "nothing is exposed")
	assert.Nil(t, pod.SSH.Direct)
	assert.Empty(t, r.Instance().Addr)
}

// TestAPodEndsItselfByWhateverToolThereIsAndNoKeyIsAnArgument has images with one tool for HTTP each, which notes how it was called.
func TestAPodEndsItselfByWhateverToolThereIsAndNoKeyIsAnArgument(t *testing.T) {
	tools, tried := []string{"curl", "python3", "wget"}, 0
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue
		}
		tried++
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			bin, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
			for _, other := range tools {
				text := "#!/bin/sh\nexit 1\n"
				if other == tool {
					text = "#!/bin/sh\nprintf '%s\\n' \"$@\" >>" + calls + "\nexec " + path + " \"$@\"\n"
				}
				require.NoError(t, execfile.Write(filepath.Join(bin, other), text))
			}
			w := newWorld(t, func(o *face.Options) { o.Real.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")} })
			label := runctl.Mark{Owner: "me", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil)
			i, err := w.cloud.Launch(t.Context(), runctl.LaunchRequest{Label: label, Offer: w.offer(), Lifetime: time.Hour, Keep: time.Second,
				Job: &runctl.Job{ID: "k1", Args: []string{"true"}}})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return w.face.Pod(i.ID).Status == face.Exited }, 4*time.Minute, 100*time.Millisecond, "its own end")
			args, err := os.ReadFile(calls)
			require.NoError(t, err)
			assert.NotContains(t, string(args), w.face.PodKey(i.ID))
			for _, secret := range []string{w.face.PodKey(i.ID), "rpa_TESTKEY"} {
				assert.NotContains(t, w.face.Pod(i.ID).Args, secret)
				for _, v := range w.face.Pod(i.ID).Env {
					assert.NotContains(t, v, secret)
				}
			}
		})
	}
	assert.Positive(t, tried, "none of %v is here", tools)
}
