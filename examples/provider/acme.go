// Package acme is a runctl provider for a small invented cloud, whose machines run one job each. It shows what a provider is made of: auth,
// wire structs, one table of states, one of errors, and where the label goes. Retries, waiting,
// polling and reaping are the client's, and not here.
package acme

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// Config is what a provider is made of. APIKey and BaseURL are required.
type Config struct {
	APIKey, BaseURL string
	Transport       http.RoundTripper // nil: http.DefaultTransport
}

// Factory makes a provider from ACME_API_KEY and ACME_URL.
var Factory = runctl.Factory{Name: "acme", Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
	return New(Config{APIKey: get("ACME_API_KEY"), BaseURL: get("ACME_URL")})
}}

// states are Acme's words for the state of a machine. What is not here is StateUnknown, and bills.
var states = map[string]runctl.State{
	"starting": runctl.StatePending, "up": runctl.StateRunning, "ending": runctl.StateStopping, "gone": runctl.StateTerminated,
}

// refusals are Acme's own error codes. A reply with another code, or none, proves nothing.
var refusals = map[string]runctl.Error{
	"key":   {Kind: runctl.ErrAuth, Scope: runctl.ScopeAccount, NotStarted: true},
	"input": {Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true},
	"full":  {Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true},
	"limit": {Kind: runctl.ErrQuota, Scope: runctl.ScopeAccount, NotStarted: true},
	"pace":  {Kind: runctl.ErrRateLimit, Scope: runctl.ScopeAccount, NotStarted: true},
	"no vm": {Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest},
}

// Provider is an Acme account.
type Provider struct {
	cfg  Config
	http *http.Client
}

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Provider, error) {
	if cfg.APIKey == "" || cfg.BaseURL == "" {
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "acme: set ACME_API_KEY and ACME_URL"}
	}
	return &Provider{cfg: cfg, http: &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would take the key along
	}}, nil
}

// Info implements runctl.Provider. Acme has an idempotency key, and ends machines at their deadline.
func (p *Provider) Info() runctl.Info {
	return runctl.Info{Name: "acme", Kind: "acme", Idempotent: true, Markets: runctl.OnDemand, EndsItself: true, Credentials: "ACME_API_KEY"}
}

type size struct {
	Name  string
	GPU   string
	GPUs  int
	CPUs  int
	Price *float64 // US dollars an hour; null: on request
}

// Offers implements runctl.Provider.
func (p *Provider) Offers(ctx context.Context, _ runctl.OfferQuery) ([]runctl.Offer, error) {
	var reply struct{ Sizes []size }
	if _, err := p.call(ctx, "GET", "/sizes", nil, &reply); err != nil {
		return nil, err
	}
	var offers []runctl.Offer
	for _, s := range reply.Sizes {
		o := runctl.Offer{ID: s.Name, Type: s.Name, Market: runctl.OnDemand, VCPU: s.CPUs, GPU: runctl.GPU{Model: s.GPU, Count: s.GPUs},
			Roads: runctl.RoadJob, EndsItself: true, Keeps: true}
		if s.Price != nil {
			o.Price = runctl.Price{Hourly: runctl.USD(*s.Price), Source: "acme sizes", At: time.Now()}
		}
		offers = append(offers, o)
	}
	return offers, nil
}

type vm struct {
	ID, Label, Size, State, Address string
	Born                            time.Time
}

// Launch implements runctl.Provider. The label is the machine's name from this very request on.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	if req.Job == nil {
		return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: "acme: machines run one job"}
	}
	run, err := command(req.Job)
	if err != nil {
		return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Err: err}
	}
	var v vm
	date, err := p.call(ctx, "POST", "/vms", map[string]any{"label": req.Label, "size": req.Offer.ID, "once": req.Token,
		"run": run, "seconds": int(req.Lifetime.Seconds())}, &v)
	if err == nil && v.ID == "" {
		err = errors.New("acme: accepted, but the reply has no id")
	}
	if err != nil {
		return runctl.Instance{}, err
	}
	return instance(v, date), nil
}

// Get implements runctl.Provider.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	var v vm
	date, err := p.call(ctx, "GET", path(id), nil, &v)
	if err == nil && v.ID != id {
		err = fmt.Errorf("acme: the reply is about %q", v.ID)
	}
	if err != nil {
		return runctl.Instance{}, err
	}
	return instance(v, date), nil
}

// List implements runctl.Provider: all pages or an error.
func (p *Provider) List(ctx context.Context, _ runctl.ListQuery) ([]runctl.Instance, error) {
	var all []runctl.Instance
	seen := map[string]bool{}
	for after := ""; ; {
		var page struct {
			VMs  []vm
			Next string
		}
		date, err := p.call(ctx, "GET", "/vms?after="+after, nil, &page)
		if err != nil {
			return nil, err
		}
		for _, v := range page.VMs {
			all = append(all, instance(v, date))
		}
		if page.Next == "" {
			return all, nil
		}
		if after = page.Next; seen[after] || !idPattern.MatchString(after) || len(seen) > 10_000 {
			return nil, errors.New("acme: the listing does not end")
		}
		seen[after] = true
	}
}

// Terminate implements runctl.Provider.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	_, err := p.call(ctx, "DELETE", path(id), nil, nil)
	return err
}

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// path is where a machine is. What cannot be an id leads to where nothing is.
func path(id string) string {
	if !idPattern.MatchString(id) {
		id = "none"
	}
	return "/vms/" + id
}

func instance(v vm, date time.Time) runctl.Instance {
	return runctl.Instance{ID: v.ID, Label: v.Label, State: states[v.State], Reason: v.State, Type: v.Size, Addr: v.Address,
		Market: runctl.OnDemand, Road: runctl.RoadJob, Launched: v.Born, Seen: date, Native: v}
}

// call makes one request, and returns Acme's clock. A reply that is not as documented is an error
// without a kind: for a launch that means in doubt.
func (p *Provider) call(ctx context.Context, method, path string, in, out any) (time.Time, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return time.Time{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.cfg.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return time.Time{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.cfg.APIKey)
	resp, err := p.http.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return time.Time{}, err
	}
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return date, p.refusal(resp, date, text)
	}
	if out != nil {
		err = json.Unmarshal(text, out)
	}
	return date, err
}

func (p *Provider) refusal(resp *http.Response, date time.Time, text []byte) error {
	var said struct{ Code, Message string }
	_ = json.Unmarshal(text, &said)
	e := refusals[said.Code]
	if resp.StatusCode >= 500 {
		e = runctl.Error{}
	}
	e.Kind = cmp.Or(e.Kind, runctl.ErrUnavailable)
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(min(max(n, 0), 3600)) * time.Second
	} else if at, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil && !date.IsZero() {
		e.RetryAfter = max(at.Sub(date), 0)
	}
	e.Msg = "acme: " + resp.Status + ": " + strings.ReplaceAll(said.Message, p.cfg.APIKey, "[key]")
	return &e
}

var _ runctl.Provider = (*Provider)(nil)
