//go:build linux

package runpod_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
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
	w := &world{t: t, dir: t.TempDir()}
	opt := wire.Options{Key: "rpa_TESTKEY", Real: &wire.Real{Dir: w.dir}}
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

// said are the lines that a pod's container printed, as the face keeps them.
func (w *world) disk(r *runctl.Run, start int) string {
	return filepath.Join(w.dir, r.Instance().ID, fmt.Sprint(start))
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
