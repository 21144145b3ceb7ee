package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"runctl"
	"runctl/internal/nvidia"
)

// atOnce bounds how many hosts are asked at the same time: they may all lie behind one jump host.
const atOnce = 8

// Words for Offer.Avail.
const (
	availFree = "free"
	availHeld = "held"
)

// Info implements [runctl.Provider].
func (p *Provider) Info() runctl.Info {
	return runctl.Info{
		Name: p.name, Kind: "ssh", EndsItself: true,
		Idempotent:  true,            // a claim has its token from the moment on in which it exists
		Settle:      time.Nanosecond, // a List sees a claim at once
		Poll:        5 * time.Second,
		Markets:     runctl.OnDemand,
		Credentials: p.credentials,
	}
}

// Offers implements [runctl.Provider]: one offer for each host that answers, held or not, as Avail says. It is an
// error only when no host answers.
func (p *Provider) Offers(ctx context.Context, _ runctl.OfferQuery) ([]runctl.Offer, error) {
	all, errs := ask(ctx, p, "probe")
	var offers []runctl.Offer
	for n, h := range p.hosts {
		if errs[n] == nil {
			offers = append(offers, h.offer(p.name, all[n]))
		}
	}
	if len(offers) == 0 {
		return nil, p.unanswered("so there is nothing to offer", errs)
	}
	return offers, ctx.Err()
}

func (h *host) offer(name string, r report) runctl.Offer {
	o := runctl.Offer{
		Provider: name, ID: h.Name, Type: h.Name, Region: h.Region, Market: runctl.OnDemand,
		GPU: nvidia.Parse(r.gpus), VCPU: r.cores, Memory: r.mem, Disk: r.disk,
		Price: h.price(r), Avail: availFree,
		Roads: runctl.RoadShell, MaxLifetime: h.MaxLifetime, EndsItself: true, Keeps: true,
	}
	switch {
	case h.NoGPU:
		o.GPU = runctl.GPU{}
	case h.GPU != (runctl.GPU{}):
		o.GPU = h.GPU
		for _, m := range runctl.GPUModels() {
			if m.Name == o.GPU.Model {
				o.GPU.Memory = cmp.Or(o.GPU.Memory, m.Memory)
			}
		}
	}
	if len(r.claims) > 0 {
		o.Avail = availHeld
	}
	return o
}

func (h *host) price(r report) runctl.Price {
	return runctl.Price{Hourly: h.Price, Source: "own machine", At: r.time()}
}

// time is the host's wall clock when it answered.
func (r report) time() time.Time { return time.Unix(r.wall, 0).UTC() }

// ask calls a verb on every host at the same time.
func ask(ctx context.Context, p *Provider, verb string) ([]report, []error) {
	all, errs := make([]report, len(p.hosts)), make([]error, len(p.hosts))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for n, h := range p.hosts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			all[n], errs[n] = p.call(ctx, h, verb)
		})
	}
	wg.Wait()
	return all, errs
}

// call runs a verb on one host.
func (p *Provider) call(ctx context.Context, h *host, verb string, args ...string) (r report, err error) {
	err = h.use(ctx, p, func(m runctl.Machine) error {
		r, err = call(ctx, m, h.Root, verb, args...)
		return err
	})
	if e := (*runctl.Error)(nil); err != nil && !errors.As(err, &e) {
		err = fmt.Errorf("host %s: %w", h.Name, err)
	}
	return r, err
}

// unanswered joins the errors of the hosts that did not answer. Its kind is theirs, when they agree.
func (p *Provider) unanswered(so string, errs []error) error {
	e := &runctl.Error{Err: errors.Join(errs...)}
	var names []string
	for n, err := range errs {
		if err == nil {
			continue
		}
		kind := kindOf(err)
		if len(names) == 0 {
			e.Kind = kind
		} else if kind != e.Kind {
			e.Kind = runctl.ErrUnavailable
		}
		names = append(names, p.hosts[n].Name)
	}
	e.Msg = fmt.Sprintf("%s of %d hosts did not answer, %s; leave hosts that are away out of %s", strings.Join(names, ", "), len(p.hosts), so, hostsEnv)
	return e
}

// kindOf is an error's kind, ErrUnavailable where it has none.
func kindOf(err error) runctl.Kind {
	var k runctl.Kind
	errors.As(err, &k)
	return cmp.Or(k, runctl.ErrUnavailable)
}
