package canary

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// box is a provider of machines that are all one real SSH server, behind a network that can be cut. It is entered with
// the key that the client derives for each machine, and with no other.
type box struct {
	h      *hunt
	owner  string // Config.Secret
	server *enginetest.Server
	proxy  *enginetest.ProxyServer

	mu       sync.Mutex
	machines []runctl.Instance
	keys     []string
}

func newBox(t *testing.T, h *hunt, owner string, opts ...enginetest.Option) *box {
	s := enginetest.SSHD(t, append(opts, enginetest.Line("LogLevel DEBUG3"))...)
	h.key("the key of a person who may enter the server", s.Signer)
	h.known("the server's directory", s.Dir+"/authorized_keys")
	return &box{h: h, owner: owner, server: s, proxy: enginetest.Proxy(t, s.Addr, h.rand.Uint64())}
}

func (b *box) Info() runctl.Info {
	return runctl.Info{Name: "box", Kind: "box", Settle: time.Nanosecond, Poll: 50 * time.Millisecond, Markets: runctl.OnDemand, EndsItself: true}
}

func (b *box) Offers(context.Context, runctl.OfferQuery) ([]runctl.Offer, error) {
	return []runctl.Offer{{ID: "box", Type: "box", Region: "here", Market: runctl.OnDemand, Price: runctl.Price{Hourly: runctl.USD(0), Source: "own"},
		Roads: runctl.RoadShell, EndsItself: true, Keeps: true}}, nil
}

func (b *box) Launch(_ context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	b.h.hidden(atValue, "LaunchRequest", req)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys = append(b.keys, req.AuthorizedKey)
	b.server.AuthorizedKeys(b.keys...)
	i := runctl.Instance{ID: fmt.Sprint("box-", len(b.machines)+1), Label: req.Label, State: runctl.StateRunning, Type: "box", Market: runctl.OnDemand,
		Road: runctl.RoadShell, Price: req.Offer.Price, Launched: time.Now(), Seen: time.Now()}
	b.machines = append(b.machines, i)
	return i, nil
}

func (b *box) Get(_ context.Context, id string) (runctl.Instance, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.machines {
		if i.ID == id {
			i.Seen = time.Now()
			return i, nil
		}
	}
	return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrNotFound}
}

func (b *box) List(context.Context, runctl.ListQuery) ([]runctl.Instance, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]runctl.Instance(nil), b.machines...), nil
}

func (b *box) Terminate(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range b.machines {
		if b.machines[n].ID == id {
			b.machines[n].State, b.machines[n].Ended = runctl.StateTerminated, time.Now()
		}
	}
	return nil
}

func (b *box) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	k := machineKey(b.owner, i.Label)
	if !k.Public().(ed25519.PublicKey).Equal(a.Signer.Public()) {
		return nil, errors.New("the machine is entered with another key than is looked for")
	}
	b.h.key("a machine's private key", k)
	auth, err := sshmachine.Signer(a.Signer)
	if err != nil {
		return nil, err
	}
	pin := ssh.FingerprintSHA256(b.server.HostKey)
	if a.HostKey != "" {
		pin = a.HostKey
	}
	c := sshmachine.Config{Addr: b.proxy.Addr(), User: b.server.User, Auth: []ssh.AuthMethod{auth}, Trust: sshmachine.Pinned(pin),
		StepTimeout: 5 * time.Second}
	b.h.hidden(atValue, "sshmachine.Config", c, "%s", "%d")
	m, err := sshmachine.Dial(ctx, c)
	if err != nil {
		b.h.failure("Dial", err)
		return nil, err
	}
	b.h.hidden(atValue, "sshmachine.Machine", m, "%s", "%d")
	return m, nil
}

var _ runctl.Connector = (*box)(nil)
