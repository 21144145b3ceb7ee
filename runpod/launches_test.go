package runpod_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"runctl"
	"runctl/clouds"
	"runctl/internal/cloudtest"
	"runctl/internal/memnet"
	"runctl/internal/wire"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// apiKey is the account's key in tests; it must be seen nowhere.
const apiKey = "rpa_CANARY7f3e91"

var pass, cancelAfter, signer, sshdPath = cloudtest.Pass, cloudtest.CancelAfter, cloudtest.Signer, cloudtest.SSHDPath

func TestMain(m *testing.M) {
	cloudtest.Main(m, "runpod", "RunPod's OpenAPI document", clouds.Registry, nil)
}

// cloud is RunPod, for the tests that all clouds have.
var cloud = cloudtest.Cloud{
	Open: func(t *testing.T, p cloudtest.Physics) *cloudtest.Account {
		return newTenant(t, face.Options{ListLag: p.ListLag}, runpod.Config{Settle: p.Settle}).Account
	},
	Launch: "createPod", Lists: []string{"listPods"}, Settles: true,
	Refuse: func(status int, text string) wire.Fault {
		body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": text, "errors": []string{text}})
		return wire.Fault{Status: status, Body: string(body)}
	},
	Unreadable: face.Unreadable, NoCapacity: face.NoCapacity,
	Job: job, OnJobRoad: true, Secrets: []string{apiKey}, Failures: []wire.Fault{face.EdgeRefuses},
	Echo: func(status int) wire.Fault {
		body, _ := json.Marshal(map[string]any{"title": cloudtest.Sent, "status": status, "detail": cloudtest.Sent + " is refused", "errors": []string{cloudtest.Sent}})
		return wire.Fault{Status: status, Body: string(body)}
	},
	Shown: func(a *cloudtest.Account) []any {
		cfg := runpod.Config{APIKey: apiKey}
		shown := []any{cfg, &cfg, a.P.(*runpod.Provider).REST()}
		for _, p := range a.Face.(*face.Face).Pods() {
			shown = append(shown, p)
		}
		return shown
	},
	Forge: func(a *cloudtest.Account, label string) []string {
		f := a.Face.(*face.Face)
		return []string{f.Add(label, nil), f.Add("copy of "+label, map[string]string{"RUNCTL_MARK": label})}
	},
}

func TestALaunchNeverMakesTwoPods(t *testing.T) { cloudtest.LaunchRule(t, cloud) }
func TestAnUnresolvedDoubtIsUncertainAndNamesTheKey(t *testing.T) {
	cloudtest.DoubtIsToldWithItsKey(t, cloud)
}
func TestAPodThatAppearsAtTheEdgeIsFound(t *testing.T)        { cloudtest.TheSettleTimeIsKept(t, cloud) }
func TestListsThatFailProveNothing(t *testing.T)              { cloudtest.ListsThatFailProveNothing(t, cloud) }
func TestManyLaunchesAtOnceUnderOneKeyAreOnePod(t *testing.T) { cloudtest.ManyLaunchesAtOnce(t, cloud) }
func TestACopyWithoutOurSealIsNeitherAdoptedNorEnded(t *testing.T) {
	cloudtest.NamesOfOthersAreLeftAlone(t, cloud)
}
func TestTheKeyIsSeenNowhere(t *testing.T) { cloudtest.KeySweep(t, cloud) }

// tenant is an account at RunPod, in memory, with a client.
type tenant struct {
	*cloudtest.Account
	face *face.Face
	p    *runpod.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, cfg runpod.Config) *tenant {
	t.Helper()
	opt.Key = apiKey
	w := &tenant{face: face.New(opt)}
	w.Account = cloudtest.NewAccount(t, w.face, new(memnet.Net).Serve(t, "runpod.test", w.face), func(net http.RoundTripper) (runctl.Provider, error) {
		cfg.APIKey, cfg.BaseURL, cfg.Transport = apiKey, "http://runpod.test", net
		return runpod.New(cfg)
	})
	w.Machine, w.Under = machine, w.under
	w.p, w.c = w.P.(*runpod.Provider), w.C
	return w
}

// machine is a launch on the shell road: a pod whose end is its client's business.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(5), Unguarded: true,
		Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Regions: []string{"US-KS-2"}, Road: runctl.RoadShell}}
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
