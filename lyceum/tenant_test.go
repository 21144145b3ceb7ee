package lyceum_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"runctl"
	"runctl/internal/cloudtest"
	"runctl/internal/memnet"
	"runctl/internal/wire"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// apiKey is the account's key in tests; it must be seen nowhere.
const apiKey = "lk_CANARY7f3e91"

var pass, cancelAfter, signer = cloudtest.Pass, cloudtest.CancelAfter, cloudtest.Signer

// userEnv names who logs in to machines: on a computer of ours nobody is called as on Lyceum's.
const userEnv = "RUNCTL_TEST_USER"

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
	cloudtest.Main(m, "lyceum", "the OpenAPI document of Lyceum's API", registry, nil)
}

// cloud is Lyceum, for the tests that all clouds have.
var cloud = cloudtest.Cloud{
	Open: func(t *testing.T, p cloudtest.Physics) *cloudtest.Account {
		return newTenant(t, face.Options{ListLag: p.ListLag, Provisioning: 2 * time.Minute, Script: says("hello\n")}, lyceum.Config{Settle: p.Settle}).Account
	},
	Launch: "createVM", Lists: []string{"listVMs", "listActiveRuns"}, Settles: true,
	Refuse: func(status int, text string) wire.Fault {
		body, _ := json.Marshal(map[string]any{"detail": text, "errors": []string{text}})
		return wire.Fault{Status: status, Body: string(body)}
	},
	Unreadable: face.Unreadable, NoCapacity: face.NoCapacity,
	Outcomes: []cloudtest.Outcome{{Name: "a gateway's page with the words for no capacity", Acts: true,
		Fault: wire.Fault{Acts: true, Status: 500, Kind: "text/html", Body: "<p>could not be provisioned"}}},
	Job: job, OnJobRoad: true, Secrets: []string{apiKey}, Failures: []wire.Fault{malformed()},
	Calls: func(a *cloudtest.Account) []func() (any, error) {
		return []func() (any, error){func() (any, error) { return a.P.(*lyceum.Provider).S3Credentials(cancelAfter(a.T, time.Minute)) }}
	},
	Shown: func(a *cloudtest.Account) []any {
		cfg, f := lyceum.Config{APIKey: apiKey}, a.Face.(*face.Face)
		shown := []any{cfg, &cfg, a.P.(*lyceum.Provider).REST()}
		for _, v := range f.VMs() {
			shown = append(shown, v)
		}
		for _, r := range f.Runs() {
			shown = append(shown, r)
		}
		return shown
	},
	Forge: func(a *cloudtest.Account, label string) []string {
		f := a.Face.(*face.Face)
		return []string{f.Add(label), f.AddRun(label)}
	},
}

// malformed is Lyceum's form for a request that cannot be read, which repeats it.
func malformed() wire.Fault {
	sent := cloudtest.Sent
	list, _ := json.Marshal(map[string]any{"detail": []any{map[string]any{"loc": []any{"body", sent}, "msg": sent, "type": sent, "input": sent}}})
	return wire.Fault{Status: 422, Body: string(list)}
}

// says lets every run say this, and go on.
func says(text string) func(face.Run) face.Script {
	return does(face.Script{Lines: []face.Line{{Text: text}}, Exit: -1})
}

func TestALaunchNeverMakesTwoMachines(t *testing.T) { cloudtest.LaunchRule(t, cloud) }
func TestAnUnresolvedDoubtIsUncertainAndNamesTheKey(t *testing.T) {
	cloudtest.DoubtIsToldWithItsKey(t, cloud)
}
func TestAMachineThatAppearsAtTheEdgeIsFound(t *testing.T) { cloudtest.TheSettleTimeIsKept(t, cloud) }
func TestListsThatFailProveNothing(t *testing.T)           { cloudtest.ListsThatFailProveNothing(t, cloud) }
func TestManyLaunchesAtOnceUnderOneKeyAreOneMachine(t *testing.T) {
	cloudtest.ManyLaunchesAtOnce(t, cloud)
}
func TestAStrangersMachineIsNeitherAdoptedNorEnded(t *testing.T) {
	cloudtest.NamesOfOthersAreLeftAlone(t, cloud)
}
func TestTheKeyIsSeenNowhere(t *testing.T) { cloudtest.KeySweep(t, cloud) }

// tenant is an organisation at Lyceum, in memory, with a client.
type tenant struct {
	*cloudtest.Account
	face *face.Face
	p    *lyceum.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, cfg lyceum.Config) *tenant {
	t.Helper()
	opt.Key = apiKey
	w := &tenant{face: face.New(opt)}
	w.Account = cloudtest.NewAccount(t, w.face, new(memnet.Net).Serve(t, "lyceum.test", w.face), func(net http.RoundTripper) (runctl.Provider, error) {
		cfg.APIKey, cfg.BaseURL, cfg.Transport = apiKey, "http://lyceum.test"+face.Prefix, net
		return lyceum.New(cfg)
	})
	w.Machine, w.Under = machine, w.under
	w.p, w.c = w.P.(*lyceum.Provider), w.C
	return w
}

// publicKey is a public key in OpenSSH's format.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBb0wQ4gGmTNuYhkQvfxq5LJ5uYH3kqvYxOY8wPBJ0yz tester"

// machine is a launch on the shell road: a virtual machine, whose end is its client's business.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(5), Unguarded: true,
		Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Road: runctl.RoadShell, Market: runctl.OnDemand}}
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

// up waits until a machine is up.
func (w *tenant) up(ref runctl.Ref) (runctl.Instance, error) {
	return w.c.WaitInstance(cancelAfter(w.T, 15*time.Minute), ref, func(i runctl.Instance) bool { return i.State == runctl.StateRunning })
}
