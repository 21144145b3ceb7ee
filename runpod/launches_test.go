package runpod_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/clouds"
	"runctl/examples/runctl/cli"
	"runctl/internal/memnet"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// apiKey is the account's key in tests; it must be seen nowhere.
const apiKey = "rpa_CANARY7f3e91"

var secret = []byte("the owner's secret")

// checkedRequests and checkedReplies count what all tests together have held against RunPod's own document.
var checkedRequests, checkedReplies atomic.Int64

// cliEnv makes this test program the runctl command.
const cliEnv = "RUNCTL_TEST_CLI"

func TestMain(m *testing.M) {
	if os.Getenv(cliEnv) != "" {
		cli.Main(clouds.Registry())
	}
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // not asked for
		_ = flag.Set("test.parallel", "8") // most of these tests wait, for containers and for servers that are slow
	}
	code := m.Run()
	fmt.Printf("runpod: %d requests and %d replies were held against RunPod's OpenAPI document\n", checkedRequests.Load(), checkedReplies.Load())
	os.Exit(code)
}

// tenant is an account at RunPod, in memory, with a client.
type tenant struct {
	t    *testing.T
	face *face.Face
	net  http.RoundTripper
	p    *runpod.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, cfg runpod.Config) *tenant {
	t.Helper()
	opt.Key = apiKey
	w := &tenant{t: t, face: face.New(opt)}
	w.net = new(memnet.Net).Serve(t, "runpod.test", w.face)
	audit(t, w.face)
	cfg.APIKey, cfg.BaseURL, cfg.Transport = apiKey, "http://runpod.test", w.net
	p, err := runpod.New(cfg)
	require.NoError(t, err)
	w.p = p
	w.c = w.client()
	return w
}

// audit closes a face at the end of the test, and expects that no request in it was wrong.
func audit(t *testing.T, f *face.Face) {
	t.Cleanup(func() {
		f.Close()
		assert.Empty(t, f.Violations(), "requests and replies that RunPod's document does not allow")
		requests, replies := f.Checked()
		checkedRequests.Add(int64(requests))
		checkedReplies.Add(int64(replies))
	})
}

// client is another process of the same owner's.
func (w *tenant) client() *runctl.Client {
	w.t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, w.p)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// machine is a launch on the shell road: a pod whose end is its client's business.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(5), Unguarded: true,
		Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Regions: []string{"US-KS-2"}, Road: runctl.RoadShell}}
}

// launch starts a machine and expects no trouble.
func (w *tenant) launch(key string) runctl.Instance {
	w.t.Helper()
	i, err := w.c.Launch(w.t.Context(), machine(key))
	require.NoError(w.t, err)
	return i
}

// under returns the pods that live under a key of ours.
func (w *tenant) under(key string) (ids []string) {
	for _, p := range w.face.Pods() {
		if strings.HasPrefix(p.Name, "rc1-tester-"+key+"-") {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// reapAll waits until every lifetime is over, and reaps.
func (w *tenant) reapAll() {
	w.t.Helper()
	pass(time.Hour + 10*time.Minute + time.Second)
	_, err := w.c.Reap(w.t.Context(), runctl.ReapRequest{Most: 100})
	require.NoError(w.t, err)
}

// cancelAfter is a context that its caller gives up.
func cancelAfter(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// signer is some key to enter machines with.
func signer(t *testing.T) crypto.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return key
}
