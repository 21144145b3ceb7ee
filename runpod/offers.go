package runpod

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl"
	"runctl/rest"
)

// gpuType is a GPU type of the catalog. Prices are US dollars an hour for one GPU.
type gpuType struct {
	ID       string             `json:"id"`
	Memory   int64              `json:"memory"` // GB
	Price    map[string]float64 `json:"price"`  // by cloud: secure, community
	MaxCount map[string]int     `json:"maxCount"`
	stock
}

// cpuType is a processor type of the catalog. Its prices and memory are for one virtual processor.
type cpuType struct {
	ID    string                 `json:"id"`
	VCPU  struct{ Min, Max int } `json:"vcpu"`
	RAM   float64                `json:"ramGbPerVcpu"`
	Price struct {
		Secure float64 `json:"securePerVcpu"`
	} `json:"price"`
	stock
}

// stock is how much there is of the number that was asked for. It reserves nothing.
type stock struct {
	Availability string `json:"availability"` // overall; empty: not told
	DataCenters  []struct {
		ID           string `json:"id"`
		Availability string `json:"availability"`
	} `json:"dataCenters"` // missing where there is none
}

const none = "NONE"

// places are the data centers that have some, with RunPod's word for how much. Where it does not name any, RunPod is left to
// choose.
func (s stock) places() map[string]string {
	at := map[string]string{}
	for _, dc := range s.DataCenters {
		if dc.ID != "" && dc.Availability != none {
			at[strings.ToUpper(dc.ID)] = dc.Availability // in lower case it is accepted, and does not work
		}
	}
	if len(s.DataCenters) == 0 && s.Availability != none {
		at[""] = s.Availability
	}
	return at
}

// Offers implements [runctl.Provider]. It makes one request for each number of GPUs that is asked for and each cloud, and
// one for machines without GPUs. Of a query that leaves the number open, it is 1, 2, 4 and 8.
func (p *Provider) Offers(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	if q.Market != 0 && q.Market&runctl.OnDemand == 0 {
		return nil, nil // there are no spot pods
	}
	var all []runctl.Offer
	if q.VCPU == 0 && q.Memory == 0 { // the catalog does not tell them of machines with GPUs
		for _, n := range counts(q) {
			for _, cloud := range p.clouds() {
				offers, err := p.gpuOffers(ctx, n, cloud)
				if err != nil {
					return nil, err
				}
				all = append(all, offers...)
			}
		}
	}
	if q.GPU == (runctl.GPU{}) {
		offers, err := p.cpuOffers(ctx, q.VCPU)
		if err != nil {
			return nil, err
		}
		all = append(all, offers...)
	}
	return all, nil
}

func (p *Provider) clouds() []string {
	if p.cfg.Community {
		return []string{"SECURE", "COMMUNITY"}
	}
	return []string{"SECURE"}
}

// counts are the numbers of GPUs that satisfy a query.
func counts(q runctl.OfferQuery) []int {
	var ns []int
	for _, g := range append([]runctl.GPU{q.GPU}, q.OrGPU...) {
		switch {
		case g.Count > 0:
			ns = append(ns, g.Count)
		case g.Model != "":
			ns = append(ns, 1)
		case len(q.OrGPU) == 0:
			ns = append(ns, 1, 2, 4, 8)
		}
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

func (p *Provider) gpuOffers(ctx context.Context, count int, cloud string) ([]runctl.Offer, error) {
	var catalog struct{ GPUs []gpuType }
	_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/v2/catalog/gpus", Query: url.Values{
		"include": {"AVAILABILITY"}, "product": {"POD"}, "count": {strconv.Itoa(count)}, "cloud": {cloud}}}, &catalog)
	if err != nil {
		return nil, err
	}
	var all []runctl.Offer
	tier := strings.ToLower(cloud)
	for _, t := range catalog.GPUs {
		if t.ID == "" || t.MaxCount[tier] < count {
			continue
		}
		o := runctl.Offer{Type: typeName(t.ID, count), GPU: gpu(t.ID, count, t.Memory<<10), Price: hourly(t.Price[tier] * float64(count))}
		all = append(all, offers(o, shape{part: "gpu", cloud: cloud, count: count, id: t.ID}, t.places())...)
	}
	return all, nil
}

// cpuOffers asks for the smallest machines with so many virtual processors. How many there are of larger ones is not known.
func (p *Provider) cpuOffers(ctx context.Context, vcpus int) ([]runctl.Offer, error) {
	least := 2
	for least < vcpus && least < 1<<10 {
		least *= 2
	}
	var catalog struct{ CPUs []cpuType }
	_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/v2/catalog/cpus", Query: url.Values{
		"include": {"AVAILABILITY"}, "product": {"POD"}, "vcpuCount": {strconv.Itoa(least)}}}, &catalog)
	if err != nil {
		return nil, err
	}
	var all []runctl.Offer
	for _, t := range catalog.CPUs {
		for n := least; t.ID != "" && n >= t.VCPU.Min && n <= min(t.VCPU.Max, 1<<10); n *= 2 {
			o := runctl.Offer{Type: typeName(t.ID, n), VCPU: n, Memory: int64(t.RAM * float64(n) * 1024), Price: hourly(t.Price.Secure * float64(n))}
			at := t.places()
			if n > least {
				for dc := range at {
					at[dc] = ""
				}
			}
			all = append(all, offers(o, shape{part: "cpu", cloud: "SECURE", count: n, id: t.ID}, at)...)
		}
	}
	return all, nil
}

// offers makes the two offers of a shape in each of its places: on the job road the pod ends itself, on the shell road
// that is not certain.
func offers(o runctl.Offer, s shape, at map[string]string) []runctl.Offer {
	var all []runctl.Offer
	o.Market, o.Zone = runctl.OnDemand, s.cloud
	for dc, avail := range at {
		o.Region, o.Avail, s.dc = dc, avail, dc
		for _, road := range []runctl.Road{runctl.RoadJob, runctl.RoadShell} {
			s.road, o.Roads, o.EndsItself = road, road, road == runctl.RoadJob
			o.ID = s.String()
			all = append(all, o)
		}
	}
	return all
}

// hourly is a price of the catalog; none is unknown.
func hourly(x float64) runctl.Price {
	if x <= 0 {
		return runctl.Price{}
	}
	return runctl.Price{Hourly: runctl.USD(x), Source: "catalog", At: time.Now()}
}
