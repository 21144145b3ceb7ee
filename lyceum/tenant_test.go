package lyceum_test

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
	"runctl/examples/runctl/cli"
	"runctl/internal/memnet"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// apiKey is the account's key in tests; it must be seen nowhere.
const apiKey = "lk_CANARY7f3e91"

var secret = []byte("the owner's secret")

// checkedRequests and checkedReplies count what all tests together have held against the document.
var checkedRequests, checkedReplies atomic.Int64

// cliEnv makes this test program the runctl command, and userEnv names who logs in to machines: on a computer of ours nobody is
// called as on Lyceum's.
const (
	cliEnv  = "RUNCTL_TEST_CLI"
	userEnv = "RUNCTL_TEST_USER"
)

// registry knows Lyceum alone.
func registry() *runctl.Registry {
	r := &runctl.Registry{}
	r.Register(runctl.Factory{Name: lyceum.DefaultName, Open: func(ctx context.Context, get func(string) string) (runctl.Provider, error) {
		if _, err := lyceum.Factory.Open(ctx, get); err != nil {
			return nil, err
		}
		return lyceum.New(lyceum.Config{APIKey: get("LYCEUM_API_KEY"), BaseURL: get("LYCEUM_BASE_URL"), User: os.Getenv(userEnv)})
	}})
	return r
}

func TestMain(m *testing.M) {
	if os.Getenv(cliEnv) != "" {
		cli.Main(registry())
	}
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // not asked for
		_ = flag.Set("test.parallel", "8") // most of these tests wait, for processes and for servers that are slow
	}
	code := m.Run()
	fmt.Printf("lyceum: %d requests and %d replies were held against the OpenAPI document of Lyceum's API\n", checkedRequests.Load(), checkedReplies.Load())
	os.Exit(code)
}

// tenant is an organisation at Lyceum, in memory, with a client.
type tenant struct {
	t    *testing.T
	face *face.Face
	net  http.RoundTripper
	p    *lyceum.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, cfg lyceum.Config) *tenant {
	t.Helper()
	opt.Key = apiKey
	w := &tenant{t: t, face: face.New(opt)}
	w.net = guarded{t, new(memnet.Net).Serve(t, "lyceum.test", w.face)}
	audit(t, w.face)
	cfg.APIKey, cfg.BaseURL, cfg.Transport = apiKey, "http://lyceum.test"+face.Prefix, w.net
	p, err := lyceum.New(cfg)
	require.NoError(t, err)
	w.p = p
	w.c = w.client()
	return w
}

// guarded is a network on which no token goes to anybody but Lyceum.
type guarded struct {
	t *testing.T
	http.RoundTripper
}

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "lyceum.test" && (r.Header.Get("Authorization") != "" || strings.Contains(r.URL.String(), apiKey)) {
		g.t.Errorf("the token went to %s", r.URL)
	}
	return g.RoundTripper.RoundTrip(r)
}

// audit closes a face at the end of the test, and expects that no request in it was wrong.
func audit(t *testing.T, f *face.Face) {
	t.Cleanup(func() {
		f.Close()
		assert.Empty(t, f.Violations(), "requests and replies that the document of Lyceum's API does not allow")
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

// publicKey is a public key in OpenSSH's format.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBb0wQ4gGmTNuYhkQvfxq5LJ5uYH3kqvYxOY8wPBJ0yz tester"

// machine is a launch on the shell road: a virtual machine, whose end is its client's business.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(5), Unguarded: true,
		Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Road: runctl.RoadShell, Market: runctl.OnDemand}}
}

// launch starts a machine and expects no trouble.
func (w *tenant) launch(key string) runctl.Instance {
	w.t.Helper()
	i, err := w.c.Launch(w.t.Context(), machine(key))
	require.NoError(w.t, err)
	return i
}

// ours reports whether a label is of a key of the tester's.
func ours(label, key string) bool { return strings.HasPrefix(label, "rc1-tester-"+key+"-") }

// under returns the ids, as the provider has them, of what lives under a key of ours: machines and runs.
func (w *tenant) under(key string) (ids []string) {
	for _, v := range w.face.VMs() {
		if ours(v.Label, key) {
			ids = append(ids, "vm:"+v.ID)
		}
	}
	for _, r := range w.face.Runs() {
		if !r.Over && ours(r.FileName, key) {
			ids = append(ids, "run:"+r.ID)
		}
	}
	return ids
}

// raw is an id as Lyceum has it.
func raw(id string) string {
	_, id, _ = strings.Cut(id, ":")
	return id
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

// up waits until a machine is up.
func (w *tenant) up(ref runctl.Ref) (runctl.Instance, error) {
	return w.c.WaitInstance(cancelAfter(w.t, 15*time.Minute), ref, func(i runctl.Instance) bool { return i.State == runctl.StateRunning })
}

// signer is some key to enter machines with.
func signer(t *testing.T) crypto.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return key
}
