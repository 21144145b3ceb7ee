package lyceum_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// outcome is what becomes of the request that creates a machine.
type outcome struct {
	name  string
	fault *face.Fault
	acts  bool // a machine exists afterwards
	told  bool // and the client knows at once whether
}

func slow(f face.Fault) *face.Fault { f.Hold = 3 * time.Second; return &f }

// outcomes are those of an operation.
func outcomes(op string) []outcome {
	on := func(f face.Fault) *face.Fault { f.On = op; return slow(f) }
	return []outcome{
		{"all goes well", on(face.Fault{}), true, true},
		{"the request is lost", on(face.LostRequest), false, false},
		{"the reply is lost", on(face.LostReply), true, false},
		{"500 after creating", on(face.ErrorAfter), true, false},
		{"500 and nothing was created", on(face.Fault{Status: 500, Body: `{"detail":"Internal Server Error"}`}), false, false},
		{"a 200 that cannot be read", on(face.Unreadable), true, false},
		{"a 200 that is cut in the middle", on(face.HalfReply), true, false},
		{"a gateway's page, and the request went on", on(face.Fault{Acts: true, Status: 502, Kind: "text/html", Body: "<html>"}), true, false},
		{"a gateway's page, and it did not", on(face.Fault{Status: 502, Kind: "text/html", Body: "<html>"}), false, false},
		{"a gateway's page with the words for no capacity", on(face.Fault{Acts: true, Status: 500, Kind: "text/html", Body: "<p>could not be provisioned"}), true, false},
		{"no answer before the deadline", &face.Fault{On: op, Acts: true, Hold: time.Hour, Cut: face.NoReply}, true, false},
		{"no capacity", on(face.NoCapacity), false, op == "createVM"}, // of machines alone it is known to mean that
	}
}

// TestALaunchNeverMakesTwoMachines is the launch rule over Lyceum's wire: every outcome of the one POST × how long a new machine is
// missing from lists × what is assumed of that × whether the caller gives up meanwhile.
func TestALaunchNeverMakesTwoMachines(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes("createVM") {
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			// Unknown, or such that the machine appears at the very edge. Too short an assumption promises nothing.
			for _, settle := range []time.Duration{0, max(lag, time.Nanosecond)} {
				for _, leaves := range []bool{false, true} {
					if leaves && settle != 0 { // nothing is proven while nobody looks
						continue
					}
					t.Run(fmt.Sprintf("%s/lag %s/settle %s/leaves %v", o.name, lag, settle, leaves), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { checkLaunch(t, o, lag, settle, leaves) })
					})
				}
			}
		}
	}
}

func checkLaunch(t *testing.T, o outcome, lag, settle time.Duration, leaves bool) {
	w := newTenant(t, face.Options{ListLag: lag, Provisioning: 2 * time.Minute}, lyceum.Config{Settle: settle})
	w.face.Inject(*o.fault)
	ctx := t.Context()
	if leaves {
		ctx = cancelAfter(t, 2*time.Second)
	}
	i, err := w.c.Launch(ctx, machine("k1"))
	vms := w.under("k1")
	require.LessOrEqual(t, len(vms), 1, "two machines under one key")
	posts := w.face.Served("createVM")
	if settle == 0 || leaves {
		require.Equal(t, 1, posts, "a second POST by the clock alone")
	}
	require.LessOrEqual(t, posts, 2)
	switch {
	case err == nil:
		require.Equal(t, []string{i.ID}, vms, "Launch returned nil")
		require.Equal(t, "k1", i.Mark.Key)
	case errors.Is(err, runctl.ErrUncertain):
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		require.True(t, e.MayBill)
		require.False(t, o.told)
		require.True(t, leaves || settle == 0 && !o.acts, "the doubt could be resolved: %v", err)
	default:
		require.Empty(t, vms, "a machine bills, and the error does not say so: %v", err)
		require.True(t, o.told, err)
		require.ErrorIs(t, err, runctl.ErrCapacity)
	}
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), apiKey)

	// The same key again, from this process and from another that knows nothing.
	w.face.Heal()
	before := len(vms)
	again, err := w.c.Launch(t.Context(), machine("k1"))
	require.LessOrEqual(t, len(w.under("k1")), 1, "two machines under one key")
	if before == 1 {
		require.NoError(t, err)
		require.Equal(t, vms[0], again.ID)
	} else if err != nil {
		require.ErrorIs(t, err, runctl.ErrUncertain)
		require.Zero(t, settle, "absence was provable")
		require.Equal(t, posts, w.face.Served("createVM"))
	}
	if now := w.under("k1"); len(now) == 1 {
		pass(lag)
		other, err := w.client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		require.Equal(t, now[0], other.ID, "another process adopts")
	}
	w.reapAll()
	assert.Empty(t, w.under("k1"), "left after Reap")
	assert.Empty(t, w.face.Billing())
}

func TestAnUnresolvedDoubtIsUncertainAndNamesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		w.face.Inject(face.LostRequest)
		began := time.Now()
		_, err := w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain)
		assert.ErrorContains(t, err, "k1")
		assert.Equal(t, 1, w.face.Served("createVM"))
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Minute, "it was looked for")
		assert.LessOrEqual(t, w.face.Served("listVMs"), 20)
		_, err = w.c.Launch(t.Context(), machine("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "and again, without another POST")
		assert.Equal(t, 1, w.face.Served("createVM"))
	})
}

