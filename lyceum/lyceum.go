package lyceum

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"runctl"
	"runctl/internal/newborn"
	"runctl/rest"
)

// Provider is a Lyceum organisation. Make it with [New]; it may be used concurrently. Of what it saw it keeps prices for
// an hour, the last runs for a minute, and what it launched itself in the last hour.
type Provider struct {
	cfg     Config
	api     *rest.Client
	streams *rest.Client // the same host, without the API's prefix
	young   newborn.Set
	prices  cached[map[string]runctl.Money]
	kinds   cached[map[string]runctl.Money]
	past    cached[[]Run]
	known   known
}

// Info implements [runctl.Provider]. Runs end themselves and machines do not: offers tell.
func (p *Provider) Info() runctl.Info {
	return runctl.Info{Name: p.cfg.Name, Kind: DefaultName, Settle: p.cfg.Settle, Rate: p.cfg.Rate,
		Markets: runctl.OnDemand | runctl.Spot, Credentials: keyEnv}
}

// REST returns the client that the provider makes its requests with, for what else the API can do.
func (p *Provider) REST() *rest.Client { return p.api }

// Format prints whose provider it is, and not its key, whatever the verb.
func (p *Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "lyceum.Provider(%s)", p.api.Base()) }

// Get implements [runctl.Provider] with one request for a machine, and one to three for a run, whose record does not
// tell its label. What this provider created less than a minute ago, and Lyceum does not know yet, is ErrUnavailable.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	run, name, err := parseID(id)
	if err != nil {
		return runctl.Instance{}, err
	}
	if !run {
		v, reply, err := p.vm(ctx, name)
		if err != nil {
			return runctl.Instance{}, err
		}
		return v.instance(reply.Date), nil
	}
	r, reply, err := p.run(ctx, name)
	if err == nil {
		r, err = p.labelled(ctx, r)
	}
	if err != nil {
		return runctl.Instance{}, err
	}
	return r.instance(reply.Date), nil
}

// vm reads one machine.
func (p *Provider) vm(ctx context.Context, name string) (*VM, rest.Reply, error) {
	v := &VM{}
	reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: rest.Path("vms", name, "status")}, v)
	if err == nil && string(v.ID) != name {
		err = fmt.Errorf("asked for machine %s, the reply is about %q", name, clip(v.ID))
	}
	return v, reply, p.young.Judge(vmPrefix+name, err)
}

// run reads one run's record. It need not repeat the id.
func (p *Provider) run(ctx context.Context, name string) (*Run, rest.Reply, error) {
	r := &Run{}
	reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: rest.Path("execution", name)}, r)
	switch {
	case err != nil:
	case r.ID != "" && string(r.ID) != name:
		err = fmt.Errorf("asked for run %s, the reply is about %q", name, clip(r.ID))
	case r.ID == "" && r.Status == "":
		err = fmt.Errorf("asked for run %s, the reply is about none", name)
	}
	r.ID = Text(name)
	return r, reply, p.young.Judge(runPrefix+name, err)
}

// List implements [runctl.Provider] with a request for the machines, one for the runs that go on and, at most once a
// minute unless something has changed, one or two for those that have ended. Dead machines, which Lyceum would list for ever, are left out.
func (p *Provider) List(ctx context.Context, _ runctl.ListQuery) ([]runctl.Instance, error) {
	var page struct {
		VMs *[]VM `json:"vms"`
	}
	reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: vmsPath,
		Query: url.Values{"include_terminated": {"false"}, "include_failed": {"false"}}}, &page)
	switch {
	case err != nil:
		return nil, err
	case page.VMs == nil:
		return nil, errors.New("the listing has no machines in it, not even none")
	}
	var all []runctl.Instance
	seen := map[string]bool{}
	for n := range *page.VMs {
		v := &(*page.VMs)[n]
		if v.ID == "" {
			return nil, errors.New("a machine of the listing has no id")
		}
		if i := v.instance(reply.Date); i.State.Billing() && !seen[i.ID] {
			all, seen[i.ID] = append(all, i), true
		}
	}
	runs, seenAt, err := p.runs(ctx)
	for n := range runs {
		if i := runs[n].instance(seenAt); !seen[i.ID] {
			all, seen[i.ID] = append(all, i), true
		}
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Terminate implements [runctl.Provider]. It deletes a machine, and with it its disk, or aborts a run, which takes a while.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	run, name, err := parseID(id)
	if err != nil {
		return err
	}
	if run {
		_, err = p.abort(ctx, name)
		return err
	}
	_, err = p.api.Do(ctx, rest.Request{Method: "DELETE", Path: rest.Path("vms", name)}, nil)
	return p.young.Judge(id, err)
}

// abort asks for a run's end. One that is over is unknown to the call for that, so its record decides.
func (p *Provider) abort(ctx context.Context, name string) (accepted bool, err error) {
	_, err = p.api.Do(ctx, rest.Request{Method: "POST", Path: rest.Path("workloads", "abort", name)}, nil)
	if !errors.Is(err, runctl.ErrNotFound) {
		return err == nil, err
	}
	r, _, look := p.run(ctx, name)
	switch {
	case look != nil:
		return false, look
	case r.state() == runctl.StateTerminated:
		return false, nil
	}
	return false, &runctl.Error{Kind: runctl.ErrUnavailable, Err: newborn.NotYet(err),
		Msg: "Lyceum does not abort the run, which is " + clip(r.Status) + ": ask again"}
}

var opaque = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,124}$`)

// parseID tells what an instance is, and its name at Lyceum. What cannot be an id is one that nobody has.
func parseID(id string) (run bool, name string, err error) {
	name, run = strings.CutPrefix(id, runPrefix)
	if !run {
		var vm bool
		if name, vm = strings.CutPrefix(id, vmPrefix); !vm {
			name = ""
		}
	}
	if !opaque.MatchString(name) {
		return false, "", &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest, NotStarted: true,
			Msg: "this is the id of neither a machine (" + vmPrefix + "…) nor a run (" + runPrefix + "…)"}
	}
	return run, name, nil
}

var _ runctl.Provider = (*Provider)(nil)
