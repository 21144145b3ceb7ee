package aws

import (
	"fmt"
	"slices"
	"strings"
)

// permissions is how DescribeSecurityGroups tells rules: those of one protocol and port range together.
func (g *group) permissions(egress bool) []params {
	rows := []params{}
	at := map[string]int{}
	for _, r := range g.rules {
		if r.egress != egress {
			continue
		}
		key := fmt.Sprint(r.protocol, r.from, r.to)
		n, ok := at[key]
		if !ok {
			n = len(rows)
			at[key] = n
			row := params{"IpProtocol": r.protocol, "IpRanges": []params{}, "Ipv6Ranges": []params{}, "UserIdGroupPairs": []params{}, "PrefixListIds": []params{}}
			if r.protocol != "-1" {
				row["FromPort"], row["ToPort"] = r.from, r.to
			}
			rows = append(rows, row)
		}
		member, entry := "IpRanges", params{"CidrIp": r.cidr}
		switch {
		case r.other != "":
			member, entry = "UserIdGroupPairs", params{"GroupId": r.other, "UserId": account}
		case strings.Contains(r.cidr, ":"):
			member, entry = "Ipv6Ranges", params{"CidrIpv6": r.cidr}
		}
		if r.about != "" {
			entry["Description"] = r.about
		}
		rows[n][member] = append(rows[n][member].([]params), entry)
	}
	return rows
}

// ruleRow is how a rule is told by itself.
func (g *group) ruleRow(r *groupRule) params {
	row := params{"SecurityGroupRuleId": r.id, "GroupId": g.id, "GroupOwnerId": account, "IsEgress": r.egress, "IpProtocol": r.protocol, "FromPort": r.from, "ToPort": r.to,
		"Tags": tagRows(r.tags), "Description": r.about}
	switch {
	case r.other != "":
		row["ReferencedGroupInfo"] = params{"GroupId": r.other, "UserId": account}
	case strings.Contains(r.cidr, ":"):
		row["CidrIpv6"] = r.cidr
	default:
		row["CidrIpv4"] = r.cidr
	}
	return row
}

func (x *exchange) describeGroups() (params, *refusal) {
	ids, names := x.in.strs("GroupIds"), x.in.strs("GroupNames")
	for _, id := range ids {
		if x.f.group(id) == nil {
			return nil, bad("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		}
	}
	var rows []params
	for _, g := range x.f.groups {
		if len(ids) > 0 && !slices.Contains(ids, g.id) || len(names) > 0 && !slices.Contains(names, g.name) {
			continue
		}
		rows = append(rows, params{"GroupId": g.id, "GroupName": g.name, "Description": g.about, "VpcId": g.vpc, "OwnerId": account, "Tags": tagRows(g.tags),
			"IpPermissions": g.permissions(false), "IpPermissionsEgress": g.permissions(true), "SecurityGroupArn": x.f.arn("security-group/%s", g.id)})
	}
	if len(names) > len(rows) {
		return nil, bad("InvalidGroup.NotFound", "The security group '%s' does not exist", strings.Join(names, ", "))
	}
	return x.filtered("SecurityGroups", rows, pageRule{5, 1000, "GroupIds"})
}

func (x *exchange) describeRules() (params, *refusal) {
	ids := x.in.strs("SecurityGroupRuleIds")
	var rows []params
	for _, g := range x.f.groups {
		for _, r := range g.rules {
			if len(ids) == 0 || slices.Contains(ids, r.id) {
				rows = append(rows, g.ruleRow(r))
			}
		}
	}
	if len(ids) > len(rows) {
		return nil, bad("InvalidSecurityGroupRuleId.NotFound", "The security group rule IDs '%s' do not exist", strings.Join(ids, ", "))
	}
	return x.filtered("SecurityGroupRules", rows, pageRule{5, 1000, "SecurityGroupRuleIds"})
}
