package canary

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// berth is a place whose addresses are signed with a planted value.
type berth struct {
	name       string
	signed     runctl.Secret
	fetch, put error
}

func (b berth) String() string { return b.name }

func (b berth) Fetch(context.Context, time.Duration) (runctl.Fetch, error) {
	return runctl.Fetch{URL: b.signed, Size: -1}, b.fetch
}

func (b berth) Deliver(context.Context, time.Duration) (runctl.Secret, error) { return b.signed, b.put }

// What is planted in addresses.
const (
	inInput       = "the signature of an input's address"
	inResult      = "the signature of a result's address"
	inCheckpoints = "the signature of the checkpoints' address"
)

// carriage is all that is carried for a job.
type carriage struct{ input, result, checkpoints berth }

// plantCarriage signs addresses below base.
func plantCarriage(h *hunt, base string) carriage {
	at := func(name, key string) berth {
		return berth{name: "s3://store/" + key, signed: runctl.NewSecret(base + "/" + key + "?X-Amz-Expires=3600&X-Amz-Signature=" + h.token(name))}
	}
	return carriage{at(inInput, "input"), at(inResult, "result"), at(inCheckpoints, "checkpoints")}
}

// give has a job carry all of it.
func (c carriage) give(j *runctl.Job) {
	j.Inputs = []runctl.Input{{From: c.input, To: "input"}}
	j.Results = []runctl.Result{{From: "result", To: c.result}}
	j.Checkpoints = c.checkpoints
}

// refused are carriages that end a start, with errors that say more than they should.
func (c carriage) refused(control string) (all []carriage) {
	for n, b := range []berth{c.input, c.result, c.checkpoints} {
		url, _ := b.signed.Reveal()
		for _, err := range []error{
			&runctl.Error{Kind: runctl.ErrAuth, ID: url, Msg: control + ": no right to see " + url},
			&runctl.Error{Kind: runctl.ErrInvalid, Msg: control, Err: fmt.Errorf("GET %s: 403", url)},
			&runctl.Error{Kind: runctl.ErrNotFound, Op: url, Err: errors.New(url)},
		} {
			bad := b
			bad.fetch, bad.put = err, err
			own := c
			*[]*berth{&own.input, &own.result, &own.checkpoints}[n] = bad
			all = append(all, own)
		}
		for _, other := range []string{url + "\n", url + "\" x", ""} { // cannot be sent
			bad := b
			bad.signed = runctl.NewSecret(other)
			own := c
			*[]*berth{&own.input, &own.result, &own.checkpoints}[n] = bad
			all = append(all, own)
		}
	}
	return all
}

// store is one that takes what is signed, and counts.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	served  int
}

func newStore(t *testing.T) (*store, string) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "latest", Mode: 0o600, Size: 7}))
	_, err := io.WriteString(w, "step-7\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	s := &store{objects: map[string][]byte{"/input": []byte("an input\n"), "/checkpoints": b.Bytes()}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served++
	object, ok := s.objects[r.URL.Path]
	switch {
	case r.URL.Query().Get("X-Amz-Signature") == "":
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPut:
		s.objects[r.URL.Path], _ = io.ReadAll(r.Body)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(object)
	}
}

// carried is what a job does that carries, and leaves.
const carried = `cat input "$RUNCTL_RESUME/latest" >result; echo 8 >"$RUNCTL_CHECKPOINT_DIR/step-8"; echo step-8 >"$RUNCTL_CHECKPOINT_DIR/latest"; `

// carries has the job of a spec carry, from and to a store of its own, by addresses with planted signatures. What was handed over
// is looked at while it runs, and the store when it has ended. The job has the gates in its PATH.
func (s *site) carries(spec *runctl.RunSpec) (running, ended func()) {
	depot, base := newStore(s.t)
	plantCarriage(s.h, base).give(&spec.Job)
	spec.Job.Env["PATH"] = s.gates.Path
	running = func() {
		for name, has := range s.jobHas(spec.Key, inInput, inResult, inCheckpoints) {
			assert.True(s.t, has, "what was handed over has %s", name)
		}
	}
	return running, func() {
		depot.mu.Lock()
		defer depot.mu.Unlock()
		assert.Equal(s.t, "an input\nstep-7\n", string(depot.objects["/result"]))
		assert.Equal(s.t, 4, depot.served)
	}
}
