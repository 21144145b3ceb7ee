package fake

import (
	"context"
	"fmt"
	"strings"
	"time"

	"runctl"
)

const region = "fake-1"

// shapes are what the catalog sells, at prices such as were asked in 2025; spot is two fifths of them.
var shapes = []struct {
	kind   string
	gpu    runctl.GPU
	vcpu   int
	memory int64 // GiB
	hourly float64
}{
	{"cpu-4", runctl.GPU{}, 4, 16, 0.17},
	{"rtx4090-1", runctl.GPU{Model: "RTX4090", Count: 1, Memory: 24 << 10}, 8, 32, 0.44},
	{"t4-1", runctl.GPU{Model: "T4", Count: 1, Memory: 16 << 10}, 4, 16, 0.53},
	{"l4-1", runctl.GPU{Model: "L4", Count: 1, Memory: 24 << 10}, 8, 32, 0.80},
	{"a10g-1", runctl.GPU{Model: "A10G", Count: 1, Memory: 24 << 10}, 8, 32, 1.21},
	{"l40s-1", runctl.GPU{Model: "L40S", Count: 1, Memory: 48 << 10}, 8, 64, 1.86},
	{"a100-80-1", runctl.GPU{Model: "A100-80GB", Count: 1, Memory: 80 << 10}, 12, 128, 2.20},
	{"a100-80-8", runctl.GPU{Model: "A100-80GB", Count: 8, Memory: 80 << 10}, 96, 1024, 17.60},
	{"h100-1", runctl.GPU{Model: "H100-SXM", Count: 1, Memory: 80 << 10}, 24, 192, 2.99},
	{"h100-8", runctl.GPU{Model: "H100-SXM", Count: 8, Memory: 80 << 10}, 192, 2048, 23.92},
	{"h200-8", runctl.GPU{Model: "H200-SXM", Count: 8, Memory: 141 << 10}, 192, 2048, 29.60},
	{"b200-8", runctl.GPU{Model: "B200", Count: 8, Memory: 180 << 10}, 192, 2048, 44.00},
}

// Catalog returns the offers of a cloud made without [Offers]: common GPUs and a machine without one, in
// the zones fake-1a and fake-1b, on demand (ids such as h100-1.fake-1a) and spot (h100-1.fake-1a.spot).
func Catalog() []runctl.Offer {
	var all []runctl.Offer
	for _, s := range shapes {
		for _, zone := range []string{region + "a", region + "b"} {
			for _, market := range []runctl.Market{runctl.OnDemand, runctl.Spot} {
				o := runctl.Offer{
					ID: s.kind + "." + zone, Type: s.kind, Region: region, Zone: zone, Market: market,
					GPU: s.gpu, VCPU: s.vcpu, Memory: s.memory << 10,
					Price: runctl.Price{Hourly: runctl.USD(s.hourly), Source: "catalog"},
					Roads: runctl.RoadShell | runctl.RoadJob, EndsItself: true, Keeps: true,
				}
				if market == runctl.Spot {
					o.ID += ".spot"
					o.Price.Hourly = runctl.USD(s.hourly * 0.4)
				}
				all = append(all, o)
			}
		}
	}
	return all
}

// Offers sells these instead of the catalog. What an offer leaves empty is filled in where a launch needs
// it: Type from ID, Market on demand, Roads both, Region and Zone of this cloud. EndsItself and Keeps are
// taken as they are. An empty or repeated ID panics.
func Offers(offers ...runctl.Offer) Option {
	return func(c *Cloud) {
		c.offers = nil
		seen := map[string]bool{}
		for _, o := range offers {
			if o.ID == "" || seen[o.ID] {
				panic(fmt.Sprintf("fake: offer id %q is empty or twice there", o.ID))
			}
			seen[o.ID] = true
			if o.Type == "" {
				o.Type = o.ID
			}
			if o.Market == 0 {
				o.Market = runctl.OnDemand
			}
			if o.Roads == 0 {
				o.Roads = runctl.RoadShell | runctl.RoadJob
			}
			if o.Region == "" {
				o.Region = region
			}
			if o.Zone == "" {
				o.Zone = o.Region + "a"
			}
			c.offers = append(c.offers, o)
		}
	}
}

// ShellOnly sells machines that take no job with their launch. Like every option on offers it applies to
// those given so far.
func ShellOnly() Option { return each(func(o *runctl.Offer) { o.Roads = runctl.RoadShell }) }

// JobOnly sells machines that nobody can enter.
func JobOnly() Option { return each(func(o *runctl.Offer) { o.Roads = runctl.RoadJob }) }

// Unguarded sells machines that cannot end themselves: they bill until somebody terminates them.
func Unguarded() Option { return each(func(o *runctl.Offer) { o.EndsItself = false }) }

// Forgetful sells machines whose log and outputs are gone with them.
func Forgetful() Option { return each(func(o *runctl.Offer) { o.Keeps = false }) }

func each(change func(*runctl.Offer)) Option {
	return func(c *Cloud) {
		for i := range c.offers {
			change(&c.offers[i])
		}
	}
}

// Offers returns the whole catalog in one page, whatever q asks for. Where capacity comes and goes, what
// has none just now says so in Avail.
func (c *Cloud) Offers(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	var all []runctl.Offer
	err := c.call(ctx, OpOffers, "", func(now time.Time) error {
		all = make([]runctl.Offer, len(c.offers))
		copy(all, c.offers)
		for i := range all {
			o := &all[i]
			o.Provider = c.info.Name
			if c.phys.Scarcity > 0 {
				o.Avail = "high"
				if c.scarce(*o, now) {
					o.Avail = "low"
				}
			}
			if o.Price.Hourly.Known() {
				o.Price.At = c.clock(now)
			}
		}
		return nil
	})
	return all, err
}

// keyOf takes the launch key out of a label rc1-OWNER-KEY-TAIL; any other text is its own key.
func keyOf(label string) string {
	rest, ok := strings.CutPrefix(label, "rc1-")
	_, rest, ok2 := strings.Cut(rest, "-")
	end := strings.LastIndexByte(rest, '-')
	if !ok || !ok2 || end < 1 {
		return label
	}
	return rest[:end]
}
