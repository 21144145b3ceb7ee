package lyceum

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl"
	"runctl/rest"
)

// variant is a kind of machine that may be had now, in one market.
type variant struct {
	Profile Text    `json:"hardware_profile"`
	Bought  Text    `json:"instance_type"`
	PerGPU  Text    `json:"price_per_hour"`              // US dollars for one GPU
	Allowed *[]Text `json:"allowed_gpus_per_instance"`   // nil: not told
	Free    *[]Text `json:"available_gpus_per_instance"` // likewise; none at all: sold out
}

// What offers say of how likely a launch is. It reserves nothing: what was free may be gone seconds later.
const (
	Available = "available"
	SoldOut   = "sold out" // it is offered, and there was none a moment ago
)

// avail is how likely a machine with so many GPUs can be had; false: such machines are not offered.
func (v variant) avail(count int) (string, bool) {
	has := func(list []Text) bool {
		for _, t := range list {
			if n, ok := t.Int(); ok && n == count {
				return true
			}
		}
		return false
	}
	switch {
	case v.Free != nil && has(*v.Free):
		return Available, true
	case v.Allowed != nil && !has(*v.Allowed):
		return "", false
	case v.Free != nil:
		return SoldOut, true
	}
	return "", true
}

// priceLife is how long prices are kept.
const priceLife = time.Hour

// Offers implements [runctl.Provider]: what of [Provider.Catalog] is not sold out.
func (p *Provider) Offers(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	all, err := p.Catalog(ctx, q)
	return slices.DeleteFunc(all, func(o runctl.Offer) bool { return o.Avail == SoldOut }), err
}

