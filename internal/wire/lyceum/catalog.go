package lyceum

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// counts are how many GPUs machines have.
var counts = []int{1, 2, 4, 8}

// profile is a kind of machine, with prices in USD an hour for one GPU.
type profile struct {
	name           string
	demand, spot   float64
	demandHas      []int // how many GPUs a machine may have now; nil: none are left, which is told as an empty list
	spotHas        []int
	spotNotOffered bool // there is a price for it, and no offer
}

// profiles is the catalog, with the prices of 2026-07-31. Lists are in no order.
var profiles = []profile{
	{name: "l40s", demand: 1.19, spot: 0.55, demandHas: []int{4, 1, 2}, spotNotOffered: true},
	{name: "a100", demand: 1.59, spot: 0.80, demandHas: []int{1, 2, 4, 8}, spotHas: []int{2, 1}},
	{name: "h100", demand: 2.79, spot: 1.10, demandHas: []int{8, 1, 2, 4}, spotHas: []int{1, 2, 4, 8}},
	{name: "h200", demand: 4.29, spot: 1.60, demandHas: []int{8, 1}, spotHas: []int{1}},
	{name: "b200", demand: 6.49, spot: 2.40, demandHas: []int{8}},
	{name: "b300", demand: 7.99, spot: 2.99},
}

func findProfile(name string) *profile {
	for i := range profiles {
		if profiles[i].name == name {
			return &profiles[i]
		}
	}
	return nil
}

func profileNames() (names []string) {
	for _, p := range profiles {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// perGPU is the price of one GPU in USD an hour; 0: there is no such profile.
func perGPU(name, market string) float64 {
	p := findProfile(name)
	switch {
	case p == nil:
		return 0
	case market == spot:
		return p.spot
	}
	return p.demand
}

// stock is how many GPUs a machine may have now.
func stock(name, market string) []int {
	p := findProfile(name)
	switch {
	case p == nil || market == spot && p.spotNotOffered:
		return nil
	case market == spot:
		return p.spotHas
	}
	return p.demandHas
}

func (x *exchange) availability() answer {
	variants, older := []any{}, []any{}
	for _, p := range profiles {
		for _, market := range []string{onDemand, spot} {
			if market == spot && p.spotNotOffered {
				continue
			}
			has := append([]int{}, stock(p.name, market)...)
			if x.f.dry {
				has = []int{}
			}
			row := map[string]any{"hardware_profile": p.name, "price_per_hour": perGPU(p.name, market),
				"allowed_gpus_per_instance": counts, "available_gpus_per_instance": has}
			variants = append(variants, x.f.dress(with(row, "instance_type", market)))
			if market == onDemand { // it mixes both markets: what spot has is in it too
				both := append(append([]int{}, has...), stock(p.name, spot)...)
				if x.f.dry {
					both = []int{}
				}
				older = append(older, with(with(row, "gpu_type", p.name), "available_gpus_per_instance", both))
			}
		}
	}
	return ok(x.f.dress(map[string]any{"available_instance_variants": variants, "available_hardware_profiles": older}))
}

func with(m map[string]any, key string, value any) map[string]any {
	n := map[string]any{key: value}
	for k, v := range m {
		if k != key {
			n[k] = v
		}
	}
	return n
}

// prices is the book: machines by the hour, among rows of other things and rows that nobody can read.
func (x *exchange) prices() answer {
	rows := []any{
		map[string]any{"meter_slug": "tokens_in", "resource": "inference", "applies_to": map[string]any{"deployment_id": "d1"}, "unit": "token", "unit_price": "0.0000002"},
		map[string]any{"meter_slug": "vm_running", "applies_to": map[string]any{"hardware_profile": "on-demand.h100"}, "unit": "second", "unit_price_per_hour": "0.01"},
		map[string]any{"meter_slug": "vm_running", "applies_to": nil, "unit": "second", "unit_price": nil, "unit_price_per_hour": nil},
		map[string]any{"meter_slug": "vm_running", "applies_to": map[string]any{"hardware_profile": "on-demand.h300.1x"}, "unit_price_per_hour": "a lot"},
	}
	for _, p := range profiles {
		for _, market := range []string{onDemand, spot} {
			for _, n := range counts {
				hourly := perGPU(p.name, market) * float64(n)
				rows = append(rows, x.f.dress(map[string]any{"meter_slug": "vm_running", "resource": "vm", "unit": "second",
					"applies_to": map[string]any{"hardware_profile": fmt.Sprintf("%s.%s.%dx", market, p.name, n)},
					"unit_price": strconv.FormatFloat(hourly/3600, 'f', 12, 64), "unit_price_per_hour": strconv.FormatFloat(hourly, 'f', 2, 64)}))
			}
		}
	}
	return ok(x.f.dress(map[string]any{"prices": rows, "count": len(rows)}))
}

// machines are those of runs, with their price in USD an hour.
var machines = map[string]float64{"cpu": 0.10, "gpu.l40s": 1.19, "gpu.a100": 1.59, "gpu.h100": 2.79}

func (x *exchange) hardware() answer {
	names := []string{}
	for name := range machines {
		names = append(names, name)
	}
	slices.Sort(names)
	return ok(x.f.dress(map[string]any{"available_hardware_profiles": names}))
}

func (x *exchange) machineTypes() answer {
	rows := []any{}
	for _, name := range []string{"cpu", "gpu.l40s", "gpu.a100", "gpu.h100"} {
		rows = append(rows, map[string]any{"hardware_profile": name, "price_per_hour": machines[name]})
	}
	return ok(x.f.dress(map[string]any{"machine_types": rows}))
}

func (x *exchange) ping() answer { return ok(map[string]any{"status": "ok"}) }

func (x *exchange) user() answer {
	return ok(x.f.dress(map[string]any{"user_id": "user-1", "org_id": "org-1", "email": "somebody@example.org", "full_name": nil, "created_at": "2026-01-01T00:00:00Z",
		"is_active": true, "active_api_keys_count": 1, "credit_balance": x.f.balance(), "status": "authenticated"}))
}

func (f *Face) balance() float64 {
	if f.broke {
		return 0
	}
	return 100
}

func (x *exchange) credits() answer {
	left := x.f.balance()
	return ok(x.f.dress(map[string]any{"available_credits": left + 50, "used_credits": 50, "total_credits_used": 50, "remaining_credits": left,
		"monthly_free_credits": 0, "purchased_credits": left + 50, "signup_grant_claimed_at": nil}))
}

// storage hands out the S3 credentials that the options have.
func (x *exchange) storage() answer {
	if x.f.opt.Storage == nil {
		return refuse(404, "No bucket")
	}
	return ok(x.f.dress(maps.Clone(x.f.opt.Storage)))
}
