package runctl

import (
	"context"
	"errors"
	"fmt"
)

// stocked refuses, before anything is spent, a plan whose job's inputs are not there, or whose results could not be delivered.
func stocked(ctx context.Context, p *plan) error {
	if p.job == nil {
		return nil
	}
	if err := atHand(ctx, *p.job, p.spec.Lifetime); err != nil {
		return &Error{Op: "start", Key: p.key, Kind: kindOf(err), NotStarted: true, Err: err}
	}
	return nil
}

// chooseOffers fills in the offers to try, cheapest first, each of them allowed by the spec.
func (c *Client) chooseOffers(ctx context.Context, p *plan) error {
	var candidates []Offer
	if p.spec.Offer != nil {
		candidates = []Offer{*p.spec.Offer}
	} else {
		q := p.spec.Needs
		q.Lifetime = max(q.Lifetime, p.spec.Lifetime)
		var joined error
		if candidates, joined = c.Offers(ctx, q); len(candidates) == 0 {
			if joined != nil {
				e := asError(joined, ErrUnavailable)
				e.NotStarted, e.Key = true, p.key
				return e
			}
			return c.noOffer(ctx, p, q)
		}
	}
	var refused error
	fits := c.fitting(ctx, p)
	for _, o := range candidates {
		err := c.allowed(p, o)
		if err == nil {
			err = fits.check(o)
		}
		if err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		p.offers = append(p.offers, o)
	}
	if len(p.offers) == 0 {
		e := asError(refused, ErrInvalid)
		e.Op, e.Key, e.NotStarted = "launch", p.key, true
		return e
	}
	return nil
}

// allowed checks one offer against the spec's consent: money, self-end, road, lifetime, place.
func (c *Client) allowed(p *plan, o Offer) error {
	a, err := c.account(o.Provider)
	if err != nil {
		return err
	}
	// One that the caller kept or made is not trusted more than one that a cloud gave.
	checked, ok := checkOffer(a, o)
	if !ok || o.Price.Hourly != checked.Price.Hourly {
		return invalid("Offer", "%q is not a whole offer of %s; take one from Offers", clip(oneLine(o.ID), 80), a.info.Name)
	}
	if err := checkMoney(p.spec, o); err != nil {
		return err
	}
	if !o.EndsItself && !p.spec.Unguarded {
		return invalid("Unguarded", "a machine of %s cannot end itself and bills until somebody terminates it; allow that with Unguarded, or choose another offer", o.Provider)
	}
	if o.MaxLifetime > 0 && p.spec.Lifetime > o.MaxLifetime {
		return invalid("Lifetime", "%s: %s allows at most %s", p.spec.Lifetime, o.Type, o.MaxLifetime)
	}
	if p.job == nil && o.Roads&RoadShell == 0 {
		return invalid("Offer", "a machine of %s at %s runs the one job that it is launched with; Start a job, or take an offer with the shell road", o.Type, a.info.Name)
	}
	if p.job != nil && c.road(a, o, p) == 0 {
		e := &Error{Provider: o.Provider, Kind: ErrInvalid, Scope: ScopeRequest, NotStarted: true, Err: errors.ErrUnsupported,
			Msg: fmt.Sprintf("Needs.Road: offer %s has no road for this job (it has: %s)", o.Type, o.Roads)}
		if what := p.job.needsShell(); what != "" {
			e.Msg += "; " + what + " needs the shell road"
		}
		return e
	}
	return checkPlace(a, o, p.job)
}

// road chooses how the job reaches a machine of the offer: as its only purpose where that is possible, or
// over a shell; 0 when neither fits.
func (c *Client) road(a *account, o Offer, p *plan) Road {
	want := p.spec.Needs.Road
	if want == 0 {
		want = RoadShell | RoadJob
	}
	_, runs := As[JobRunner](a.Provider)
	_, connects := As[Connector](a.Provider)
	switch {
	case p.job == nil:
		return RoadShell
	case runs && o.Roads&want&RoadJob != 0 && p.job.needsShell() == "":
		return RoadJob
	case connects && o.Roads&want&RoadShell != 0:
		return RoadShell
	}
	return 0
}
