package runctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// plan is a validated request: what every launch, with or without a job, boils down to.
type plan struct {
	spec   LaunchSpec
	key    string
	minted bool // the key is new: no machine can carry it yet
	digest string
	job    *Job // nil: a machine by hand
	offers []Offer
}

// Launch starts one machine and returns when the cloud has accepted it, not when it is usable. The same
// key always means the same machine: Launch adopts what an earlier call, here or in a process that has
// crashed, has started under it.
//
// A nil error means exactly one machine. After an error there is at most one: of kind ErrUncertain when it
// may exist and bill, and then the same key adopts it and Reap ends it after its lifetime. On a certain
// lack of capacity or quota the next offer that the spec allows is tried. The context is looked at before a
// request is sent; a request that was sent is finished, so that a cancel makes no doubt.
func (c *Client) Launch(ctx context.Context, s LaunchSpec) (Instance, error) {
	p, err := c.plan(ctx, s, nil)
	if err != nil {
		return Instance{}, err
	}
	i, _, err := c.launch(ctx, p)
	return i, err
}

// launch is the launch rule, once, for all providers and both roads. found: the key had its machine already.
func (c *Client) launch(ctx context.Context, p *plan) (i Instance, found bool, err error) {
	st, err := c.lockKey(ctx, p.key)
	if err != nil {
		return Instance{}, false, err
	}
	defer c.unlockKey(st)
	if st.known() && st.digest != p.digest {
		return Instance{}, false, c.keyReused(p)
	}
	if i, found, err := c.settled(ctx, p, st); err != nil || found {
		return i, found, err
	}
	if err := stocked(ctx, p); err != nil { // a run that is there already has what it needs
		return Instance{}, false, err
	}
	if err := c.chooseOffers(ctx, p); err != nil {
		return Instance{}, false, err
	}
	var refusals []error
	for n := 0; n < len(p.offers); n++ {
		o := p.offers[n]
		if blocked(o, refusals, p.offers[:n]) {
			refusals = append(refusals, nil)
			continue
		}
		i, err := c.try(ctx, p, st, o)
		if err == nil {
			return i, false, nil
		}
		if !mayFailOver(err) {
			return Instance{}, false, err
		}
		refusals = append(refusals, err)
	}
	return Instance{}, false, &Error{Op: "launch", Key: p.key, Kind: ErrCapacity, NotStarted: true, Err: errors.Join(refusals...),
		Msg: fmt.Sprintf("none of %d matching offers could be launched; nothing was started", len(p.offers))}
}

// settled finds out what the key already stands for: a machine that is known, a doubt that has to be
// resolved first, or a machine that an earlier process launched.
func (c *Client) settled(ctx context.Context, p *plan, st *keyState) (Instance, bool, error) {
	if st.doubt != nil {
		a := st.doubt.account
		i, found, err := c.resolve(ctx, p, st)
		if err != nil {
			return i, false, err
		}
		if found {
			if i, err = c.started(ctx, p, st, a, Offer{}, i); err == nil && !i.State.Billing() {
				i, err = Instance{}, c.keySpent(p, a.info.Name, i.ID)
			}
			return i, true, err
		}
	}
	if st.id != "" {
		a, err := c.account(st.provider)
		if err != nil {
			return Instance{}, false, err
		}
		i, err := c.get(ctx, a, st.id, p.key)
		switch {
		case errors.Is(err, ErrNotFound), err == nil && !i.State.Billing():
			return Instance{}, false, c.keySpent(p, st.provider, st.id)
		case err != nil:
			return Instance{}, false, err
		}
		c.trace(Event{Name: EventAdopted, Provider: i.Provider, ID: i.ID, Key: p.key})
		return i, true, nil
	}
	if p.minted {
		return Instance{}, false, nil
	}
	for _, a := range c.providers {
		if p.spec.Offer != nil && p.spec.Offer.Provider != a.info.Name {
			continue
		}
		i, found, err := c.adoptable(ctx, p, a, -1)
		if err != nil {
			e := asError(err, ErrUnavailable)
			e.NotStarted, e.Key = true, p.key
			if e.Msg == "" {
				e.Msg = "cannot tell whether the key already has a machine here, so none was launched; repeat later, or leave this provider out"
			}
			return Instance{}, false, e
		}
		if found {
			st.started(i)
			c.trace(Event{Name: EventAdopted, Provider: i.Provider, ID: i.ID, Key: p.key})
			return i, true, nil
		}
	}
	return Instance{}, false, nil
}