// Catalog returns what Lyceum offers on the roads of a query, with one request for machines, and once an hour one for prices and
// two for the kinds of runs. It has what is sold out at the moment too, with Avail [SoldOut]; what is not offered is not in it.
func (p *Provider) Catalog(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	var all []runctl.Offer
	if q.Road == 0 || q.Road&runctl.RoadShell != 0 {
		vms, err := p.vmOffers(ctx)
		if err != nil {
			return nil, err
		}
		all = vms
	}
	if q.Road == 0 || q.Road&runctl.RoadJob != 0 {
		runs, err := p.runOffers(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	return all, nil
}

func (p *Provider) vmOffers(ctx context.Context) ([]runctl.Offer, error) {
	var now struct {
		Variants *[]variant `json:"available_instance_variants"`
	}
	asked := time.Now()
	_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/vms/availability"}, &now)
	switch {
	case err != nil:
		return nil, err
	case now.Variants == nil:
		return nil, errors.New("the catalog has no machines in it, not even none")
	}
	book, booked, err := p.prices.get(ctx, priceLife, p.book)
	if err = optional(ctx, err); err != nil {
		return nil, err
	}
	var all []runctl.Offer
	seen := map[string]bool{}
	for _, v := range *now.Variants {
		market, ok := markets[v.Bought.word()]
		s := shape{spot: market == runctl.Spot, profile: strings.ToLower(string(v.Profile))}
		if !ok || !profileName.MatchString(s.profile) {
			continue
		}
		for _, n := range counts {
			s.count = n
			avail, offered := v.avail(n)
			if !offered || seen[s.String()] {
				continue
			}
			seen[s.String()] = true
			price := runctl.Price{Hourly: book[s.meter()], Source: "pricing", At: booked}
			if !price.Hourly.Known() {
				price = runctl.Price{Hourly: dollars(v.PerGPU, int64(n)), Source: "availability", At: asked}
			}
			part := parts[s.profile]
			all = append(all, runctl.Offer{ID: s.String(), Type: typeName(s.profile, n), Market: market, GPU: gpu(s.profile, n), VCPU: part.vcpu * n,
				Memory: part.ramGiB << 10 * int64(n), Disk: diskMiB, Price: told(price), Avail: avail, Roads: runctl.RoadShell})
		}
	}
	return all, nil
}

// told is a price, without a source when it is unknown.
func told(p runctl.Price) runctl.Price {
	if !p.Hourly.Known() {
		return runctl.Price{}
	}
	return p
}

// meters is what a row of the price book is about.
type meters struct {
	Profile Text `json:"hardware_profile"`
}

// UnmarshalJSON implements [json.Unmarshaler]. What is no object is about nothing.
func (m *meters) UnmarshalJSON(b []byte) error {
	var o struct {
		Profile Text `json:"hardware_profile"`
	}
	_ = json.Unmarshal(b, &o)
	m.Profile = o.Profile
	return nil
}

// book reads the price book: what machines cost an hour, by their names there. Rows that are not about machines, or cannot be
// read, are left out.
func (p *Provider) book(ctx context.Context) (map[string]runctl.Money, error) {
	var book struct {
		Prices []struct {
			Meter   Text   `json:"meter_slug"`
			Applies meters `json:"applies_to"`
			Group   meters `json:"group_by"` // its name on Lyceum's pages
			Unit    Text   `json:"unit"`
			PerUnit Text   `json:"unit_price"`
			PerHour Text   `json:"unit_price_per_hour"`
		} `json:"prices"`
	}
	if _, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/pricing"}, &book); err != nil {
		return nil, err
	}
	all := map[string]runctl.Money{}
	for _, row := range book.Prices {
		name := row.Applies.Profile
		if name == "" {
			name = row.Group.Profile
		}
		price := dollars(row.PerHour, 1)
		if !price.Known() && row.Unit.word() == "second" {
			price = dollars(row.PerUnit, 3600)
		}
		if row.Meter == "vm_running" && name != "" && price.Known() {
			all[strings.ToLower(string(name))] = price
		}
	}
	return all, nil
}

// documented are the kinds of runs that Lyceum's pages name, for accounts that are not told which they may use.
var documented = []string{"cpu", "gpu.l40s", "gpu.a100", "gpu.h100"}

// runOffers are the kinds of runs that the account may use. What they cost is told by an old call alone, if at all.
func (p *Provider) runOffers(ctx context.Context) ([]runctl.Offer, error) {
	kinds, asked, err := p.kinds.get(ctx, priceLife, p.runKinds)
	if err != nil {
		return nil, err
	}
	var all []runctl.Offer
	for kind, price := range kinds {
		s := shape{run: true, profile: kind}
		all = append(all, runctl.Offer{ID: s.String(), Type: kind, Market: runctl.OnDemand, GPU: runGPU(kind),
			Price: told(runctl.Price{Hourly: price, Source: "machine-types", At: asked}), Roads: runctl.RoadJob, MaxLifetime: MaxRun, EndsItself: true})
	}
	return all, nil
}

// runKinds are the machines of runs, and what they cost an hour as far as that is known.
func (p *Provider) runKinds(ctx context.Context) (map[string]runctl.Money, error) {
	var may struct {
		Profiles []Text `json:"available_hardware_profiles"`
	}
	var types struct {
		Types []struct {
			Profile Text `json:"hardware_profile"`
			Price   Text `json:"price_per_hour"`
		} `json:"machine_types"`
	}
	for _, c := range []struct {
		path string
		out  any
	}{{"/user/quotas/available-hardware", &may}, {"/machine-types", &types}} {
		_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: c.path}, c.out)
		if err = optional(ctx, err); err != nil {
			return nil, err
		}
	}
	all := map[string]runctl.Money{}
	for _, name := range may.Profiles {
		if executionType.MatchString(string(name)) {
			all[string(name)] = runctl.Money{}
		}
	}
	if len(all) == 0 {
		for _, name := range documented {
			all[name] = runctl.Money{}
		}
	}
	for _, t := range types.Types {
		if _, ok := all[string(t.Profile)]; ok {
			all[string(t.Profile)] = dollars(t.Price, 1)
		}
	}
	return all, nil
}

// optional passes over the failure of a call that Lyceum's pages do not promise, or that another stands in for. One that
// would end every call alike is none of those.
func optional(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil && !errors.Is(err, runctl.ErrAuth) && !errors.Is(err, runctl.ErrRateLimit) {
		return nil
	}
	return err
}

// dollars is n times a price, which is written as a decimal. None, and one that is not above nothing, is unknown.
func dollars(t Text, n int64) runctl.Money {
	x, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	m := runctl.USD(x)
	if err != nil || x <= 0 || !m.Known() {
		return runctl.Money{}
	}
	m.Nanos *= n
	return m
}
