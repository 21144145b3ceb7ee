package aws

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// places are the names that the price list has for regions.
var places = map[string]string{"us-west-2": "US West (Oregon)", "us-east-1": "US East (N. Virginia)", "eu-central-1": "EU (Frankfurt)"}

// product is one line of the price list: there are many for each instance type, and only one of them is what a plain launch costs.
type product struct {
	attributes map[string]string
	family     string
	unit       string
	usd        float64
}

// products is the list for a region. Beside the shared Linux machine there are Windows, licences, dedicated machines, capacity
// reservations (used ones cost nothing more) and capacity blocks.
func products(region string) (all []product) {
	for _, t := range catalogue {
		base := map[string]string{"instanceType": t.Name, "regionCode": region, "location": places[region], "locationType": "AWS Region", "servicecode": "AmazonEC2",
			"servicename": "Amazon Elastic Compute Cloud", "operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared", "capacitystatus": "Used",
			"licenseModel": "No License required", "operation": "RunInstances", "marketoption": "OnDemand", "usagetype": "USW2-BoxUsage:" + t.Name,
			"vcpu": fmt.Sprint(t.VCPU), "memory": fmt.Sprintf("%d GiB", t.Memory/1024), "currentGeneration": "Yes", "availabilityzone": "NA"}
		if t.GPUs > 0 {
			base["gpu"] = fmt.Sprint(t.GPUs)
		}
		add := func(factor float64, changes ...string) {
			a := map[string]string{}
			for k, v := range base {
				a[k] = v
			}
			for i := 0; i < len(changes); i += 2 {
				a[changes[i]] = changes[i+1]
			}
			all = append(all, product{a, "Compute Instance", "Hrs", t.Hourly * factor})
		}
		add(1)
		add(1.5, "operatingSystem", "Windows", "operation", "RunInstances:0002", "licenseModel", "No License required")
		add(2, "preInstalledSw", "SQL Std", "operation", "RunInstances:0004")
		add(1.1, "tenancy", "Dedicated", "usagetype", "USW2-DedicatedUsage:"+t.Name)
		add(0, "capacitystatus", "AllocatedCapacityReservation", "usagetype", "USW2-Reservation:"+t.Name)
		add(1, "capacitystatus", "UnusedCapacityReservation", "usagetype", "USW2-UnusedBox:"+t.Name)
		if strings.HasPrefix(t.Name, "p5") {
			add(0, "marketoption", "CapacityBlock", "usagetype", "USW2-CapacityBlock:"+t.Name)
		}
	}
	return all
}

// document is a product as GetProducts has it: a text with JSON in it.
func (p product) document() string {
	sum := sha256.Sum256(fmt.Append(nil, p.attributes))
	sku := strings.ToUpper(fmt.Sprintf("%x", sum[:8]))
	offer := sku + ".JRTCKXETXF"
	rate := offer + ".6YS6EN2CT7"
	term := map[string]any{"priceDimensions": map[string]any{rate: map[string]any{"unit": p.unit, "beginRange": "0", "endRange": "Inf", "rateCode": rate, "appliesTo": []any{},
		"description":  fmt.Sprintf("$%.4f per On Demand %s %s Instance Hour", p.usd, p.attributes["operatingSystem"], p.attributes["instanceType"]),
		"pricePerUnit": map[string]string{"USD": fmt.Sprintf("%.10f", p.usd)}}}, "sku": sku, "effectiveDate": "2026-11-01T00:00:00Z", "offerTermCode": "JRTCKXETXF", "termAttributes": map[string]any{}}
	reserved := map[string]any{sku + ".4NA7Y494T4": map[string]any{"priceDimensions": map[string]any{sku + ".4NA7Y494T4.6YS6EN2CT7": map[string]any{"unit": "Hrs",
		"pricePerUnit": map[string]string{"USD": fmt.Sprintf("%.10f", p.usd*0.6)}}}, "termAttributes": map[string]string{"LeaseContractLength": "1yr", "PurchaseOption": "No Upfront"}}}
	b, err := json.Marshal(map[string]any{"product": map[string]any{"productFamily": p.family, "attributes": p.attributes, "sku": sku}, "serviceCode": "AmazonEC2",
		"terms": map[string]any{"OnDemand": map[string]any{offer: term}, "Reserved": reserved}, "version": "20261120170000", "publicationDate": "2026-11-20T17:00:00Z"})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (x *exchange) getProducts() (params, *refusal) {
	if x.in.str("ServiceCode") != "AmazonEC2" {
		return nil, bad("InvalidParameterException", "the face has no prices of %s", x.in.str("ServiceCode"))
	}
	var found []string
	for _, region := range sortedKeys(places) {
		for _, p := range products(region) {
			fits := true
			for _, filter := range x.in.list("Filters") {
				field, want := filter.str("Field"), filter.str("Value")
				have := p.attributes[field]
				if field == "productFamily" {
					have = p.family
				}
				switch filter.str("Type") {
				case "TERM_MATCH", "EQUALS":
					fits = fits && have == want
				case "ANY_OF":
					fits = fits && slices.Contains(strings.Split(want, ","), have)
				default:
					return nil, bad("InvalidParameterException", "the face has no filters of type %s", filter.str("Type"))
				}
			}
			if fits {
				found = append(found, p.document())
			}
		}
	}
	from, to, next, no := x.pageOf(100, len(found), pageRule{1, 100, ""})
	if no != nil {
		return nil, no
	}
	out := params{"FormatVersion": "aws_v1", "PriceList": append([]string{}, found[from:to]...)}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}

func (x *exchange) callerIdentity() (params, *refusal) {
	return params{"UserId": "AIDAFACEFACEFACEFACE0", "Account": account, "Arn": "arn:aws:iam::" + account + ":user/tester"}, nil
}
