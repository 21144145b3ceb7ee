package runpod

import (
	"context"
	"fmt"
	"net/url"
	"regexp"

	"runctl"
	"runctl/internal/newborn"
	"runctl/rest"
)

// Provider is a RunPod account. Make it with [New]; it may be used concurrently. Of what it saw it keeps the ids of the
// last minute's launches, and nothing else.
type Provider struct {
	cfg   Config
	api   *rest.Client
	young newborn.Set
}

// Info implements [runctl.Provider].
func (p *Provider) Info() runctl.Info {
	return runctl.Info{Name: p.cfg.Name, Kind: DefaultName, Settle: p.cfg.Settle, Rate: p.cfg.Rate,
		Markets: runctl.OnDemand, EndsItself: true, Region: "all data centers", Credentials: keyEnv}
}

// REST returns the client that the provider makes its requests with, for what else the API can do.
func (p *Provider) REST() *rest.Client { return p.api }

// Format prints whose provider it is, and not its key, whatever the verb.
func (p *Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "runpod.Provider(%s)", p.api.Base()) }

// Get implements [runctl.Provider]. RunPod forgets a pod when it is deleted: that is ErrNotFound. A pod that
// this provider created less than a minute ago, and that RunPod does not know yet, is ErrUnavailable.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	v, reply, err := p.pod(ctx, id)
	if err != nil {
		return runctl.Instance{}, err
	}
	return p.instance(v, reply.Date), nil
}

// pod reads one pod's record.
func (p *Provider) pod(ctx context.Context, id string) (*Pod, rest.Reply, error) {
	path, err := podPath(id)
	if err != nil {
		return nil, rest.Reply{}, err
	}
	v := &Pod{}
	reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: path}, v)
	if err == nil && v.ID != id {
		err = fmt.Errorf("asked for pod %s, the reply is about %q", id, clip(v.ID))
	}
	return v, reply, p.young.Judge(id, err)
}

// maxPages bounds a listing. A page has a thousand pods.
const maxPages = 200

// List implements [runctl.Provider]: every pod of the account that is no member of a cluster.
func (p *Provider) List(ctx context.Context, _ runctl.ListQuery) ([]runctl.Instance, error) {
	var all []runctl.Instance
	var query url.Values
	seen := map[string]bool{}
	for range maxPages {
		var page struct {
			Pods       *[]Pod
			Pagination struct{ NextCursor string }
		}
		reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/v2/pods", Query: query}, &page)
		switch {
		case err != nil:
			return nil, err
		case page.Pods == nil:
			return nil, fmt.Errorf("the listing has no pods in it, not even none")
		}
		for n := range *page.Pods {
			v := &(*page.Pods)[n]
			if v.ID == "" {
				return nil, fmt.Errorf("a pod of the listing has no id")
			}
			all = append(all, p.instance(v, reply.Date))
		}
		next := page.Pagination.NextCursor
		if next == "" {
			return all, nil
		}
		if seen[next] {
			break
		}
		seen[next] = true
		query = url.Values{"cursor": {next}}
	}
	return nil, fmt.Errorf("the listing does not end")
}

// Terminate implements [runctl.Provider]. It deletes the pod, and with it its disk; a network volume stays.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	path, err := podPath(id)
	if err != nil {
		return err
	}
	_, err = p.api.Do(ctx, rest.Request{Method: "DELETE", Path: path}, nil)
	return p.young.Judge(id, err)
}

var podID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// podPath is where a pod's record is. What cannot be an id is one that nobody has.
func podPath(id string) (string, error) {
	if !podID.MatchString(id) {
		return "", &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest, NotStarted: true, Msg: "this is not the id of a pod"}
	}
	return rest.Path("v2", "pods", id), nil
}

var (
	_ runctl.Provider = (*Provider)(nil)
	_ runctl.Stopper  = (*Provider)(nil)
)
