//go:build linux

package lyceum_test

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
	"runctl/providertest"
)

// refusal is one of the API's own.
func refusal(status int, detail string) providertest.Reply {
	body, _ := json.Marshal(map[string]any{"detail": detail})
	return providertest.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(body)}
}

// words are Lyceum's for the states of a machine.
var words = map[runctl.State]string{runctl.StatePending: "pending", runctl.StateRunning: "ready", runctl.StateStopped: "stopped"}

// host is where a machine is reached: a real sshd and a disk of its own, which there is once somebody comes.
func host(t *testing.T, key string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	boot := sync.OnceValue(func() string {
		s := enginetest.SSHD(t)
		s.AuthorizedKeys(key)
		return s.Addr
	})
	var visits sync.WaitGroup
	visit := func(in net.Conn) {
		defer in.Close()
		out, err := net.Dial("tcp", boot())
		if err != nil {
			return
		}
		visits.Go(func() {
			_, _ = io.Copy(in, out)
			_ = in.Close()
		})
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}
	visits.Go(func() {
		for in, err := l.Accept(); err == nil; in, err = l.Accept() {
			visits.Go(func() { visit(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		visits.Wait()
	})
	return l.Addr().String()
}

// harness is the contract over a face with these physics, whose machines lead to sshds and whose runs are processes.
func harness(t *testing.T, opt face.Options, sick ...face.Fault) providertest.Harness {
	faces := map[runctl.Provider]*face.Face{}
	sshd := enginetest.SSHD(t)
	key := enginetest.AuthorizedKey(t, sshd.Signer)
	states := maps.Clone(words)
	states[runctl.StateRunning] = cmp.Or(opt.Up, face.Ready)
	opt.Key = apiKey
	return providertest.Harness{
		New: func(t *testing.T, carry http.RoundTripper) runctl.Provider {
			opt := opt
			opt.Real = &face.Real{Dir: enginetest.Dir(t)}
			opt.Address = func(int) string { return host(t, key) }
			f := face.New(opt)
			url := cloudtest.Serve(t, f)
			cloudtest.Always(f, sick...)
			p, err := lyceum.New(lyceum.Config{APIKey: apiKey, BaseURL: url + face.Prefix, Transport: carry, User: sshd.User})
			require.NoError(t, err)
			faces[p] = f
			return p
		},
		IsLaunch: func(r *http.Request) bool {
			switch r.URL.Path {
			case face.Prefix + "/vms/create", face.Prefix + "/execution/streaming/start", face.Prefix + "/execution/image/start":
				return r.Method == http.MethodPost
			}
			return false
		},
		Request: func(req *runctl.LaunchRequest) {
			if req.Offer.Roads&runctl.RoadShell == 0 {
				req.Lifetime, req.Image = 10*time.Minute, "busybox" // a run has no more; and Python takes long to start
			} else {
				req.AuthorizedKey = key
			}
		},
		Access: runctl.Access{Signer: sshd.Signer},
		Cloud: func(p runctl.Provider) providertest.Cloud {
			f := faces[p]
			return providertest.Cloud{
				Billing:  func() []string { return billing(f) },
				HoldEnds: f.HoldEnds,
				Stranger: func(label string) string { return "vm:" + f.Add(label) },
				SetState: func(id string, s runctl.State) bool {
					word := states[s]
					if s == runctl.StateTerminated {
						word = face.Terminated
					}
					if word != "" {
						f.SetStatus(raw(id), word)
					}
					return word != ""
				},
			}
		},
		Refusals: map[runctl.Kind]providertest.Reply{
			runctl.ErrCapacity:  refusal(500, "The instance could not be provisioned right now. Please try again later."),
			runctl.ErrPayment:   refusal(402, "Insufficient credits"),
			runctl.ErrAuth:      refusal(401, "Invalid or expired token"),
			runctl.ErrRateLimit: refusal(429, "Rate limit exceeded"),
			runctl.ErrInvalid:   refusal(400, "Invalid hardware profile. Valid profiles: a100, h100"),
		},
		States: states, Secrets: []string{apiKey}, Many: 7, Patience: 30 * time.Second, Slow: 4 * time.Second,
	}
}

// billing returns the ids of what bills, as the provider has them.
func billing(f *face.Face) (ids []string) {
	for _, v := range f.VMs() {
		ids = append(ids, "vm:"+v.ID)
	}
	for _, r := range f.Runs() {
		if !r.Over {
			ids = append(ids, "run:"+r.ID)
		}
	}
	return ids
}

func TestContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, harness(t, face.Options{}))
}

// TestContractPasses is the contract over a Lyceum with all of its quirks, as many at once as can be.
func TestContractPasses(t *testing.T) {
	for _, x := range []struct {
		name string
		opt  face.Options
		sick []face.Fault
	}{
		{"over a slow cloud, with addresses that come late, and streams by GET alone that end without a word",
			face.Options{Provisioning: 50 * time.Millisecond, AddrLag: 100 * time.Millisecond, Deleting: 50 * time.Millisecond, Aborting: 50 * time.Millisecond,
				Queue: 20 * time.Millisecond, Boot: 20 * time.Millisecond, Stream: face.Stream{Method: "GET", NoEnd: true}},
			[]face.Fault{{Hold: 5 * time.Millisecond}}},
		{"over lists that keep the dead, nulls and new fields, records without output, a gateway that fails every third time, and streams by POST alone in all shapes",
			face.Options{IgnoresFlags: true, Reversed: true, Nulls: true, Extra: true, Bare: true, Up: "running", Stream: face.Stream{Method: "POST", Shape: -1, Pings: true, AsText: true, CRLF: true, NeedKey: true}},
			[]face.Fault{{On: "listVMs", Every: 3, Status: 500, Body: `{"detail":"Internal Server Error"}`}, {On: "getVMStatus", Every: 3, Cut: face.NoReply},
				face.Fault{On: "terminateVM", Every: 3, Status: 502, Kind: "text/html", Body: "<html>"}, {On: "getRun", Every: 3, Status: 503, Body: "{}"},
				face.Fault{On: "getVMAvailability", Every: 3, Status: 500, Body: `{"detail":"x"}`}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			h := harness(t, x.opt, x.sick...)
			h.Skip = cloudtest.Variant()
			if !x.opt.Extra { // the server has no fields but those of TestContract
				h.Skip = cloudtest.Variant("Wire/MissingField", "List/MissingField")
			}
			providertest.Run(t, h)
		})
	}
}

func TestRule06TheUserIsTriedAndTheHostKeyOfAMachineIsItsOwn(t *testing.T) {
	sshd := enginetest.SSHD(t)
	f := face.New(face.Options{Key: apiKey, SSH: sshd.Addr, OnKey: func(key string) { sshd.AuthorizedKeys(key) }})
	url := cloudtest.Serve(t, f)
	for _, user := range []string{"", "lyceum", sshd.User} {
		p, err := lyceum.New(lyceum.Config{APIKey: apiKey, BaseURL: url + face.Prefix, User: user})
		require.NoError(t, err)
		offers, err := p.Offers(t.Context(), runctl.OfferQuery{Road: runctl.RoadShell})
		require.NoError(t, err)
		i, err := p.Launch(t.Context(), runctl.LaunchRequest{Label: "rc1-a", Offer: offers[0], Lifetime: time.Hour, AuthorizedKey: enginetest.AuthorizedKey(t, sshd.Signer)})
		require.NoError(t, err)
		m, err := p.Connect(t.Context(), i, runctl.Access{Signer: sshd.Signer})
		if user != sshd.User && (user == "lyceum" || sshd.User != "root") { // nobody here is called so
			require.ErrorIs(t, err, runctl.ErrAuth)
			assert.ErrorContains(t, err, cmp.Or(user, "lyceum, ubuntu, root"), "who was tried is told")
			continue
		}
		require.NoError(t, err)
		require.NoError(t, m.Close())
		_, err = p.Connect(t.Context(), i, runctl.Access{Signer: sshd.Signer, HostKey: "SHA256:" + strings.Repeat("A", 43)})
		require.ErrorIs(t, err, runctl.ErrHostKey, "another host answers at its address")
	}
}
