package toycloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// Provider is the reference. Its tables are fields, so that a test can get one of them wrong.
type Provider struct {
	Cloud   *Cloud // the shell and the notices go past HTTP
	Base    string
	Key     string
	HTTP    *http.Client
	MaxBody int64
	Pages   int                    // the most that a listing may have
	Cursors bool                   // a cursor that comes back is an error
	Path    func(id string) string // of a machine's record
	About   runctl.Info
	States  map[string]runctl.State
	Errors  map[string]runctl.Error // by the cloud's code
}

// NewProvider returns the reference provider for the account.
func NewProvider(c *Cloud, base string, net http.RoundTripper) *Provider {
	return &Provider{
		Cloud: c, Base: base, Key: c.key, MaxBody: 64 << 10, Pages: 100, Cursors: true, Path: vmPath,
		HTTP: &http.Client{Transport: net, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		About: runctl.Info{Name: "toy", Kind: "toy", Idempotent: true, Settle: time.Second, Exits: true, Boots: true,
			Markets: runctl.OnDemand | runctl.Spot, Region: "north", EndsItself: true},
		States: map[string]runctl.State{
			Booting: runctl.StatePending, Active: runctl.StateRunning, Pausing: runctl.StateStopping,
			Paused: runctl.StateStopped, Shredding: runctl.StateStopping, Shredded: runctl.StateTerminated,
		},
		Errors: map[string]runctl.Error{
			"bad_key":        {Kind: runctl.ErrAuth, Scope: runctl.ScopeAccount, NotStarted: true},
			"bad_request":    {Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true},
			"no_such_flavor": {Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true},
			"no_such_vm":     {Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest},
			"gone":           {Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest},
			"sold_out":       {Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true},
			"your_limit":     {Kind: runctl.ErrQuota, Scope: runctl.ScopeAccount, NotStarted: true},
			"no_money":       {Kind: runctl.ErrPayment, Scope: runctl.ScopeAccount, NotStarted: true},
			"slow_down":      {Kind: runctl.ErrRateLimit, Scope: runctl.ScopeAccount, NotStarted: true},
		},
	}
}

// Info implements runctl.Provider.
func (p *Provider) Info() runctl.Info { return p.About }

// Offers implements runctl.Provider.
func (p *Provider) Offers(ctx context.Context, _ runctl.OfferQuery) ([]runctl.Offer, error) {
	var offers []runctl.Offer
	err := pages(ctx, p, "/v1/flavors?", func(f Flavor, _ http.Header) {
		market := runctl.OnDemand
		if f.Spot {
			market = runctl.Spot
		}
		offers = append(offers, runctl.Offer{
			ID: f.Name, Type: f.Name, Region: f.Region, Market: market, VCPU: f.VCPUs, Memory: f.MiB,
			GPU:   runctl.GPU{Model: f.GPU, Count: f.GPUs, Memory: f.GPUMiB},
			Price: runctl.Price{Hourly: money(f.Price, f.Currency), Source: "flavors", At: time.Now()},
			Roads: runctl.RoadShell | runctl.RoadJob, EndsItself: true,
		})
	})
	if err != nil {
		return nil, err
	}
	return offers, nil
}

// Launch implements runctl.Provider.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	body := launch{Name: req.Label, Flavor: req.Offer.ID, Spot: req.Offer.Market == runctl.Spot, Hours: req.Lifetime.Hours(), Boot: req.Boot}
	if req.Job != nil {
		body.Args = req.Job.Args
	}
	var v VM
	head, err := p.call(ctx, "POST", "/v1/vms", body, &v, "Idempotency-Key", req.Token)
	if err != nil {
		return runctl.Instance{}, err
	}
	if v.ID == "" {
		return runctl.Instance{}, errors.New("toy: the launch was accepted, but the reply has no id")
	}
	i := p.instance(v, head)
	if req.Job != nil {
		i.Road = runctl.RoadJob
	}
	return i, nil
}

// Get implements runctl.Provider.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	var v VM
	head, err := p.call(ctx, "GET", p.Path(id), nil, &v)
	if err != nil {
		return runctl.Instance{}, err
	}
	if v.ID != id {
		return runctl.Instance{}, fmt.Errorf("toy: asked for %q, the reply is about %q", id, v.ID)
	}
	return p.withExit(p.instance(v, head)), nil
}

