//go:build linux

package aws_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/ssmsession"
	face "runctl/internal/wire/aws"
)

// TestADataVolumeIsAttachedAndMountedByConnectingAndOutlivesItsMachine has one volume on two machines, one after the other: the
// first makes its file system, and the second, which another process launches, finds there what the first wrote.
func TestADataVolumeIsAttachedAndMountedByConnectingAndOutlivesItsMachine(t *testing.T) {
	t.Parallel()
	s := closedSite(t, face.Options{}, &ssmsession.Agent{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	zone := s.face.Zones()[1] // what is cheapest is elsewhere
	id := s.face.AddVolume(zone, 10)
	on := func(c *runctl.Client, key, script string, v aws.Volume) string {
		spec := short(key)
		spec.Options = []runctl.LaunchOption{aws.LaunchOptions{Volumes: []aws.Volume{v}}}
		spec.Job = runctl.Job{Args: []string{"sh", "-c", script}, DiscardOutputs: true}
		run, err := c.Start(ctx, spec)
		require.NoError(t, err)
		assert.Equal(t, zone, run.Instance().Zone)
		_, err = run.Wait(ctx)
		require.NoError(t, err)
		var log bytes.Buffer
		for chunk, err := range run.Logs(ctx, runctl.LogQuery{}) {
			require.NoError(t, err)
			log.Write(chunk.Data)
		}
		require.NoError(t, c.Terminate(ctx, run.Ref()))
		return log.String()
	}
	const data = `"$RUNCTL_SYSROOT/data/weights"`
	assert.Equal(t, "made\n", on(s.c, "first", "echo 41 >"+data+"; echo made", aws.Volume{ID: id, Path: "/data", Format: true}))
	assert.Equal(t, []string{id}, s.face.Volumes(), "the machine's own disk is gone, and the data is not")
	other, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, s.provider(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	assert.Equal(t, "41\n", on(other, "second", "cat "+data, aws.Volume{ID: id, Path: "/data"}))
	assert.Equal(t, 2, s.face.Served("AttachVolume"), "once for each machine, however often it was entered")
}

func TestAMachineWhoseDataCannotBeMountedIsNotEntered(t *testing.T) {
	t.Parallel()
	s := closedSite(t, face.Options{}, &ssmsession.Agent{})
	var open atomic.Int32
	s.face.OnSession(func(w http.ResponseWriter, r *http.Request, token string, dial func(context.Context) (net.Conn, error)) {
		open.Add(1)
		defer open.Add(-1)
		new(ssmsession.Agent).Serve(w, r, token, dial)
	})
	id := s.face.AddVolume(s.face.Zones()[0], 10)
	spec := machine("blank")
	spec.Options = []runctl.LaunchOption{aws.LaunchOptions{Volumes: []aws.Volume{{ID: id, Path: "/data"}}}}
	i, err := s.c.Launch(t.Context(), spec)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err = s.c.Machine(t.Context(), i.Ref())
		return !errors.Is(err, runctl.ErrUnavailable) // it is starting
	}, time.Minute, 100*time.Millisecond)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.ErrorContains(t, err, "it is blank")
	assert.Eventually(t, func() bool { return open.Load() == 0 }, time.Minute, 20*time.Millisecond, "no connection stays open")
	require.NoError(t, s.c.Terminate(t.Context(), i.Ref()))
	assert.Equal(t, []string{id}, s.face.Volumes())
}
