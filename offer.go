package runctl

import (
	"slices"
	"strings"
	"time"
)

// Road is a way in which a job reaches a machine. Values are bits.
type Road uint8

// The roads. In a query, 0 lets the client choose.
const (
	RoadShell Road = 1 << iota // launch, connect, submit; several jobs may follow each other
	RoadJob                    // the launch itself carries the job; the machine is the run's vessel
)

// String returns "shell", "job", "shell+job" or "".
func (r Road) String() string { return bitNames(uint8(r), "shell", "job") }

// Market is how a machine is bought. Values are bits.
type Market uint8

// The markets. In a query 0 means OnDemand alone: nobody gets a spot machine without asking, and
// OnDemand|Spot allows both.
const (
	OnDemand Market = 1 << iota // ours until we end it
	Spot                        // cheaper, and the cloud may take it back
)

// String returns "on-demand", "spot", "on-demand+spot" or "".
func (m Market) String() string { return bitNames(uint8(m), "on-demand", "spot") }

func bitNames(v uint8, names ...string) string {
	var on []string
	for i, n := range names {
		if v&(1<<i) != 0 {
			on = append(on, n)
		}
	}
	return strings.Join(on, "+")
}

// Offer is something that can be launched, with its price. It is plain, comparable data: it may be
// stored and launched from another process.
type Offer struct {
	Provider string // the provider's Info.Name; set by the client
	ID       string // the provider's own, opaque
	Type     string // the cloud's name of the instance type
	Region   string
	Zone     string // empty: the cloud chooses
	Market   Market // exactly one; 0 is refused

	GPU    GPU
	VCPU   int   // 0: unknown
	Memory int64 // MiB; 0: unknown
	Disk   int64 // MiB included; 0: chosen at launch
	Price  Price
	Avail  string // the cloud's word for how likely a launch succeeds; empty: unknown

	Roads       Road
	MaxLifetime time.Duration // 0: unbounded
	EndsItself  bool          // the machine ends its own billing at its deadline, whoever has vanished
	Keeps       bool          // log and outputs can still be read after the machine has ended itself
}

// Cost returns what running the offer for d costs, compute only; unknown when the price is.
func (o Offer) Cost(d time.Duration) Money { return o.Price.Hourly.perHour(d) }

// OfferQuery says what is needed. Every zero field but Market means: do not care.
type OfferQuery struct {
	GPU      GPU   // see [GPU.Matches]
	OrGPU    []GPU // alternatives to GPU, in order of preference
	VCPU     int   // at least
	Memory   int64 // at least, MiB
	Disk     int64 // at least, MiB, where the offer's disk is fixed
	Regions  []string
	Market   Market // 0: on-demand only
	Road     Road   // any of these bits
	Lifetime time.Duration
	// MaxHourly is a ceiling in its currency. Offers without a known price, or priced in another
	// currency, do not match when it is set.
	MaxHourly Money
}

// Match reports whether o satisfies q. Unknown properties of an offer do not satisfy a requirement.
func (q OfferQuery) Match(o Offer) bool { return q.mismatch(o) == "" }

// mismatch names the first requirement that o fails, "" when it matches.
func (q OfferQuery) mismatch(o Offer) string {
	market := q.Market
	if market == 0 {
		market = OnDemand
	}
	switch {
	case q.gpuRank(o) < 0:
		return "GPU"
	case o.VCPU < q.VCPU:
		return "VCPU"
	case o.Memory < q.Memory:
		return "Memory"
	case o.Disk != 0 && o.Disk < q.Disk:
		return "Disk"
	case len(q.Regions) > 0 && !slices.Contains(q.Regions, o.Region):
		return "Regions"
	case o.Market&market == 0:
		return "Market"
	case q.Road != 0 && o.Roads&q.Road == 0:
		return "Road"
	case o.MaxLifetime != 0 && q.Lifetime > o.MaxLifetime:
		return "Lifetime"
	}
	if q.MaxHourly.Known() {
		if c, err := o.Price.Hourly.Cmp(q.MaxHourly); err != nil || c > 0 {
			return "MaxHourly"
		}
	}
	return ""
}

// gpuRank is the place of the offer's GPU in the order of preference, -1 when it is not wanted.
func (q OfferQuery) gpuRank(o Offer) int {
	for i, g := range append([]GPU{q.GPU}, q.OrGPU...) {
		if g.Matches(o.GPU) {
			return i
		}
	}
	return -1
}

// compareOffers orders by preference, then known price, then price, then name, so that the order is
// total and the same everywhere.
func (q OfferQuery) compareOffers(a, b Offer) int {
	if d := q.gpuRank(a) - q.gpuRank(b); d != 0 {
		return d
	}
	ka, kb := a.Price.Hourly.Known(), b.Price.Hourly.Known()
	switch {
	case ka && !kb:
		return -1
	case kb && !ka:
		return 1
	case ka:
		if c := strings.Compare(a.Price.Hourly.Currency, b.Price.Hourly.Currency); c != 0 {
			return c
		}
		if a.Price.Hourly.Nanos != b.Price.Hourly.Nanos {
			if a.Price.Hourly.Nanos < b.Price.Hourly.Nanos {
				return -1
			}
			return 1
		}
	}
	for _, c := range []int{strings.Compare(a.Provider, b.Provider), strings.Compare(a.Region, b.Region),
		strings.Compare(a.Zone, b.Zone), strings.Compare(a.ID, b.ID)} {
		if c != 0 {
			return c
		}
	}
	return 0
}
