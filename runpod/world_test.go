//go:build linux

package runpod_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	wire "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// world is an account at RunPod whose pods are processes of this computer.
type world struct {
	t     *testing.T
	face  *wire.Face
	url   string
	cloud *runpod.Provider
	c     *runctl.Client
	dir   string // of the containers
}

// near is the provider with a poll that does not keep tests waiting.
type near struct{ *runpod.Provider }

func (n near) Info() runctl.Info {
	i := n.Provider.Info()
	i.Poll = 100 * time.Millisecond
	return i
}

func newWorld(t *testing.T, change ...func(*wire.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: enginetest.Dir(t)}
	opt := wire.Options{Key: "rpa_TESTKEY", Real: &wire.Real{Dir: w.dir, Grace: 4 * time.Second}}
	for _, f := range change {
		f(&opt)
	}
	w.face = wire.New(opt)
	srv := httptest.NewServer(w.face)
	w.url = srv.URL
	var err error
	w.cloud, err = runpod.New(runpod.Config{APIKey: "rpa_TESTKEY", BaseURL: srv.URL, Rate: 1000})
	require.NoError(t, err)
	w.c = w.client()
	t.Cleanup(func() {
		for _, id := range w.face.Billing() {
			w.face.Remove(id)
		}
		w.face.Close()
		srv.CloseClientConnections()
		srv.Close()
		assert.Empty(t, w.face.Violations(), "requests that the official document does not allow")
	})
	return w
}

// client is a process of the owner.
func (w *world) client() *runctl.Client {
	w.t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("a secret of the owner's")}, near{w.cloud})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// spec is a job that sh does.
func spec(script string) runctl.RunSpec {
	return runctl.RunSpec{Needs: runctl.OfferQuery{Road: runctl.RoadJob}, MaxHourly: runctl.USD(1000), Lifetime: time.Hour,
		Job: runctl.Job{Args: []string{"sh", "-c", script}, Grace: 2 * time.Second}}
}

func (w *world) start(s runctl.RunSpec) *runctl.Run {
	w.t.Helper()
	r, err := w.c.Start(w.t.Context(), s)
	require.NoError(w.t, err)
	return r
}

// until waits for something outside.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.After(time.Minute); !cond(); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("%s: did not come", what)
		}
	}
}

// killJob kills the job's own process, as the kernel does when memory is out, and nothing of ours.
func (w *world) killJob(r *runctl.Run) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
		if err == nil && strings.HasPrefix(string(line), "sh\x00-c\x00: "+jobLine) && strings.Contains(string(env), "RUNPOD_POD_ID="+r.Instance().ID+"\x00") {
			return syscall.Kill(pid, syscall.SIGKILL) == nil
		}
	}
	return false
}

// onVolume gives a launch a network volume.
func (w *world) onVolume(s *runctl.RunSpec) {
	w.t.Helper()
	offers, err := w.c.Offers(w.t.Context(), s.Needs)
	require.NoError(w.t, err)
	s.Offer = &offers[0]
	s.Options = []runctl.LaunchOption{runpod.LaunchOptions{Volume: w.face.AddVolume(offers[0].Region), VolumePath: w.t.TempDir()}}
}

// logOf is the log up to now, and what of it was named as lost.
func logOf(t testing.TB, r *runctl.Run, q runctl.LogQuery) (string, []string) {
	t.Helper()
	var b bytes.Buffer
	var lost []string
	at := q.Offset
	for chunk, err := range r.Logs(t.Context(), q) {
		require.NoError(t, err)
		if chunk.Lost != 0 {
			lost = append(lost, fmt.Sprintf("%d before %d", chunk.Lost, chunk.Offset))
			at = chunk.Offset
		}
		require.Equal(t, at, chunk.Offset)
		b.Write(chunk.Data)
		at += int64(len(chunk.Data))
	}
	return b.String(), lost
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "step %d of the training\n", i)
	}
	return b.String()
}
