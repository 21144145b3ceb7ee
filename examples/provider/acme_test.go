package acme_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"example.com/acme"
	"runctl"
	"runctl/providertest"
)

func TestContract(t *testing.T) {
	const key = "acme-key-51ce"
	clouds := map[runctl.Provider]*cloud{}
	refusal := func(status int, code string) providertest.Reply {
		return providertest.Reply{Status: status, Body: `{"code":"` + code + `","message":"no"}`}
	}
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, net http.RoundTripper) runctl.Provider {
			cloud := newCloud(key)
			srv := httptest.NewServer(cloud.handler())
			t.Cleanup(srv.Close)
			p, err := acme.New(acme.Config{APIKey: key, BaseURL: srv.URL, Transport: net})
			if err != nil {
				t.Fatal(err)
			}
			clouds[p] = cloud
			return p
		},
		Cloud: func(p runctl.Provider) providertest.Cloud { return providertest.Cloud{Billing: clouds[p].billing} },
		Job: func(_ runctl.Provider, key string, w providertest.Work) runctl.Job {
			args := []string{"emit", w.Log, strconv.Itoa(w.ExitCode)}
			if w.Block {
				args = append(args, "and stay")
			}
			return runctl.Job{ID: key, Args: args}
		},
		Secrets: []string{key},
		States:  map[runctl.State]string{runctl.StatePending: "starting", runctl.StateRunning: "up"},
		Refusals: map[runctl.Kind]providertest.Reply{
			runctl.ErrCapacity: refusal(409, "full"), runctl.ErrQuota: refusal(403, "limit"),
			runctl.ErrRateLimit: refusal(429, "pace"), runctl.ErrAuth: refusal(401, "key"),
		},
	})
}