// adoptable looks in one complete list for the machine of the plan's key. maxAge bounds its age by the
// cloud's clock: a machine that was born before our request is a copy of an older one; -1 means any.
func (c *Client) adoptable(ctx context.Context, p *plan, a *account, maxAge time.Duration) (Instance, bool, error) {
	s := c.fresh(ctx, a)
	if s.err != nil {
		return Instance{}, false, s.err
	}
	var best *Instance
	var other bool
	for n := range s.list {
		i := &s.list[n]
		if i.Mark.Key != p.key || maxAge >= 0 && i.Age() > maxAge {
			continue
		}
		if i.Mark.Digest != p.digest {
			other = true
			continue
		}
		if best == nil || older(*i, *best) {
			best = i
		}
	}
	switch {
	case best == nil && other:
		return Instance{}, false, c.keyReused(p)
	case best == nil:
		return Instance{}, false, nil
	case maxAge < 0 && (!best.State.Billing() || best.Age() > best.Mark.Lifetime):
		return Instance{}, false, c.keySpent(p, a.info.Name, best.ID)
	}
	return *best, true, nil
}

// older orders machines of one mark: the oldest is the original, whatever has become of it.
func older(a, b Instance) bool {
	if !a.Launched.Equal(b.Launched) {
		return a.Launched.Before(b.Launched)
	}
	return a.ID < b.ID
}

// try launches one offer: one request, and whatever it takes to know its outcome. The error is certain,
// except for ErrUncertain.
func (c *Client) try(ctx context.Context, p *plan, st *keyState, o Offer) (Instance, error) {
	a, err := c.account(o.Provider)
	if err != nil {
		return Instance{}, err
	}
	req := c.request(p, st, a, o)
	giveUp := time.Now().Add(c.cfg.Deadlines.Doubt)
	for strike := 1; ; strike++ {
		err := a.pacer.wait(ctx) // whoever leaves before the request is sent launches nothing;
		if err == nil {
			err = c.open(ctx) // afterwards a cancel would make doubt
		}
		if err != nil {
			e := asError(c.wrap(a, Event{Op: "launch", Key: p.key}, err), "")
			e.NotStarted = true
			return Instance{}, e
		}
		if err := c.intend(IntentLaunching, p, st, a, "", &o); err != nil {
			return Instance{}, err
		}
		c.trace(Event{Name: EventLaunching, Provider: a.info.Name, Key: p.key, Offer: &o})
		d := &doubt{account: a, req: req, began: time.Now()}
		i, err := c.send(ctx, p, a, req)
		d.ended = time.Now()
		if err == nil && !i.State.Billing() && i.Age() > time.Since(d.began)+birthSlack {
			return Instance{}, c.keySpent(p, a.info.Name, i.ID) // the token of an earlier life
		}
		if err == nil {
			return c.started(ctx, p, st, a, o, i)
		}
		e := asError(err, ErrUnavailable)
		if !e.NotStarted {
			st.doubt, st.digest = d, p.digest
			_ = c.intend(IntentDoubt, p, st, a, "", nil)
			c.trace(Event{Name: EventDoubt, Provider: a.info.Name, Key: p.key, Err: err})
			i, found, err := c.resolve(ctx, p, st)
			if err != nil {
				return Instance{}, err
			}
			if found {
				return c.started(ctx, p, st, a, o, i)
			}
			e.Kind, e.NotStarted = ErrUnavailable, true
			if time.Now().Before(giveUp) && strike < 4 {
				continue // proven not started: the same request may be made again
			}
			e.Msg = "the launch failed, and a complete list shows that nothing was started; try again later"
			return Instance{}, e
		}
		_ = c.intend(IntentRefused, p, st, a, "", nil)
		c.trace(Event{Name: EventRefused, Provider: a.info.Name, Key: p.key, Err: err})
		if e.Kind == ErrRateLimit && time.Now().Add(e.RetryAfter).Before(giveUp) {
			continue // the pacer waits
		}
		st.trial++
		return Instance{}, e
	}
}

