package providertest

import (
	"context"
	"encoding/json"

	"runctl"
)

var offerRows = []Row{
	{
		Name: "Offers/Launchable",
		Rule: "every offer has an ID of at most 2 KiB, exactly one Market and at least one Road; there is at least one offer",
		Do:   "the client drops all other offers: list spot and on-demand as two offers, and say which roads the machine has",
		check: func(c *check) {
			offers := c.offers(nil)
			if len(offers) == 0 {
				c.failf("Offers returned none")
			}
			for _, o := range offers {
				if o.ID == "" || len(o.ID) > 2<<10 || o.Market != runctl.OnDemand && o.Market != runctl.Spot || o.Roads == 0 {
					c.failf("an offer with ID %q, Market %q, Roads %q", o.ID, o.Market, o.Roads)
				}
			}
		},
	},
	{
		Name: "Offers/Unique",
		Rule: "no two offers have the same ID",
		Do:   "build the ID of everything that tells offers apart: type, market, region, zone",
		check: func(c *check) {
			seen := map[string]bool{}
			for _, o := range c.offers(nil) {
				if seen[o.ID] {
					c.failf("two offers with the ID %q", o.ID)
				}
				seen[o.ID] = true
			}
		},
	},
	{
		Name: "Offers/Prices",
		Rule: "a price is not negative and has a currency of three capital letters; an unknown price is the zero Money",
		Do:   "make prices with runctl.MoneyOf(amount, currency), which refuses what is none",
		check: func(c *check) {
			for _, o := range c.offers(nil) {
				m := o.Price.Hourly
				if m != (runctl.Money{}) && (m.Nanos < 0 || runctl.MoneyOf(0, m.Currency) != (runctl.Money{Currency: m.Currency}) || m.Currency == "") {
					c.failf("offer %q has the price %d nanos of %q", o.ID, m.Nanos, m.Currency)
				}
			}
		},
	},
	{
		Name: "Offers/MissingPrice", Needs: needs(needHTTP),
		Rule: "a price that the cloud does not tell is unknown, never nothing",
		Do:   "decode prices into pointers, and leave Price.Hourly zero for a nil one",
		check: func(c *check) {
			free := map[string]bool{}
			for _, o := range c.offers(nil) {
				free[o.ID] = o.Price.Free()
			}
			call := func() (all []runctl.Offer, err error) {
				c.do("Offers", func(ctx context.Context) { all, err = c.p.Offers(ctx, runctl.OfferQuery{}) })
				return all, err
			}
			c.eachMissing("Offers", true, func() { _, _ = call() }, func(path string) {
				all, err := call()
				for _, o := range all {
					if was, known := free[o.ID]; known && !was && err == nil && o.Price.Free() {
						c.failf("without %s in the reply, offer %q costs %s", path, o.ID, o.Price.Hourly)
					}
				}
			})
		},
	},
	{
		Name: "Offers/Roads",
		Rule: "an offer says RoadShell only, and some offer does, if the provider is a Connector; likewise RoadJob and JobRunner",
		Do:   "make the roads of the offers and the optional interfaces agree",
		check: func(c *check) {
			var all runctl.Road
			for _, o := range c.offers(nil) {
				all |= o.Roads
			}
			for _, r := range []struct {
				road  runctl.Road
				iface string
			}{{runctl.RoadShell, needShell}, {runctl.RoadJob, needJob}} {
				if says := all&r.road != 0; says && !c.has[r.iface] {
					c.failf("an offer has the road %q, and the provider is no %s", r.road, r.iface)
				} else if !says && c.has[r.iface] {
					c.failf("the provider is a %s, and no offer has the road %q", r.iface, r.road)
				}
			}
		},
	},
	{
		Name: "Offers/OtherProcess",
		Rule: "an offer is plain data: stored as JSON, it can be launched by a process that has not called Offers",
		Do:   "put all that Launch needs into the offer's ID; keep no table of offers in memory",
		check: func(c *check) {
			req := c.newRequest()
			text, err := json.Marshal(req.Offer)
			c.must("json.Marshal", err)
			other := newCheck(c.t, c.h, c.has, c.row)
			defer other.cleanUp()
			other.ctx = c.ctx
			req.Offer = runctl.Offer{}
			c.must("json.Unmarshal", json.Unmarshal(text, &req.Offer))
			if req.Job != nil {
				j := c.h.job(other.p, "stored", Work{Block: true})
				req.Job = &j
			}
			if _, err := other.tryLaunch(req); err != nil {
				c.failf("Launch of %s by another process returned %s", text, describe(err))
			}
		},
	},
	{
		Name: "Offers/AsLaunched",
		Rule: "what is launched is what was offered: a machine has the offer's Type, Region and Market",
		Do:   "send type, region and market of the offer with the launch; never fall back to others",
		check: func(c *check) {
			for _, o := range sample(c.offers(nil)) {
				i, err := c.tryLaunch(c.request(o))
				c.must("Launch of "+o.ID, err)
				seen, err := c.get(i.ID)
				c.must("Get", err)
				if differ(seen.Type, o.Type) || differ(seen.Region, o.Region) || seen.Market != 0 && seen.Market != o.Market {
					c.failf("offered was %s %s %s; Get shows %s %s %s", o.Type, o.Region, o.Market, seen.Type, seen.Region, seen.Market)
				}
			}
		},
	},
	{
		Name: "Offers/Unknown",
		Rule: "an offer that the cloud does not have is ErrInvalid or ErrNotFound, with NotStarted, and nothing else is launched instead",
		Do:   "find the cloud's error code for a wrong type, and put it into the error table",
		check: func(c *check) {
			req := c.newRequest()
			req.Offer.ID, req.Offer.Type = "no-such-offer", "no-such-type"
			i, err := c.tryLaunch(req)
			e := classified(err)
			if err == nil || e.Kind != runctl.ErrInvalid && e.Kind != runctl.ErrNotFound || !e.NotStarted {
				c.failf("Launch of the offer no-such-offer returned %s", outcome(i, err))
			}
			if ids := c.billing(); len(ids) > 0 {
				c.failf("Launch of the offer no-such-offer returned %s; %s", describe(err), c.books())
			}
		},
	},
}

// sample takes up to three offers of each market.
func sample(offers []runctl.Offer) (few []runctl.Offer) {
	taken := map[runctl.Market]int{}
	for _, o := range offers {
		if taken[o.Market]++; taken[o.Market] <= 3 && (o.Market == runctl.OnDemand || o.Market == runctl.Spot) && o.Roads != 0 {
			few = append(few, o)
		}
	}
	return few
}

// differ compares what both sides tell.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
