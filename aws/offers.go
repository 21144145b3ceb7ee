package aws

import (
	"context"
	"slices"
	"strings"

	"runctl"
)

// Offers implements [runctl.Provider]: each type in each of its zones and markets. EC2 never tells whether it has any left:
// how likely a launch succeeds is unknown. A price that cannot be had is unknown, and its source says why.
//
// The catalog is read once in twelve hours: some ten requests for types and five for zones, or two and one for a query
// that wants GPUs. On-demand prices hold for twelve hours too: up to sixteen types are asked for one by one, and more than
// that all together, a request for each hundred. Spot prices are read for a query that allows spot, when the last ones
// are older than five minutes: one request for each thousand.
func (p *Provider) Offers(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	if len(q.Regions) > 0 && !slices.Contains(q.Regions, p.cfg.Region) || q.Road != 0 && q.Road&runctl.RoadShell == 0 {
		return nil, nil
	}
	part := gpuTypes
	for _, g := range append([]runctl.GPU{q.GPU}, q.OrGPU...) {
		if g == (runctl.GPU{}) {
			part = allTypes
		}
	}
	types, err := p.catalog(ctx, part)
	if err != nil {
		return nil, err
	}
	zones, err := p.zones(ctx, part)
	if err != nil {
		return nil, err
	}
	own, err := p.ownZones(ctx)
	if err != nil {
		return nil, err
	}
	free := q // whatever the price, which is not known yet
	free.MaxHourly = runctl.Money{}
	var all []runctl.Offer
	for _, t := range types {
		for _, zone := range zones[t.name] {
			if own != nil && !slices.Contains(own, zone) {
				continue
			}
			for _, m := range []runctl.Market{runctl.OnDemand, runctl.Spot} {
				if o := p.offer(t, zone, m); t.markets&m != 0 && free.Match(o) {
					all = append(all, o)
				}
			}
		}
	}
	return all, p.price(ctx, all)
}

// offer is a type in a zone, without its price.
func (p *Provider) offer(t machineType, zone string, m runctl.Market) runctl.Offer {
	return runctl.Offer{
		ID: shape{t.name, zone, m, t.arch, t.driver}.String(), Type: t.name, Region: p.cfg.Region, Zone: zone, Market: m, GPU: t.gpu, VCPU: t.vcpu,
		Memory: t.memory, Roads: runctl.RoadShell, EndsItself: true, Keeps: m == runctl.OnDemand,
	}
}

// price fills in what the offers cost.
func (p *Provider) price(ctx context.Context, all []runctl.Offer) error {
	names := map[runctl.Market][]string{}
	for _, o := range all {
		if !slices.Contains(names[o.Market], o.Type) {
			names[o.Market] = append(names[o.Market], o.Type)
		}
	}
	demand, err := p.onDemand(ctx, names[runctl.OnDemand])
	if err != nil {
		return err
	}
	spot, err := p.spot(ctx, names[runctl.Spot])
	if err != nil {
		return err
	}
	for n := range all {
		o := &all[n]
		if o.Market == runctl.Spot {
			o.Price = spot(o.Type, o.Zone)
		} else {
			o.Price = demand(o.Type)
		}
	}
	return nil
}

// shape is what an offer's ID says: all that a launch needs, so that an offer may be stored and launched later.
type shape struct {
	name   string
	zone   string
	market runctl.Market
	arch   string
	driver bool
}

// String is the offer's ID.
func (s shape) String() string {
	image := "plain"
	if s.driver {
		image = "nvidia"
	}
	return strings.Join([]string{s.name, s.zone, s.market.String(), s.arch, image}, "/")
}

// parseShape reads an offer's ID.
func parseShape(id string) (shape, bool) {
	f := strings.Split(id, "/")
	if len(f) != 5 || len(id) > 200 {
		return shape{}, false
	}
	s := shape{name: f[0], zone: f[1], arch: f[3], driver: f[4] == "nvidia"}
	for _, m := range []runctl.Market{runctl.OnDemand, runctl.Spot} {
		if f[2] == m.String() {
			s.market = m
		}
	}
	return s, s.String() == id && s.name != "" && s.zone != "" && s.market != 0 && (s.arch == "x86_64" || s.arch == "arm64")
}
