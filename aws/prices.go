package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	pricingtypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"runctl"
)

const (
	priceAge = 12 * time.Hour  // for how long an on-demand price is believed
	spotAge  = 5 * time.Minute // for how long a spot price is
	failAge  = time.Minute     // for how long prices are not asked for again after they could not be had
	single   = 16              // so many types are asked for one by one
)

// pricingRegion is where prices are asked for: the Pricing API is in few regions, and knows the prices of all in its
// partition.
func pricingRegion(region string) string {
	switch area, _, _ := strings.Cut(region, "-"); area {
	case "cn":
		return "cn-northwest-1"
	case "eu", "me", "af", "il":
		return "eu-central-1"
	case "ap":
		return "ap-south-1"
	}
	return "us-east-1"
}

// onDemand returns a look-up of on-demand prices. That they cannot be had is no error: the look-up says why.
func (p *Provider) onDemand(ctx context.Context, names []string) (func(name string) runctl.Price, error) {
	if len(names) > single {
		names = []string{""}
	}
	found := map[string]runctl.Price{}
	why, refused := p.unpriced.look("", failAge)
	for _, name := range names {
		some, err := p.prices.get(ctx, name, priceAge, func(ctx context.Context) (map[string]runctl.Price, error) {
			if refused {
				return nil, errors.New(why)
			}
			return p.askPrices(ctx, name)
		})
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && !refused {
			why, refused = "the Pricing API answers "+clip(cmp.Or(codeOf(err), "nothing")), true
			p.unpriced.keep("", why, failAge)
		}
		maps.Copy(found, some)
	}
	return func(name string) runctl.Price {
		if price, ok := found[name]; ok {
			return price
		}
		return runctl.Price{Source: "unknown: " + cmp.Or(why, "the Pricing API has none for this type here")}
	}, nil
}

// askPrices asks for one type, or with "" for all of the region.
func (p *Provider) askPrices(ctx context.Context, name string) (map[string]runctl.Price, error) {
	want := map[string]string{"regionCode": p.cfg.Region, "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA",
		"capacitystatus": "Used", "marketoption": "OnDemand"}
	if name != "" {
		want["instanceType"] = name
	}
	in := &pricing.GetProductsInput{ServiceCode: awssdk.String("AmazonEC2"), FormatVersion: awssdk.String("aws_v1"), MaxResults: awssdk.Int32(100)}
	for field, value := range want {
		in.Filters = append(in.Filters, pricingtypes.Filter{Type: pricingtypes.FilterTypeTermMatch, Field: awssdk.String(field), Value: awssdk.String(value)})
	}
	found := map[string]runctl.Price{}
	err := pages(func(token *string) (*string, error) {
		in.NextToken = token
		out, err := p.pricing.GetProducts(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, text := range out.PriceList {
			if name, hourly, ok := parseProduct(text, p.cfg.Region); ok {
				found[name] = runctl.Price{Hourly: hourly, Source: "AWS Pricing API", At: time.Now()}
			}
		}
		return out.NextToken, nil
	})
	return found, err
}

// product is what is read of a document of the Pricing API.
type product struct {
	Product struct {
		Attributes struct {
			InstanceType, RegionCode, OperatingSystem, Tenancy, PreInstalledSw, CapacityStatus, MarketOption string
		}
	}
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				Unit         string
				PricePerUnit map[string]string
			}
		}
	}
}

// parseProduct reads the hourly price of a type. A product that is none of ours, and a price of nothing, which stands
// where a price is missing, are no price.
func parseProduct(text, region string) (name string, hourly runctl.Money, ok bool) {
	var d product
	if json.Unmarshal([]byte(text), &d) != nil {
		return "", runctl.Money{}, false
	}
	a := d.Product.Attributes
	if a.InstanceType == "" || a.RegionCode != region || a.OperatingSystem != "Linux" || a.Tenancy != "Shared" || a.PreInstalledSw != "NA" ||
		a.CapacityStatus != "Used" || a.MarketOption != "" && a.MarketOption != "OnDemand" {
		return "", runctl.Money{}, false
	}
	for _, term := range d.Terms.OnDemand {
		for _, dim := range term.PriceDimensions {
			for _, currency := range []string{"USD", "CNY"} {
				if m, ok := decimal(dim.PricePerUnit[currency], currency); ok && dim.Unit == "Hrs" {
					return a.InstanceType, m, true
				}
			}
		}
	}
	return "", runctl.Money{}, false
}

// decimal reads an amount such as 98.3200000000. Nothing, and what is too much to be true, is none.
func decimal(s, currency string) (runctl.Money, bool) {
	if len(s) > 40 || strings.Trim(s, "0123456789.") != "" {
		return runctl.Money{}, false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return runctl.Money{}, false
	}
	r.Mul(r, big.NewRat(1e9, 1))
	nanos := new(big.Int).Quo(r.Num(), r.Denom())
	if nanos.Sign() <= 0 || !nanos.IsInt64() || nanos.Int64() > 1e15 {
		return runctl.Money{}, false
	}
	return runctl.Money{Nanos: nanos.Int64(), Currency: currency}, true
}