// TestAMachineThatAppearsAtTheEdgeIsFound has the machine come into the lists at the very edge of the settle time, wherever the looks fall.
func TestAMachineThatAppearsAtTheEdgeIsFound(t *testing.T) {
	t.Parallel()
	for lag := time.Second; lag < 70*time.Second; lag += time.Second {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{ListLag: lag}, lyceum.Config{Settle: lag})
			w.face.Inject(face.LostReply)
			i, err := w.c.Launch(t.Context(), machine("k1"))
			require.NoError(t, err, lag)
			require.Equal(t, []string{i.ID}, w.under("k1"), lag)
			require.Equal(t, 1, w.face.Served("createVM"), lag)
		})
	}
}

func TestListsThatFailProveNothing(t *testing.T) {
	for _, op := range []string{"listVMs", "listActiveRuns"} {
		for _, broken := range []face.Fault{
			{Status: 500, Body: `{"detail":"x"}`}, {Cut: face.NoReply}, {Acts: true, Cut: face.Half}, {Status: 200, Body: `{}`, Kind: "application/json"},
			{Status: 502, Body: "<html>", Kind: "text/html"}, {Status: 429, Body: `{"detail":"x"}`}, {Status: 200, Body: `null`, Kind: "application/json"},
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{}, lyceum.Config{Settle: time.Second})
				w.face.Inject(face.LostRequest)
				broken.On, broken.Skip, broken.Times = op, 1, -1 // the look before the launch goes well
				w.face.Inject(broken)
				_, err := w.c.Launch(t.Context(), machine("k1"))
				require.ErrorIs(t, err, runctl.ErrUncertain, "%+v", broken)
				assert.Equal(t, 1, w.face.Served("createVM"))
			})
		}
	}
}

// TestAStrangersMachineIsNeitherAdoptedNorEnded has machines and runs in the same organisation with names as others may choose
// them: sealed by somebody else, unsealed, cut, copied from ours.
func TestAStrangersMachineIsNeitherAdoptedNorEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		spec := machine("k1")
		label := w.launch("k1").Label
		require.NoError(t, w.c.Terminate(t.Context(), runctl.Ref{Provider: "lyceum", Key: "k1", ID: w.under("k1")[0], Owner: "tester"}))
		w.face.Inject(face.LostRequest)
		forged := runctl.Mark{Owner: "tester", Key: "k2", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
		names := []string{forged.Label([]byte("another secret")), forged.Label(nil), "rc1-tester-k2-", label[:len(label)-1], "copy of " + label,
			strings.ToUpper(label), " " + label, "RC1-TESTER-K2", ""}
		var strangers []string
		for _, name := range names {
			strangers = append(strangers, w.face.Add(name), w.face.AddRun(name))
		}
		spec.Key = "k2"
		_, err := w.c.Launch(t.Context(), spec)
		require.ErrorIs(t, err, runctl.ErrUncertain, "none of them is ours")
		w.reapAll()
		assert.ElementsMatch(t, strangers, w.face.Billing(), "none of them was touched")
	})
}

// TestAWholeCopyOfANameIsLeftAlone has somebody give a machine of theirs the very name of ours. Lyceum has no place for a seal that
// cannot be copied, so the older of the two is ours, and nothing is done to the other.
func TestAWholeCopyOfANameIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		first := w.launch("k1")
		pass(time.Minute)
		copied := w.face.Add(first.Label)
		again, err := w.client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID, "another process adopts ours")
		w.reapAll()
		assert.Equal(t, []string{copied}, w.face.Billing(), "ours is ended, and ours alone")
	})
}

func TestAMachineWithACutNameIsEndedAtOnce(t *testing.T) {
	for _, most := range []int{20, -1} {
		for _, op := range []string{"createVM", "terminateVM"} {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{LabelMax: most}, lyceum.Config{})
				if op == "terminateVM" {
					w.face.Inject(face.Fault{On: op, Times: -1, Status: 500, Body: `{"detail":"x"}`})
				}
				_, err := w.c.Launch(t.Context(), machine("k1"))
				require.Error(t, err)
				e := new(runctl.Error)
				require.ErrorAs(t, err, &e)
				assert.Equal(t, len(w.face.Billing()) > 0, e.MayBill, "%v", err)
				assert.Equal(t, op == "terminateVM", e.MayBill, "%v", err)
			})
		}
	}
}

// TestManyLaunchesAtOnceUnderOneKeyAreOneMachine has several callers in one process.
func TestManyLaunchesAtOnceUnderOneKeyAreOneMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 20 * time.Second}, lyceum.Config{})
		w.face.Inject(*slow(face.LostReply))
		ids := make(chan string, 8)
		for range cap(ids) {
			go func() {
				i, err := w.c.Launch(context.WithoutCancel(t.Context()), machine("k1"))
				assert.NoError(t, err)
				ids <- i.ID
			}()
		}
		for range cap(ids) {
			assert.Equal(t, []string{<-ids}, w.under("k1"))
		}
		assert.Equal(t, 1, w.face.Served("createVM"))
	})
}
