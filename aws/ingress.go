package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

// ingressAge is for how long a rule is believed to be there, and this computer to have the address that it lets in: whoever
// cannot connect tries again, and a laptop that has moved is let in then.
const ingressAge = 30 * time.Second

// addressService answers, in plain text, with the address that a request comes from. It is AWS's own.
const addressService = "https://checkip.amazonaws.com/"

// letIn lets this computer reach port 22 of a machine that has its owner's own security group: one rule for each
// network of Config.SSHFrom, or one for the address that this computer has now. Rules that this computer made before, for
// addresses that it had then, are taken away. Groups that somebody named are left alone.
func (p *Provider) letIn(ctx context.Context, v *types.Instance) error {
	name := groupName(tagOf(v.Tags, ownerTag))
	at := slices.IndexFunc(v.SecurityGroups, func(g types.GroupIdentifier) bool { return awssdk.ToString(g.GroupName) == name })
	if at < 0 {
		return nil
	}
	id := awssdk.ToString(v.SecurityGroups[at].GroupId)
	_, err := p.rules.get(ctx, id, ingressAge, func(ctx context.Context) (string, error) {
		from := p.cfg.SSHFrom
		if len(from) == 0 {
			own, err := p.address(ctx)
			if err != nil {
				return "", err
			}
			from = []string{netip.PrefixFrom(own, own.BitLen()).String()}
		}
		return strings.Join(from, " "), p.setRules(ctx, id, from)
	})
	return err
}

// setRules makes the rules of this computer those for the given networks. The new come before the old go, so that a
// connection that stands is never cut.
func (p *Provider) setRules(ctx context.Context, group string, from []string) error {
	out, err := p.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{group}})
	if err != nil {
		return classify(err)
	}
	if len(out.SecurityGroups) != 1 || awssdk.ToString(out.SecurityGroups[0].GroupId) != group {
		return invalid("EC2 does not show the security group %s", clip(group))
	}
	have := map[string]string{} // network: description
	for _, perm := range out.SecurityGroups[0].IpPermissions {
		if awssdk.ToString(perm.IpProtocol) != "tcp" || awssdk.ToInt32(perm.FromPort) != p.cfg.SSHPort || awssdk.ToInt32(perm.ToPort) != p.cfg.SSHPort {
			continue
		}
		for _, r := range perm.IpRanges {
			have[awssdk.ToString(r.CidrIp)] = awssdk.ToString(r.Description)
		}
		for _, r := range perm.Ipv6Ranges {
			have[awssdk.ToString(r.CidrIpv6)] = awssdk.ToString(r.Description)
		}
	}
	mine := computer()
	for _, cidr := range from {
		if _, there := have[cidr]; there {
			continue
		}
		_, err := p.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group,
			IpPermissions: []types.IpPermission{p.permission(cidr, mine)}}, once)
		if err != nil && codeOf(err) != "InvalidPermission.Duplicate" {
			return classify(err)
		}
	}
	for cidr, whose := range have {
		if whose != mine || slices.Contains(from, cidr) {
			continue
		}
		_, err := p.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group,
			IpPermissions: []types.IpPermission{p.permission(cidr, mine)}}, once)
		if err != nil && codeOf(err) != "InvalidPermission.NotFound" {
			return classify(err)
		}
	}
	return nil
}

func (p *Provider) permission(cidr, whose string) types.IpPermission {
	perm := types.IpPermission{IpProtocol: awssdk.String("tcp"), FromPort: &p.cfg.SSHPort, ToPort: &p.cfg.SSHPort}
	if strings.Contains(cidr, ":") {
		perm.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: &cidr, Description: &whose}}
	} else {
		perm.IpRanges = []types.IpRange{{CidrIp: &cidr, Description: &whose}}
	}
	return perm
}

// computer is how rules say that this computer made them: a hash of its name, which nobody else needs to know.
func computer() string {
	name, _ := os.Hostname() // "" where there is none: then computers without a name share their rules
	h := sha256.Sum256([]byte(name))
	return "runctl " + hex.EncodeToString(h[:6])
}

// address is what this computer's address is as AWS sees it.
func (p *Provider) address(ctx context.Context) (netip.Addr, error) {
	fail := func(err error) (netip.Addr, error) {
		return netip.Addr{}, &runctl.Error{Kind: runctl.ErrUnavailable, Err: err,
			Msg: "this computer's own address could not be found out; say in SSHFrom from where machines are entered, or use SSM"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addressService, nil)
	if err != nil {
		return fail(err)
	}
	reply, err := p.ec2.Options().HTTPClient.Do(req)
	if err != nil {
		return fail(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, 100))
	if err != nil {
		return fail(err)
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(string(text)))
	if err != nil || reply.StatusCode != http.StatusOK || !addr.Unmap().IsGlobalUnicast() {
		return fail(err)
	}
	return addr.Unmap(), nil
}
