package providertest_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"runctl"
	"runctl/fake"
	"runctl/local"
	"runctl/providertest"
)

// The fake is a provider like any other, for all that consumers' tests can see of it.
func TestFakePasses(t *testing.T) {
	providertest.Run(t, providertest.Harness{
		New: func(*testing.T, http.RoundTripper) runctl.Provider { return fake.New() },
		Cloud: func(p runctl.Provider) providertest.Cloud {
			cloud := p.(*fake.Cloud)
			return providertest.Cloud{
				Billing: func() (ids []string) {
					for _, i := range cloud.Billing() {
						ids = append(ids, i.ID)
					}
					return ids
				},
				Stranger: func(label string) string { return cloud.Add(runctl.Instance{Label: label})[0] },
				Refuse: func(kind runctl.Kind) bool {
					scope := runctl.ScopeAccount
					if kind == runctl.ErrCapacity {
						scope = runctl.ScopeZone
					}
					cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, Err: &runctl.Error{Kind: kind, Scope: scope, NotStarted: true, Err: errors.New("no")}})
					return true
				},
			}
		},
		// its machines know the supervisor's verbs and little else
		Commands: providertest.Commands{
			Args:   func(...string) []string { return nil },
			Stderr: func(string) []string { return nil },
			Block:  func() []string { return nil },
		},
		Job: func(p runctl.Provider, key string, w providertest.Work) runctl.Job {
			p.(*fake.Cloud).Script(key, fake.Script{Log: w.Log, ExitCode: w.ExitCode, Hold: w.Block,
				Outputs: map[string]string{"out": strings.Repeat("x", w.Output<<10)}})
			return runctl.Job{ID: key, Args: []string{"work"}}
		},
	})
}

// Processes of this computer are machines too.
func TestLocalPasses(t *testing.T) {
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, _ http.RoundTripper) runctl.Provider {
			p, err := local.New(local.Config{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Slow:     20 * time.Second,
		Patience: time.Minute,
	})
}