// List implements runctl.Provider.
func (p *Provider) List(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
	path := "/v1/vms?"
	if q.Owner != "" {
		path += "prefix=rc1-" + url.QueryEscape(q.Owner) + "-&"
	}
	var all []runctl.Instance
	err := pages(ctx, p, path, func(v VM, head http.Header) { all = append(all, p.withExit(p.instance(v, head))) })
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Terminate implements runctl.Provider.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	_, err := p.call(ctx, "DELETE", p.Path(id), nil, nil)
	return err
}

// Stop implements runctl.Stopper.
func (p *Provider) Stop(ctx context.Context, id string) error {
	_, err := p.call(ctx, "POST", p.Path(id)+"/pause", nil, nil)
	return err
}

// Start implements runctl.Stopper.
func (p *Provider) Start(ctx context.Context, id string) error {
	_, err := p.call(ctx, "POST", p.Path(id)+"/resume", nil, nil)
	return err
}

// Changed implements runctl.Notifier.
func (p *Provider) Changed() <-chan struct{} { return p.Cloud.Changed() }

// Account returns the account that the provider enters.
func (p *Provider) Account() *Cloud { return p.Cloud }

// Connect implements runctl.Connector.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	m := &Machine{Cloud: p.Cloud, ID: i.ID}
	if !m.alive() {
		return nil, &runctl.Error{Kind: runctl.ErrNotFound}
	}
	if key, _ := m.HostKey(); a.HostKey != "" && a.HostKey != key {
		return nil, &runctl.Error{Kind: runctl.ErrHostKey, Err: errors.New("toy: the machine shows " + key + ", not " + a.HostKey)}
	}
	return m, ctx.Err()
}

// vmPath is where a machine's record is. What cannot be an id leads to one that nobody has.
func vmPath(id string) string {
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-@") != "" {
		id = "-"
	}
	return "/v1/vms/" + id
}

func (p *Provider) instance(v VM, head http.Header) runctl.Instance {
	i := runctl.Instance{
		ID: v.ID, Label: v.Name, State: p.States[v.State], Reason: v.State, Type: v.Flavor, Region: v.Region,
		Market: runctl.OnDemand, Road: runctl.RoadShell, Launched: v.Created, Native: v,
		Price: runctl.Price{Hourly: money(v.Price, "EUR"), Source: "vm"},
	}
	if v.Spot {
		i.Market = runctl.Spot
	}
	i.Seen, _ = http.ParseTime(head.Get("Date"))
	return i
}

// withExit fills in how the machine's job has ended. The cloud's listing has it, in this toy by a look aside.
func (p *Provider) withExit(i runctl.Instance) runctl.Instance {
	p.Cloud.mu.Lock()
	v := p.Cloud.find(i.ID)
	p.Cloud.mu.Unlock()
	if v == nil || v.job == nil {
		return i
	}
	i.Road = runctl.RoadJob
	i.Exit = receipt(v.job.state())
	return i
}

func money(amount *string, currency string) runctl.Money {
	if amount == nil {
		return runctl.Money{}
	}
	x, err := strconv.ParseFloat(*amount, 64)
	if err != nil {
		return runctl.Money{}
	}
	return runctl.MoneyOf(x, currency)
}

// call makes one request. A reply that is not the documented one is an unclassified error.
func (p *Provider) call(ctx context.Context, method, path string, in, out any, header ...string) (http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.Base+path, body)
	if err != nil {
		return nil, &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: "toy: bad request"}
	}
	req.Header.Set("X-Api-Key", p.Key)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, p.MaxBody))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, p.refusal(resp, text)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = text
		return resp.Header, nil
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fmt.Errorf("toy: unreadable reply: %w", err)
		}
	}
	return resp.Header, nil
}

// refusal classifies an error reply by the cloud's own code; whatever has none stays unclassified.
func (p *Provider) refusal(resp *http.Response, text []byte) error {
	var said struct{ Code, Text string }
	_ = json.Unmarshal(text, &said)
	e, ok := p.Errors[said.Code]
	if !ok || resp.StatusCode >= 500 {
		e = runctl.Error{Kind: runctl.ErrUnavailable}
	}
	e.RetryAfter = RetryAfter(resp.Header)
	e.Msg = strings.ReplaceAll(fmt.Sprintf("toy: status %d: %s %s", resp.StatusCode, said.Code, said.Text), p.Key, "[key]")
	return &e
}

// RetryAfter reads both forms of the header.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), 3600)) * time.Second
	}
	at, err := http.ParseTime(v)
	now, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil {
		return 0
	}
	return max(at.Sub(now), 0)
}