// request makes what the provider gets. The token differs between attempts, offers and markets.
func (c *Client) request(p *plan, st *keyState, a *account, o Offer) LaunchRequest {
	m := Mark{Owner: c.cfg.Owner, Key: p.key, Controller: c.cfg.Controller, Lifetime: p.spec.Lifetime, Digest: p.digest}
	label := m.Label(c.cfg.Secret)
	r := LaunchRequest{
		Label: label, Token: "rc1-" + shortHash(40, label, strconv.Itoa(st.trial), o.ID, o.Zone, o.Market.String()),
		Offer: o, Lifetime: p.spec.Lifetime, Keep: p.spec.Keep, Image: p.spec.Image, Disk: p.spec.Disk,
		AuthorizedKey: c.authorizedKey(label),
	}
	r.MaxHourly = bid(p.spec)
	r.Options = c.optionsFor(a, p.spec)
	if p.job != nil && c.road(a, o, p) == RoadJob {
		j := *p.job
		r.Job = &j
	}
	// Of a machine by hand nobody knows what will be on it.
	r.KeepDisk = o.Keeps && (p.job == nil || len(p.job.Outputs) > 0 && !p.job.DiscardOutputs)
	r.Boot = bootScript(a, r, p.job)
	return r
}

// send makes the launch request, under its own deadline whatever becomes of the caller, who has waited for
// the pacer.
func (c *Client) send(ctx context.Context, p *plan, a *account, req LaunchRequest) (Instance, error) {
	i, err := paced(context.WithoutCancel(ctx), c, a, Event{Op: "launch", Key: p.key}, c.cfg.Deadlines.Launch,
		func(ctx context.Context) (Instance, error) { return a.Launch(ctx, req) })
	if err != nil {
		return Instance{}, err
	}
	i, ok := c.checkInstance(a, i)
	if !ok {
		return Instance{}, &Error{Provider: a.info.Name, Op: "launch", Key: p.key, Kind: ErrUnavailable,
			Msg: "the cloud accepted the launch but gave no usable id"}
	}
	return i, nil
}

// started accepts a machine as the plan's. One whose label was cut could be found by nobody, so it is ended
// at once.
func (c *Client) started(ctx context.Context, p *plan, st *keyState, a *account, o Offer, i Instance) (Instance, error) {
	if i.Mark.Key != p.key || i.Mark.Digest != p.digest {
		free := context.WithoutCancel(ctx)
		err := c.end(free, a, i.ID, p.key)
		return Instance{}, &Error{Provider: a.info.Name, Op: "launch", ID: i.ID, Key: p.key, Kind: ErrUnavailable, NotStarted: err == nil,
			MayBill: err != nil, Err: err, Msg: fmt.Sprintf("the machine does not carry its mark (it has %q), so it was ended: "+
				"use a shorter owner or key, or another provider", text(i.Label))}
	}
	if !i.Price.Hourly.Known() {
		i.Price = o.Price
	}
	st.started(i)
	if err := c.intend(IntentStarted, p, st, a, i.ID, nil); err != nil {
		c.log.Warn("the intent log was not written", "key", p.key, "id", i.ID, "error", err)
	}
	c.trace(Event{Name: EventLaunched, Provider: a.info.Name, ID: i.ID, Key: p.key, Offer: &o})
	c.log.Info("launched", "provider", a.info.Name, "id", i.ID, "key", p.key, "type", o.Type, "price", o.Price.Hourly.String())
	return i, nil
}

func (c *Client) keyReused(p *plan) error {
	return &Error{Op: "launch", Key: p.key, Kind: ErrConflict, Scope: ScopeRequest, NotStarted: true,
		Msg: "the key was used for a different request; repeat that one, or choose another key"}
}

func (c *Client) keySpent(p *plan, provider, id string) error {
	return &Error{Provider: provider, Op: "launch", ID: id, Key: p.key, Kind: ErrConflict, Scope: ScopeRequest, NotStarted: true,
		Msg: "the key's machine has already ended; a new attempt needs a new key"}
}
