//go:build linux

package runpod_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/runpod"
	"runctl/providertest"
	"runctl/runpod"
)

// refusal is one of the API's own.
func refusal(status int, detail string) providertest.Reply {
	body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	return providertest.Reply{Status: status, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: string(body)}
}

// words are RunPod's for the states of a pod.
var words = map[runctl.State]string{runctl.StatePending: "PROVISIONING", runctl.StateRunning: "RUNNING", runctl.StateStopped: "EXITED"}

// inside are the rows in which something happens within a pod: only there containers are processes. The others launch hundreds.
var inside = regexp.MustCompile(`/(Exec|Shell|Job)/`)

// harness is the contract over a face with these physics, whose containers are processes.
func harness(t *testing.T, cfg runpod.Config, opt face.Options, sick func(*face.Face)) providertest.Harness {
	faces := map[runctl.Provider]*face.Face{}
	user := enginetest.SSHD(t).User // where there is no sshd at all, this says so
	signer := enginetest.NewKey(t)
	opt.Key, opt.Brief = apiKey, true
	return providertest.Harness{
		New: func(t *testing.T, net http.RoundTripper) runctl.Provider {
			opt := opt
			if inside.MatchString(t.Name()) {
				opt.Real = &face.Real{Dir: enginetest.Dir(t), SSHD: sshdPath(), User: user, Grace: 2 * time.Second}
			}
			f := face.New(opt)
			url := cloudtest.Serve(t, f)
			if sick != nil {
				sick(f)
			}
			cfg.APIKey, cfg.BaseURL, cfg.Transport = apiKey, url, net
			p, err := runpod.New(cfg)
			require.NoError(t, err)
			faces[p] = f
			return p
		},
		IsLaunch: func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/v2/pods" },
		Request: func(req *runctl.LaunchRequest) {
			if req.Job == nil {
				req.AuthorizedKey = enginetest.AuthorizedKey(t, signer)
			}
		},
		Access: runctl.Access{Signer: signer},
		Cloud: func(p runctl.Provider) providertest.Cloud {
			f := faces[p]
			return providertest.Cloud{
				Billing: f.Billing, HoldEnds: f.HoldEnds,
				Stranger: func(label string) string { return f.Add(label, nil) },
				SetState: func(id string, s runctl.State) bool {
					word := words[s]
					if s == runctl.StateTerminated {
						word = face.Terminated
					}
					if word != "" {
						f.SetStatus(id, word)
					}
					return word != ""
				},
			}
		},
		Refusals: map[runctl.Kind]providertest.Reply{
			runctl.ErrCapacity:  refusal(400, "There are no longer any instances available with the requested specifications. Please refresh and try again."),
			runctl.ErrPayment:   refusal(402, "Your balance is too low to deploy this pod."),
			runctl.ErrAuth:      refusal(401, "invalid bearer token"),
			runctl.ErrRateLimit: refusal(429, "rate limit exceeded"),
			runctl.ErrQuota:     refusal(403, "You have reached your spending limit of $80/hr."),
		},
		States: words, Secrets: []string{apiKey}, Many: 2*max(opt.PageSize, 3) + 1, Patience: 30 * time.Second, Slow: 4 * time.Second,
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, harness(t, runpod.Config{Community: true}, face.Options{}, nil))
}

// TestContractPasses is the contract over a RunPod that is newer, slow, or ill.
func TestContractPasses(t *testing.T) {
	for _, x := range []struct {
		name string
		opt  face.Options
		sick func(*face.Face)
	}{
		{"over a newer server, which says more and in pages", face.Options{Extra: true, PageSize: 5, Tombstone: time.Hour}, nil},
		{"over a slow server, with addresses that come late and wrong", face.Options{AddrLag: 300 * time.Millisecond, StalePort: true, Deleting: 50 * time.Millisecond},
			func(f *face.Face) { cloudtest.Always(f, face.Fault{Hold: 5 * time.Millisecond}) }},
		{"over a gateway that fails every third time, and streams that stutter", face.Options{}, func(f *face.Face) {
			f.Repeat(2)
			cloudtest.Always(f, face.Fault{On: "listPods", Every: 3, Status: 502, Kind: "text/html", Body: "<html>"}, face.Fault{On: "getPod", Every: 3, Cut: face.NoReply},
				face.Fault{On: "deletePod", Every: 3, Status: 503, Body: "{}"})
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			h := harness(t, runpod.Config{}, x.opt, x.sick)
			same := []string{"Wire/MissingField"} // fields that are new are passed over
			if x.opt.PageSize == 0 {
				same = append(same, "List/MissingField")
			}
			h.Skip = cloudtest.Variant(same...)
			providertest.Run(t, h)
		})
	}
}
