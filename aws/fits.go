package aws

import (
	"context"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"runctl"
)

// Fits implements [runctl.Fitter]. A machine must be where its data volumes are, and its subnet, and of the architecture
// of an image that was named. It makes one request for the records of data volumes, and otherwise those that the launch
// would make, which does not repeat them.
func (p *Provider) Fits(ctx context.Context, options []runctl.LaunchOption) (func(runctl.Offer) error, error) {
	o, err := p.options(options)
	if err != nil {
		return nil, err
	}
	var zones []string // of each thing that has one
	if o.Subnet != "" {
		nets, err := p.ownSubnets(ctx, []string{o.Subnet})
		if err != nil {
			return nil, err
		}
		for zone := range nets {
			zones = append(zones, zone)
		}
	}
	if len(o.Volumes) > 0 {
		found, err := p.records(ctx, o.Volumes)
		if err != nil {
			return nil, beforehand(err)
		}
		for _, v := range found {
			zones = append(zones, awssdk.ToString(v.AvailabilityZone))
		}
	}
	slices.Sort(zones)
	if zones = slices.Compact(zones); len(zones) > 1 {
		return nil, invalid("LaunchOptions: what they name is in %s and in %s: one machine cannot be in both", zones[0], zones[1])
	}
	var arch string
	if o.Image != "" {
		img, err := p.image(ctx, o.Image)
		if err != nil {
			return nil, beforehand(err)
		}
		arch = img.arch
	}
	return func(offer runctl.Offer) error {
		s, ok := parseShape(offer.ID)
		switch {
		case !ok:
			return invalid("this is no offer of EC2's: take one from Offers")
		case len(zones) > 0 && s.zone != zones[0]:
			return invalid("LaunchOptions: what they name is in %s, and the offer is in %s", zones[0], s.zone)
		case arch != "" && arch != s.arch:
			return invalid("Image: %s is for %s, and %s is %s", o.Image, arch, s.name, s.arch)
		}
		return nil
	}, nil
}

var _ runctl.Fitter = (*Provider)(nil)
