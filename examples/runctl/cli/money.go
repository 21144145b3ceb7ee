package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"runctl"
)

// defaultLifetime is that of an offer that costs nothing.
const defaultLifetime = 24 * time.Hour

// nothing ends every refusal before a launch.
const nothing = "Nothing was launched"

// prepareSpec completes the spec from the first offer that fits: lifetime, ceiling, and what has to be
// accepted beside the price. It returns the estimate and spends nothing.
func (x *session) prepareSpec(ctx context.Context, spec *runctl.RunSpec, n *needs, c *consent) (runctl.Estimate, error) {
	var none runctl.Estimate
	shell := spec.Job.Code != nil || spec.Job.Lease > 0 || carries(spec.Job)
	needs := spec.Needs
	needs.Lifetime = max(needs.Lifetime, time.Duration(c.lifetime)) // what ends sooner is not what is launched
	o, err := x.firstOffer(ctx, needs, runctl.Money(n.maxPrice), shell)
	if err != nil {
		return none, err
	}
	if shell && hasShell(o) {
		spec.Needs.Road = runctl.RoadShell
	}
	spec.Lifetime, spec.Keep = time.Duration(c.lifetime), time.Duration(c.keep)
	spec.MaxHourly, spec.MaxCost = runctl.Money(n.maxPrice), runctl.Money(c.maxCost)
	price := o.Price.Hourly
	switch {
	case spec.Lifetime == 0 && o.Price.Free():
		spec.Lifetime = defaultLifetime
	case spec.Lifetime == 0:
		return none, usagef("--lifetime is required on a priced offer, for example --lifetime 12h (RUNCTL_LIFETIME sets a default). %s.", nothing)
	}
	switch {
	case o.Price.Free():
	case !price.Known() && !spec.MaxHourly.Known() && !spec.MaxCost.Known():
		return none, usagef("%s has no known price: give --max-price or --max-cost. %s.", placeText(o), nothing)
	case spec.MaxCost.Known():
		if n, err := o.Cost(spec.Lifetime).Cmp(spec.MaxCost); err == nil && n > 0 {
			return none, usagef("%s at %s/h for %s comes to %s, above --max-cost %s. Raise it or shorten --lifetime. %s.", placeText(o),
				moneyText(price), durText(spec.Lifetime), costText(o.Cost(spec.Lifetime)), moneyText(spec.MaxCost), nothing)
		}
	case !spec.MaxHourly.Known():
		spec.MaxHourly = price // the price that is shown
	}
	spec.Unguarded = !o.EndsItself
	spec.Job.DiscardOutputs = len(spec.Job.Outputs) > 0 && o.EndsItself && !o.Keeps
	return x.client.EstimateCost(ctx, *spec)
}

func hasShell(o runctl.Offer) bool { return o.Roads&runctl.RoadShell != 0 }

// firstOffer is the offer that a launch would try first: one with a shell, where a job needs that and there is any.
func (x *session) firstOffer(ctx context.Context, q runctl.OfferQuery, top runctl.Money, shell bool) (runctl.Offer, error) {
	offers, err := x.client.Offers(ctx, q)
	if shell && slices.ContainsFunc(offers, hasShell) {
		offers = slices.DeleteFunc(offers, func(o runctl.Offer) bool { return !hasShell(o) })
	}
	if len(offers) == 0 && err != nil {
		return runctl.Offer{}, err
	}
	if err != nil {
		x.say.warnf("%v", err)
	}
	what := "offer"
	if q.GPU != (runctl.GPU{}) {
		what = q.GPU.String()
	}
	if len(offers) == 0 {
		return runctl.Offer{}, fmt.Errorf("no %s matches what is needed; runctl offers lists what there is. %s", what, nothing)
	}
	if !top.Known() {
		return offers[0], nil
	}
	q.MaxHourly = top
	cheapest := offers[0]
	for _, o := range offers {
		if q.Match(o) {
			return o, nil
		}
		if n, err := o.Price.Hourly.Cmp(cheapest.Price.Hourly); err == nil && n < 0 {
			cheapest = o
		}
	}
	return runctl.Offer{}, fmt.Errorf("no %s at or below %s/h: cheapest is %s (%s %s). Raise --max-price. %s", what, moneyText(top),
		moneyText(cheapest.Price.Hourly), cheapest.Provider, cmp.Or(cheapest.Zone, cheapest.Region, cheapest.Type), nothing)
}

// silenceText is what becomes of a job that nobody watches.
func silenceText(lease time.Duration) string {
	if lease > 0 {
		return fmt.Sprintf("ends %s after nobody watches it any more (--lease)", durText(lease))
	}
	return "silence never ends it"
}

// planText is what will be launched, what it costs at most, and what becomes of it when nobody watches.
func (x *session) planText(name string, e runctl.Estimate, lease time.Duration) string {
	return x.placePlan(name, e) + "; " + silenceText(lease)
}

func (x *session) placePlan(name string, e runctl.Estimate) string {
	o, until := e.Offer, x.clock(x.now().Add(e.Lifetime))
	if o.Price.Free() {
		return fmt.Sprintf("%s on %s (%s), no price, ends by %s (%s)", name, placeText(o), shapeText(o), until, durText(e.Lifetime))
	}
	market := ""
	if o.Market == runctl.Spot {
		market = " spot"
	}
	return fmt.Sprintf("%s on %s%s at %s/h, at most %s until %s (%s)", name, placeText(o), market, moneyText(o.Price.Hourly),
		costText(e.Max), until, durText(e.Lifetime))
}

// consentTo shows the plan and returns nil when it was accepted: by -y, by an answer at a terminal, or in a
// pipe by a ceiling.
func (x *session) consentTo(name string, e runctl.Estimate, spec *runctl.RunSpec, n *needs, c *consent, detach bool) error {
	x.say.sayf("%s", x.planText(name, e, spec.Job.Lease))
	var beside []string
	if !e.Offer.EndsItself {
		beside = append(beside, fmt.Sprintf("a machine of %s cannot end itself: it bills until you end it with runctl attach, cancel or terminate", e.Offer.Provider))
	}
	if spec.Job.DiscardOutputs && detach {
		beside = append(beside, fmt.Sprintf("a machine of %s that ends itself takes outputs with it that nobody has collected", e.Offer.Provider))
	}
	for _, b := range beside {
		x.say.warnf("%s", b)
	}
	bounded := runctl.Money(c.maxCost).Known() || runctl.Money(n.maxPrice).Known()
	switch {
	case c.yes, e.Offer.Price.Free() && len(beside) == 0:
		return nil
	case x.interactive():
		if x.agrees("Launch? [y/N]") {
			return nil
		}
		return errors.New("not agreed. " + nothing)
	case len(beside) > 0:
		return usagef("-y accepts that. %s.", nothing)
	case !bounded:
		return usagef("%s at %s/h: without a terminal, -y or --max-cost accepts the price. %s.", placeText(e.Offer), moneyText(e.Offer.Price.Hourly), nothing)
	}
	return nil
}

// agrees asks a question at the terminal.
func (a *app) agrees(question string) bool {
	a.say.ask(question)
	line := strings.ToLower(strings.TrimSpace(<-a.lines()))
	return line == "y" || line == "yes"
}
