package runctl

import (
	"context"
	"slices"
	"strings"
)

// places are the zones that a launch's options tie it to, by provider; a provider that is not in it may use all of its
// zones.
type places map[string][]string

// placesOf asks each provider that has options in the plan, and can tell, before an offer is chosen.
func (c *Client) placesOf(ctx context.Context, p *plan) (places, error) {
	var all places
	for _, a := range c.providers {
		var own []LaunchOption
		for _, o := range p.spec.Options {
			if o.ForProvider() == a.info.Kind {
				own = append(own, o)
			}
		}
		placer, ok := As[Placer](a.Provider)
		if !ok || len(own) == 0 {
			continue
		}
		zones, err := call(ctx, c, a, Event{Op: "launch", Key: p.key}, c.cfg.Deadlines.Call, func(ctx context.Context) ([]string, error) { return placer.Zones(ctx, own) })
		if err != nil {
			e := asError(err, ErrUnavailable)
			e.NotStarted = true
			return nil, e
		}
		if len(zones) > 0 {
			if all == nil {
				all = places{}
			}
			all[a.info.Name] = zones
		}
	}
	return all, nil
}

// allow refuses an offer that is elsewhere.
func (ps places) allow(o Offer) error {
	zones, tied := ps[o.Provider]
	if !tied || slices.Contains(zones, o.Zone) {
		return nil
	}
	return invalid("Options", "what they name is in %s, and the offer is in %s", strings.Join(zones, ", "), o.Zone)
}
