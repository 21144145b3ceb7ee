package aws

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// spot is what a type costs now on the spot market of a zone, USD an hour.
func (f *Face) spot(t *Type, zone string) float64 {
	if p, ok := f.spotPrice[t.Name+" "+zone]; ok {
		return p
	}
	return math.Round(t.Hourly*(0.30+0.05*float64(slices.Index(f.zones(), zone)))*10000) / 10000
}

// cheapestSpot is the least that a launch must offer.
func (f *Face) cheapestSpot(t *Type, zone string) float64 {
	least := math.Inf(1)
	for _, z := range f.zones() {
		if t.in(z) && (zone == "" || zone == z) {
			least = min(least, f.spot(t, z))
		}
	}
	return least
}

func price(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return -1
	}
	return v
}

// describeSpotPrices tells prices from newest to oldest, with the one that stood at StartTime. Its last page has an empty token,
// and not none.
func (x *exchange) describeSpotPrices() (params, *refusal) {
	now := time.Now()
	start, end := x.in.time("StartTime"), x.in.time("EndTime")
	if end.IsZero() {
		end = now
	}
	wanted, zone, products := x.in.strs("InstanceTypes"), x.in.str("AvailabilityZone"), x.in.strs("ProductDescriptions")
	var rows []params
	for _, t := range Types() {
		if t.NoSpot || len(wanted) > 0 && !slices.Contains(wanted, t.Name) {
			continue
		}
		for _, z := range x.f.zones() {
			if !t.in(z) || zone != "" && zone != z {
				continue
			}
			for _, product := range []string{"Linux/UNIX", "Windows"} {
				if len(products) > 0 && !slices.Contains(products, product) && !slices.Contains(products, product+" (Amazon VPC)") {
					continue
				}
				cost := x.f.spot(&t, z)
				for n := range 3 { // it changes every five hours
					at := second(now.Add(-time.Hour - time.Duration(n)*5*time.Hour))
					if p := cost * (1 + 0.02*float64(n)); !at.After(end) {
						if product == "Windows" {
							p *= 1.8
						}
						rows = append(rows, params{"InstanceType": t.Name, "AvailabilityZone": z, "ProductDescription": product, "SpotPrice": fmt.Sprintf("%.6f", p), "Timestamp": at})
						if !at.After(start) && !start.IsZero() {
							break
						}
					}
				}
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b params) int { return b["Timestamp"].(time.Time).Compare(a["Timestamp"].(time.Time)) })
	out, no := x.filtered("SpotPriceHistory", rows, pageRule{1, 1000, ""})
	if no == nil && out["NextToken"] == nil {
		out["NextToken"] = ""
	}
	return out, no
}

func (x *exchange) describeSpotRequests() (params, *refusal) {
	ids := x.in.strs("SpotInstanceRequestIds")
	var rows []params
	for _, i := range x.f.instances {
		if !i.spot || len(ids) > 0 && !slices.Contains(ids, i.sir) {
			continue
		}
		state, code := "active", "fulfilled"
		switch {
		case !i.sirOpen:
			state, code = "cancelled", "request-canceled-and-instance-running"
		case i.state == "terminated":
			state, code = "closed", "instance-terminated-by-user"
			if i.code == "Server.SpotInstanceTermination" {
				code = "instance-terminated-no-capacity"
			}
		case !i.notice.IsZero():
			code = "marked-for-termination"
		}
		rows = append(rows, params{"SpotInstanceRequestId": i.sir, "InstanceId": i.id, "State": state, "Type": "one-time", "CreateTime": i.born, "ProductDescription": "Linux/UNIX",
			"LaunchedAvailabilityZone": i.zone, "InstanceInterruptionBehavior": "terminate", "Tags": []params{}, "Status": params{"Code": code, "Message": code, "UpdateTime": i.born}})
	}
	if len(ids) > len(rows) {
		return nil, bad("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", ids[0])
	}
	return x.filtered("SpotInstanceRequests", rows, pageRule{5, 1000, "SpotInstanceRequestIds"})
}

func (x *exchange) cancelSpotRequests() (params, *refusal) {
	var rows []params
	for _, id := range x.in.strs("SpotInstanceRequestIds") {
		n := slices.IndexFunc(x.f.instances, func(i *instance) bool { return i.sir == id })
		if n < 0 {
			return nil, bad("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
		}
		x.f.instances[n].sirOpen = false
		rows = append(rows, params{"SpotInstanceRequestId": id, "State": "cancelled"})
	}
	return params{"CancelledSpotInstanceRequests": rows}, nil
}
