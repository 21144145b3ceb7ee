package torture

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// provider is a cloud in a directory: a machine is a file with its label, named after the launch's token. Every machine
// is the one host, whose address on loopback the client would not take from a cloud.
type provider struct {
	plan plan
}

var _ runctl.Connector = provider{}

func (p provider) Info() runctl.Info {
	return runctl.Info{Name: "host", Kind: "host", Idempotent: true, Settle: time.Millisecond, Poll: 50 * time.Millisecond, Markets: runctl.OnDemand}
}

func (p provider) Offers(context.Context, runctl.OfferQuery) ([]runctl.Offer, error) {
	return []runctl.Offer{{ID: "host", Type: "host", Market: runctl.OnDemand, Roads: runctl.RoadShell, EndsItself: true,
		Price: runctl.Price{Hourly: runctl.MoneyOf(0, "EUR"), Source: "free", At: time.Now()}}}, nil
}

func (p provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	tmp := filepath.Join(p.plan.Machines, "."+req.Token)
	if err := os.WriteFile(tmp, []byte(req.Label), 0o600); err != nil {
		return runctl.Instance{}, err
	}
	if err := os.Rename(tmp, filepath.Join(p.plan.Machines, req.Token)); err != nil {
		return runctl.Instance{}, err
	}
	return p.Get(ctx, req.Token)
}

func (p provider) Get(_ context.Context, id string) (runctl.Instance, error) {
	file := filepath.Join(p.plan.Machines, filepath.Base(id))
	label, err := os.ReadFile(file)
	if err != nil {
		return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrNotFound, Err: err}
	}
	about, err := os.Stat(file)
	if err != nil {
		return runctl.Instance{}, err
	}
	return runctl.Instance{ID: id, Label: string(label), State: runctl.StateRunning, Type: "host", Market: runctl.OnDemand,
		Road: runctl.RoadShell, Launched: about.ModTime(), Seen: time.Now()}, nil
}

func (p provider) List(ctx context.Context, _ runctl.ListQuery) (all []runctl.Instance, err error) {
	files, err := os.ReadDir(p.plan.Machines)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		i, err := p.Get(ctx, f.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, err
}

func (p provider) Terminate(_ context.Context, id string) error {
	return os.Remove(filepath.Join(p.plan.Machines, filepath.Base(id)))
}

func (p provider) Connect(ctx context.Context, _ runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	key, err := sshmachine.KeyFile(p.plan.KeyFile)
	if err != nil {
		return nil, err
	}
	trust := sshmachine.Pinned(p.plan.HostKey)
	if a.HostKey != "" {
		trust = sshmachine.Pinned(a.HostKey)
	}
	m, err := sshmachine.Dial(ctx, sshmachine.Config{Addr: p.plan.Addr, User: p.plan.User, Auth: []ssh.AuthMethod{key}, Trust: trust})
	if err != nil {
		return nil, err
	}
	return m, nil
}
