package aws

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

const (
	networkAge = 6 * time.Hour
	groupAge   = time.Minute // a group is swept when its owner has no machine
)

// subnet is where a machine's interface is.
type subnet struct{ id, zone, vpc string }

// ownSubnets reads the records of the subnets that machines may be launched in, by zone; nil: those of the default VPC.
func (p *Provider) ownSubnets(ctx context.Context, ids []string) (map[string]subnet, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return p.subnets.get(ctx, strings.Join(ids, ","), networkAge, func(ctx context.Context) (map[string]subnet, error) {
		out, err := p.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: ids})
		if err != nil {
			return nil, beforehand(err)
		}
		if out.Subnets == nil {
			return nil, errNoList
		}
		all := map[string]subnet{}
		for _, s := range out.Subnets {
			zone := awssdk.ToString(s.AvailabilityZone)
			if _, taken := all[zone]; !taken {
				all[zone] = subnet{awssdk.ToString(s.SubnetId), zone, awssdk.ToString(s.VpcId)}
			}
		}
		return all, nil
	})
}

// ownZones are the zones of the configured subnets; nil: all.
func (p *Provider) ownZones(ctx context.Context) ([]string, error) {
	all, err := p.ownSubnets(ctx, p.cfg.Subnets)
	if all == nil {
		return nil, err
	}
	var zones []string
	for zone := range all {
		zones = append(zones, zone)
	}
	return zones, nil
}

// place says where the machine is to be: its zone, and with own subnets the one there; and its security groups.
func (p *Provider) place(ctx context.Context, in *ec2.RunInstancesInput, o LaunchOptions, s shape, owner string) error {
	in.Placement = &types.Placement{AvailabilityZone: &s.zone}
	ids := p.cfg.Subnets
	if o.Subnet != "" {
		ids = []string{o.Subnet}
	}
	nets, err := p.ownSubnets(ctx, ids)
	if err != nil {
		return err
	}
	net, ok := nets[s.zone]
	switch {
	case nets != nil && !ok:
		return elsewhere("no subnet that was named is in %s", s.zone)
	case ok:
		in.SubnetId = &net.id
	}
	if in.SecurityGroupIds = o.SecurityGroups; len(o.SecurityGroups) > 0 {
		return nil
	}
	if net.vpc == "" {
		if net.vpc, err = p.defaultVPC(ctx); err != nil {
			return err
		}
	}
	group, err := p.group(ctx, owner, net.vpc)
	in.SecurityGroupIds = []string{group}
	return err
}

// elsewhere refuses an offer for its zone, so that one of another zone is tried.
func elsewhere(format string, args ...any) error {
	e := invalid(format, args...)
	e.Kind, e.Scope = runctl.ErrCapacity, runctl.ScopeZone
	return e
}

func (p *Provider) defaultVPC(ctx context.Context) (string, error) {
	return p.vpc.get(ctx, "", networkAge, func(ctx context.Context) (string, error) {
		out, err := p.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: filter("is-default", "true")})
		if err != nil {
			return "", classify(err)
		}
		if len(out.Vpcs) == 0 {
			return "", invalid("the account has no default VPC in %s: set Config.Subnets or LaunchOptions.Subnet", p.cfg.Region)
		}
		return awssdk.ToString(out.Vpcs[0].VpcId), nil
	})
}

// group finds the owner's security group in a VPC, or makes it. It lets everything out and nothing in.
func (p *Provider) group(ctx context.Context, owner, vpc string) (string, error) {
	return p.groups.get(ctx, owner+"/"+vpc, groupAge, func(ctx context.Context) (string, error) {
		if id, err := p.findGroup(ctx, owner, vpc); id != "" || err != nil {
			return id, err
		}
		out, err := p.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			GroupName: awssdk.String(groupName(owner)), VpcId: &vpc, Description: awssdk.String("machines that runctl launched for " + owner),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{tag("Name", groupName(owner)), tag(ownerTag, owner)}}},
		}, once)
		if err == nil {
			return awssdk.ToString(out.GroupId), nil
		}
		if codeOf(err) == "InvalidGroup.Duplicate" { // another process was faster
			if id, err := p.findGroup(ctx, owner, vpc); id != "" || err != nil {
				return id, err
			}
			err = errors.Join(err, errors.New("a group of this name is not tagged "+ownerTag+": rename it"))
		}
		return "", classify(err)
	})
}

func groupName(owner string) string { return "runctl-" + owner }

// findGroup returns the id of the owner's own group, "" when there is none.
func (p *Provider) findGroup(ctx context.Context, owner, vpc string) (string, error) {
	out, err := p.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{
		Filters: slices.Concat(filter("group-name", groupName(owner)), filter("vpc-id", vpc), filter("tag:"+ownerTag, owner))})
	if err != nil {
		return "", classify(err)
	}
	if out.SecurityGroups == nil {
		return "", errNoList
	}
	if len(out.SecurityGroups) == 0 {
		return "", nil
	}
	return awssdk.ToString(out.SecurityGroups[0].GroupId), nil
}

// Sweep implements [runctl.Sweeper]: it deletes the owner's own security groups. One that anything is still in stays.
func (p *Provider) Sweep(ctx context.Context, owner string) error {
	out, err := p.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{
		Filters: slices.Concat(filter("group-name", groupName(owner)), filter("tag:"+ownerTag, owner))})
	if err != nil {
		return classify(err)
	}
	p.groups.clear()
	for _, g := range out.SecurityGroups {
		if awssdk.ToString(g.GroupName) != groupName(owner) || tagOf(g.Tags, ownerTag) != owner {
			continue
		}
		_, err := p.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: g.GroupId}, once)
		if code := codeOf(err); err != nil && code != "DependencyViolation" && code != "InvalidGroup.InUse" && code != "InvalidGroup.NotFound" {
			return classify(err)
		}
	}
	return nil
}

var _ runctl.Sweeper = (*Provider)(nil)
