//go:build linux

package ssh_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/providertest"
)

// hosts of the contract's fleet.
const hosts = 5

func TestContract(t *testing.T) {
	sshd := enginetest.SSHD(t)
	var f *fleet
	next := 0
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, _ http.RoundTripper) runctl.Provider {
			f, next = newFleet(t, sshd, hosts), 0
			return f.provider(t)
		},
		Request: func(req *runctl.LaunchRequest) { // an offer is one host: each launch takes the next
			req.Offer.ID = f.cfg.Hosts[next%hosts].Name
			req.Offer.Type = req.Offer.ID
			next++
		},
		Cloud: func(runctl.Provider) providertest.Cloud {
			f := f
			return providertest.Cloud{
				Billing: func() (ids []string) {
					for k, h := range f.cfg.Hosts {
						for _, n := range f.claims(k) {
							ids = append(ids, h.Name+":"+n)
						}
					}
					return ids
				},
				Stranger: func(label string) string {
					if label == "" {
						label = "v=1 boot=b up=1 at=1 life=99999999999 keep=0 tok=t gpu=- label="
					}
					next++
					return f.claim(t, label)
				},
				Refuse: func(kind runctl.Kind) bool {
					for kind == runctl.ErrCapacity && f.claim(t, "kim") != "" {
					}
					return kind == runctl.ErrCapacity
				},
				SetState: func(id string, s runctl.State) bool {
					if s == runctl.StateStopping {
						f.busy(t)
						require.NoError(t, f.provider(t).Terminate(t.Context(), id))
					}
					return s == runctl.StateStopping
				},
				HoldEnds: func() { f.busy(t) },
			}
		},
		Many: 3, Slow: 2 * time.Second, Patience: 20 * time.Second,
	})
}
