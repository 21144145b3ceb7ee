package providertest

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"runctl"
	"runctl/internal/toycloud"
)

const toyKey = "toy-key-7d02f1"

// toy returns the harness of the reference provider, after change has had its way with it.
func toy(change func(p *toycloud.Provider) runctl.Provider) Harness {
	net := &toycloud.Net{}
	states := map[runctl.State]string{
		runctl.StatePending: toycloud.Booting, runctl.StateRunning: toycloud.Active,
		runctl.StateStopping: toycloud.Pausing, runctl.StateStopped: toycloud.Paused,
	}
	code := func(status int, code string) Reply {
		return Reply{Status: status, Body: `{"code":"` + code + `","text":"no"}`}
	}
	return Harness{
		New: func(_ *testing.T, wire http.RoundTripper) runctl.Provider {
			cloud := toycloud.New(toyKey)
			p := toycloud.NewProvider(cloud, net.Serve(cloud), wire)
			if change != nil {
				return change(p)
			}
			return p
		},
		Transport: net,
		Cloud: func(p runctl.Provider) Cloud {
			toy, ok := find[interface{ Account() *toycloud.Cloud }](p)
			if !ok {
				return Cloud{}
			}
			cloud := toy.Account()
			return Cloud{
				Billing: cloud.Billing, Stranger: cloud.Add, HoldEnds: cloud.HoldEnds,
				SetState: func(id string, s runctl.State) bool {
					cloud.SetState(id, states[s])
					return states[s] != ""
				},
			}
		},
		IsLaunch: func(r *http.Request) bool { return r.Method == "POST" && r.URL.Path == "/v1/vms" },
		Refusals: map[runctl.Kind]Reply{
			runctl.ErrCapacity: code(409, "sold_out"), runctl.ErrQuota: code(403, "your_limit"), runctl.ErrPayment: code(402, "no_money"),
			runctl.ErrRateLimit: code(429, "slow_down"), runctl.ErrAuth: code(401, "bad_key"),
		},
		States: states, Patience: 3 * time.Second, Slow: 300 * time.Millisecond,
		Request: func(req *runctl.LaunchRequest) { req.Boot = nil }, // Launch/Boot has its own; in every request it is most of the work
		Secrets: []string{toyKey},
		Commands: Commands{
			Exit:   func(code int) []string { return []string{"exit", strconv.Itoa(code)} },
			Args:   func(args ...string) []string { return append([]string{"args"}, args...) },
			Stderr: func(text string) []string { return []string{"err", text} },
			Block:  func() []string { return []string{"block"} },
		},
		Job: func(_ runctl.Provider, key string, w Work) runctl.Job {
			args := []string{"emit", w.Log, strconv.Itoa(w.ExitCode)}
			if w.Block {
				args = append(args, "block")
			}
			return runctl.Job{ID: key, Args: args}
		},
	}
}

func TestReferencePasses(t *testing.T) {
	Run(t, toy(nil))
}
