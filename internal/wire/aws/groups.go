package aws

import (
	"net/netip"
	"slices"
)

// group is a security group.
type group struct {
	id, name, about, vpc string
	tags                 map[string]string
	rules                []*groupRule
}

// groupRule is one line of a group: a protocol, ports, and whom it lets in or out.
type groupRule struct {
	id, protocol string
	from, to     int
	cidr, other  string // an address range, or a group
	egress       bool
	about        string
	tags         map[string]string
}

func (r groupRule) same(o *groupRule) bool {
	return r.protocol == o.protocol && r.from == o.from && r.to == o.to && r.cidr == o.cidr && r.other == o.other && r.egress == o.egress
}

// newGroup makes a group; everything may go out of it.
func (f *Face) newGroup(name, about, vpc string, tags map[string]string) *group {
	g := &group{id: f.newID("sg"), name: name, about: about, vpc: vpc, tags: tags}
	g.rules = []*groupRule{{id: f.newID("sgr"), protocol: "-1", from: -1, to: -1, cidr: "0.0.0.0/0", egress: true}}
	return g
}

func (f *Face) group(id string) *group {
	for _, g := range f.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// groupsAsked are the groups of a launch; nil stands for one that does not exist. Without any it is the VPC's default group.
func (f *Face) groupsAsked(in params) (all []*group) {
	ids := in.strs("SecurityGroupIds")
	for _, n := range in.list("NetworkInterfaces") {
		ids = append(ids, n.strs("Groups")...)
	}
	for _, id := range ids {
		all = append(all, f.group(id))
	}
	for _, name := range in.strs("SecurityGroups") {
		n := slices.IndexFunc(f.groups, func(g *group) bool { return g.name == name })
		if n < 0 {
			return []*group{nil}
		}
		all = append(all, f.groups[n])
	}
	if len(all) == 0 && len(f.groups) > 0 {
		all = f.groups[:1:1]
	}
	return all
}

// tagsFor are the tags that a request gives to a thing that it makes.
func tagsFor(in params, kind string) (map[string]string, *refusal) {
	tags := map[string]string{}
	for _, s := range in.list("TagSpecifications") {
		if s.str("ResourceType") != kind || badTags(s) {
			return nil, bad("InvalidParameterValue", "the tags of '%s' are wrong here", s.str("ResourceType"))
		}
		for _, t := range tagsIn(s) {
			tags[t.key] = t.value
		}
	}
	return tags, nil
}

func (x *exchange) createGroup() (params, *refusal) {
	name, about, vpc := x.in.str("GroupName"), x.in.str("Description"), x.in.str("VpcId")
	if vpc == "" {
		vpc = vpcID
	}
	tags, no := tagsFor(x.in, "security-group")
	switch {
	case no != nil:
		return nil, no
	case vpc != vpcID || x.f.opt.NoVPC:
		return nil, bad("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", vpc)
	case name == "" || len(name) > 255 || about == "" || len(about) > 255 || len(name) > 2 && name[:3] == "sg-":
		return nil, bad("InvalidParameterValue", "Invalid value for groupName or groupDescription")
	case slices.ContainsFunc(x.f.groups, func(g *group) bool { return g.name == name && g.vpc == vpc }):
		return nil, bad("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", name, vpc)
	}
	g := x.f.newGroup(name, about, vpc, tags)
	x.f.groups = append(x.f.groups, g)
	return params{"GroupId": g.id, "Tags": tagRows(tags), "SecurityGroupArn": x.f.arn("security-group/%s", g.id)}, nil
}

// groupAsked is the group that a request names.
func (x *exchange) groupAsked() (*group, *refusal) {
	id, name := x.in.str("GroupId"), x.in.str("GroupName")
	for _, g := range x.f.groups {
		if g.id == id || id == "" && g.name == name {
			return g, nil
		}
	}
	return nil, bad("InvalidGroup.NotFound", "The security group '%s' does not exist", id+name)
}

// deleteGroup refuses while anything stands in the group, or names it.
func (x *exchange) deleteGroup() (params, *refusal) {
	g, no := x.groupAsked()
	if no != nil {
		return nil, no
	}
	if g.name == "default" {
		return nil, bad("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", g.id)
	}
	for _, i := range x.f.instances {
		if slices.Contains(i.groups, g) {
			return nil, bad("DependencyViolation", "resource %s has a dependent object", g.id)
		}
	}
	for _, o := range x.f.groups {
		if o != g && slices.ContainsFunc(o.rules, func(r *groupRule) bool { return r.other == g.id }) {
			return nil, bad("DependencyViolation", "resource %s has a dependent object", g.id)
		}
	}
	x.f.groups = slices.DeleteFunc(x.f.groups, func(o *group) bool { return o == g })
	return params{"Return": true, "GroupId": g.id}, nil
}

// rulesAsked are the rules that a request spells out.
func (x *exchange) rulesAsked(egress bool) (rules []*groupRule, no *refusal) {
	permissions := x.in.list("IpPermissions")
	if cidr := x.in.str("CidrIp"); cidr != "" {
		permissions = append(permissions, params{"IpProtocol": x.in["IpProtocol"], "FromPort": x.in["FromPort"], "ToPort": x.in["ToPort"],
			"IpRanges": []any{params{"CidrIp": cidr}}})
	}
	for _, p := range permissions {
		r := groupRule{protocol: p.str("IpProtocol"), from: p.num(-1, "FromPort"), to: p.num(-1, "ToPort"), egress: egress}
		if !slices.Contains([]string{"tcp", "udp", "icmp", "-1", "icmpv6"}, r.protocol) || r.from > r.to || r.to > 65535 || r.protocol == "tcp" && r.from < 0 {
			return nil, bad("InvalidParameterValue", "Invalid ports %d-%d of protocol '%s'", r.from, r.to, r.protocol)
		}
		add := func(cidr, other, about string) {
			c := r
			c.cidr, c.other, c.about = cidr, other, about
			rules = append(rules, &c)
		}
		for member, field := range map[string]string{"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6"} {
			for _, to := range p.list(member) {
				prefix, err := netip.ParsePrefix(to.str(field))
				if err != nil || prefix.Masked() != prefix || prefix.Addr().Is4() != (field == "CidrIp") {
					return nil, bad("InvalidParameterValue", "CIDR block %s is malformed", to.str(field))
				}
				add(to.str(field), "", to.str("Description"))
			}
		}
		for _, to := range p.list("UserIdGroupPairs") {
			if x.f.group(to.str("GroupId")) == nil {
				return nil, bad("InvalidGroup.NotFound", "The security group '%s' does not exist", to.str("GroupId"))
			}
			add("", to.str("GroupId"), to.str("Description"))
		}
	}
	return rules, nil
}

func (x *exchange) authorizeIngress() (params, *refusal) { return x.authorize(false) }
func (x *exchange) authorizeEgress() (params, *refusal)  { return x.authorize(true) }
func (x *exchange) revokeIngress() (params, *refusal)    { return x.revoke(false) }
func (x *exchange) revokeEgress() (params, *refusal)     { return x.revoke(true) }

func (x *exchange) authorize(egress bool) (params, *refusal) {
	g, no := x.groupAsked()
	if no != nil {
		return nil, no
	}
	rules, no := x.rulesAsked(egress)
	if no != nil {
		return nil, no
	}
	tags, no := tagsFor(x.in, "security-group-rule")
	if no != nil {
		return nil, no
	}
	if len(rules) == 0 {
		return nil, bad("MissingParameter", "Either 'ipPermissions' or a CIDR is needed")
	}
	for _, r := range rules {
		if slices.ContainsFunc(g.rules, func(o *groupRule) bool { return r.same(o) }) {
			return nil, bad("InvalidPermission.Duplicate", "the specified rule \"peer: %s, %s, from port: %d, to port: %d, ALLOW\" already exists", r.cidr, r.protocol, r.from, r.to)
		}
	}
	if len(g.rules)+len(rules) > 120 {
		return nil, bad("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	rows := []params{}
	for _, r := range rules {
		r.id, r.tags = x.f.newID("sgr"), tags
		g.rules = append(g.rules, r)
		rows = append(rows, g.ruleRow(r))
	}
	return params{"Return": true, "SecurityGroupRules": rows}, nil
}

func (x *exchange) revoke(egress bool) (params, *refusal) {
	g, no := x.groupAsked()
	if no != nil {
		return nil, no
	}
	rules, no := x.rulesAsked(egress)
	if no != nil {
		return nil, no
	}
	var doomed []*groupRule
	for _, id := range x.in.strs("SecurityGroupRuleIds") {
		n := slices.IndexFunc(g.rules, func(o *groupRule) bool { return o.id == id })
		if n < 0 {
			return nil, bad("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
		}
		doomed = append(doomed, g.rules[n])
	}
	for _, r := range rules {
		n := slices.IndexFunc(g.rules, func(o *groupRule) bool { return r.same(o) })
		if n < 0 {
			return nil, bad("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		doomed = append(doomed, g.rules[n])
	}
	if len(doomed) == 0 {
		return nil, bad("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' is needed")
	}
	g.rules = slices.DeleteFunc(g.rules, func(o *groupRule) bool { return slices.Contains(doomed, o) })
	return params{"Return": true}, nil
}
