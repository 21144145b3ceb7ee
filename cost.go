package runctl

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Estimate is what a request would do, without doing it.
type Estimate struct {
	Offer    Offer // that would be tried first
	Road     Road  // that the job would take
	Lifetime time.Duration
	Max      Money // the offer's price × lifetime, compute only; unknown when the price is
	Others   int   // further offers that would be tried on a lack of capacity
}

// EstimateCost validates the request as Start does, chooses its offer, and spends nothing. A request that
// EstimateCost accepts is refused by Start only for what has changed since.
func (c *Client) EstimateCost(ctx context.Context, s RunSpec) (Estimate, error) {
	if s.Keep == 0 {
		s.Keep = defaultKeep
	}
	p, err := c.plan(ctx, s.launch(), &s.Job)
	if err != nil {
		return Estimate{}, err
	}
	if err := stocked(ctx, p); err != nil {
		return Estimate{}, err
	}
	if err := c.chooseOffers(ctx, p); err != nil {
		return Estimate{}, err
	}
	o := p.offers[0]
	return Estimate{Offer: o, Road: c.road(c.byName[o.Provider], o, p), Lifetime: s.Lifetime, Max: o.Cost(s.Lifetime), Others: len(p.offers) - 1}, nil
}

// ceiling is the hourly ceiling of a spec, the lowest of what it gives; unknown when it gives none.
func ceiling(s LaunchSpec) Money {
	m := s.MaxHourly
	if c, err := s.Needs.MaxHourly.Cmp(m); err == nil && c < 0 || !m.Known() {
		m = s.Needs.MaxHourly
	}
	return m
}

// bid is what a market with bids may charge an hour at most: the hourly ceiling, or the total one spread over the
// lifetime, whichever is lower.
func bid(s LaunchSpec) Money {
	m := ceiling(s)
	if !s.MaxCost.Known() || s.Lifetime <= 0 {
		return m
	}
	spread := Money{Nanos: int64(float64(s.MaxCost.Nanos) / (float64(s.Lifetime) / float64(time.Hour))), Currency: s.MaxCost.Currency}
	if c, err := spread.Cmp(m); err == nil && c < 0 || !m.Known() {
		return spread
	}
	return m
}

// checkMoney bounds what an offer may cost. An offer that is known to be free needs no ceiling.
func checkMoney(s LaunchSpec, o Offer) error {
	if o.Price.Free() {
		return nil
	}
	price := o.Price.Hourly
	if !ceiling(s).Known() && !s.MaxCost.Known() {
		if !price.Known() {
			return invalid("MaxHourly", "%s at %s has no known price; give MaxHourly or MaxCost, or choose a priced offer", o.Type, o.Provider)
		}
		return invalid("MaxHourly", "%s at %s costs %s an hour; give MaxHourly or MaxCost in %s", o.Type, o.Provider, price, price.Currency)
	}
	if !price.Known() {
		return nil // the ceiling goes to the provider with the request
	}
	for _, l := range []struct {
		field, what string
		cost, max   Money
	}{
		{"MaxHourly", "an hour", price, s.MaxHourly},
		{"Needs.MaxHourly", "an hour", price, s.Needs.MaxHourly},
		{"MaxCost", fmt.Sprintf("for its lifetime of %s", s.Lifetime), o.Cost(s.Lifetime), s.MaxCost},
	} {
		if !l.max.Known() {
			continue
		}
		n, err := l.cost.Cmp(l.max)
		if err != nil {
			return invalid(l.field, "%s at %s is priced in %s, the ceiling is in %s; give it in %s", o.Type, o.Provider, price.Currency, l.max.Currency, price.Currency)
		}
		if n > 0 {
			return invalid(l.field, "%s at %s costs %s %s, the ceiling is %s; raise it or choose a cheaper offer", o.Type, o.Provider, l.cost, l.what, l.max)
		}
	}
	return nil
}

// noOffer explains why nothing matches: it names the cheapest offer that the ceiling alone excludes.
func (c *Client) noOffer(ctx context.Context, p *plan, q OfferQuery) error {
	e := &Error{Op: "offers", Key: p.key, Kind: ErrNotFound, Scope: ScopeRequest, NotStarted: true}
	what := q.GPU.String()
	if q.GPU == (GPU{}) {
		what = "offer"
	}
	if top := q.MaxHourly; top.Known() {
		q.MaxHourly = Money{}
		if more, _ := c.Offers(ctx, q); len(more) > 0 {
			o := more[0]
			e.Msg = fmt.Sprintf("no %s at or below %s an hour: cheapest is %s (%s %s). Raise the ceiling", what, top,
				o.Price.Hourly, o.Provider, cmp.Or(o.Region, o.Type))
			return e
		}
	}
	e.Msg = fmt.Sprintf("no %s matches what is needed; see Offers for what there is", what)
	return e
}
