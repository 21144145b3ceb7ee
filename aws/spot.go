package aws

import (
	"context"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

// maxNamed is how many types a request for spot prices names; for more it asks for all.
const maxNamed = 100

// linux is what spot prices call a machine without a licence.
const linux = "Linux/UNIX"

// spot returns a look-up of the current spot prices, by type and zone. That they cannot be had is no error: the look-up
// says why.
func (p *Provider) spot(ctx context.Context, names []string) (func(name, zone string) runctl.Price, error) {
	if len(names) == 0 {
		return func(string, string) runctl.Price { return runctl.Price{} }, nil
	}
	if len(names) > maxNamed {
		names = nil
	}
	names = slices.Sorted(slices.Values(names))
	found, err := p.spots.get(ctx, strings.Join(names, ","), spotAge, func(ctx context.Context) (map[string]runctl.Price, error) { return p.askSpot(ctx, names) })
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	why := "unknown: no history of spot prices here"
	if err != nil {
		why = "unknown: EC2 answers " + clip(codeOf(err))
	}
	return func(name, zone string) runctl.Price {
		if price, ok := found[name+"/"+zone]; ok {
			return price
		}
		return runctl.Price{Source: why}
	}, nil
}

// askSpot asks for the prices of now: a history that begins now has the last one of each type and zone.
func (p *Provider) askSpot(ctx context.Context, names []string) (map[string]runctl.Price, error) {
	now := time.Now()
	in := &ec2.DescribeSpotPriceHistoryInput{StartTime: &now, EndTime: &now, ProductDescriptions: []string{linux}, MaxResults: awssdk.Int32(1000)}
	for _, n := range names {
		in.InstanceTypes = append(in.InstanceTypes, types.InstanceType(n))
	}
	found, since := map[string]runctl.Price{}, map[string]time.Time{}
	err := pages(func(token *string) (*string, error) {
		in.NextToken = token
		out, err := p.ec2.DescribeSpotPriceHistory(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, s := range out.SpotPriceHistory {
			at, where := awssdk.ToTime(s.Timestamp), string(s.InstanceType)+"/"+awssdk.ToString(s.AvailabilityZone)
			hourly, ok := decimal(awssdk.ToString(s.SpotPrice), currencyOf(p.cfg.Region))
			if ok && s.ProductDescription == linux && !at.Before(since[where]) {
				found[where], since[where] = runctl.Price{Hourly: hourly, Source: "spot price history", At: now}, at
			}
		}
		return out.NextToken, nil
	})
	return found, err
}

// currencyOf is what a region's prices are in.
func currencyOf(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "CNY"
	}
	return "USD"
}

// noticeLine tells a spot machine where EC2 says, two minutes before, that it takes the machine back. The service answers
// to programs on the machine alone, each of which must ask for a token first.
const noticeLine = "imds=http://169.254.169.254"
