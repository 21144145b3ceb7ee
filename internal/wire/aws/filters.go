package aws

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// filterPaths are the filters that an operation takes, and where in a row of its reply their values stand. "[]" is every item of
// a list. Tags are filtered by tag:KEY, tag-key and tag-value, where a row has Tags.
var filterPaths = map[string]map[string]string{
	"DescribeInstances": {"availability-zone": "Placement.AvailabilityZone", "client-token": "ClientToken", "image-id": "ImageId", "instance-id": "InstanceId",
		"instance-lifecycle": "InstanceLifecycle", "instance-state-code": "State.Code", "instance-state-name": "State.Name", "instance-type": "InstanceType",
		"key-name": "KeyName", "subnet-id": "SubnetId", "vpc-id": "VpcId", "private-ip-address": "PrivateIpAddress", "ip-address": "PublicIpAddress",
		"instance.group-id": "SecurityGroups[].GroupId", "spot-instance-request-id": "SpotInstanceRequestId", "tags": "Tags"},
	"DescribeInstanceStatus":        {"availability-zone": "AvailabilityZone", "instance-state-name": "InstanceState.Name", "instance-state-code": "InstanceState.Code"},
	"DescribeInstanceTypes":         {"instance-type": "InstanceType", "processor-info.supported-architecture": "ProcessorInfo.SupportedArchitectures[]", "current-generation": "CurrentGeneration", "bare-metal": "BareMetal", "supported-usage-class": "SupportedUsageClasses[]"},
	"DescribeInstanceTypeOfferings": {"instance-type": "InstanceType", "location": "Location"},
	"DescribeSpotPriceHistory":      {"availability-zone": "AvailabilityZone", "instance-type": "InstanceType", "product-description": "ProductDescription"},
	"DescribeSpotInstanceRequests":  {"spot-instance-request-id": "SpotInstanceRequestId", "state": "State", "instance-id": "InstanceId", "tags": "Tags"},
	"DescribeImages":                {"architecture": "Architecture", "name": "Name", "image-id": "ImageId", "state": "State", "owner-id": "OwnerId", "owner-alias": "ImageOwnerAlias", "root-device-type": "RootDeviceType", "virtualization-type": "VirtualizationType"},
	"DescribeAvailabilityZones":     {"zone-name": "ZoneName", "state": "State", "region-name": "RegionName", "zone-type": "ZoneType", "opt-in-status": "OptInStatus"},
	"DescribeRegions":               {"region-name": "RegionName", "opt-in-status": "OptInStatus"},
	"DescribeVpcs":                  {"vpc-id": "VpcId", "is-default": "IsDefault", "isDefault": "IsDefault", "state": "State", "tags": "Tags"},
	"DescribeSubnets": {"subnet-id": "SubnetId", "vpc-id": "VpcId", "availability-zone": "AvailabilityZone", "availabilityZone": "AvailabilityZone", "default-for-az": "DefaultForAz",
		"defaultForAz": "DefaultForAz", "state": "State", "tags": "Tags"},
	"DescribeNetworkInterfaces":  {"network-interface-id": "NetworkInterfaceId", "attachment.instance-id": "Attachment.InstanceId", "group-id": "Groups[].GroupId", "vpc-id": "VpcId", "tags": "TagSet"},
	"DescribeSecurityGroups":     {"group-id": "GroupId", "group-name": "GroupName", "vpc-id": "VpcId", "description": "Description", "owner-id": "OwnerId", "ip-permission.cidr": "IpPermissions[].IpRanges[].CidrIp", "tags": "Tags"},
	"DescribeSecurityGroupRules": {"group-id": "GroupId", "security-group-rule-id": "SecurityGroupRuleId", "tags": "Tags"},
	"DescribeKeyPairs":           {"key-name": "KeyName", "key-pair-id": "KeyPairId", "fingerprint": "KeyFingerprint", "tags": "Tags"},
	"DescribeVolumes": {"volume-id": "VolumeId", "status": "State", "availability-zone": "AvailabilityZone", "size": "Size", "volume-type": "VolumeType",
		"attachment.instance-id": "Attachments[].InstanceId", "attachment.device": "Attachments[].Device", "attachment.status": "Attachments[].State", "tags": "Tags"},
	"DescribeTags":                           {"resource-id": "ResourceId", "resource-type": "ResourceType", "key": "Key", "value": "Value"},
	"DescribeIamInstanceProfileAssociations": {"instance-id": "InstanceId", "state": "State"},
}

// pageRule is what an operation takes for MaxResults, and the list of names with which it takes none.
type pageRule struct {
	least, most int
	ids         string
}

// filtered replies with the rows that the request's filters let pass, a page of them.
func (x *exchange) filtered(member string, rows []params, rule pageRule) (params, *refusal) {
	rows, no := x.matching(rows)
	if no != nil {
		return nil, no
	}
	from, to, next, no := x.page(len(rows), rule)
	if no != nil {
		return nil, no
	}
	out := params{member: append([]params{}, rows[from:to]...)}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}

// matching are the rows that pass every filter.
func (x *exchange) matching(rows []params) ([]params, *refusal) {
	for _, filter := range x.in.list("Filters") {
		name, values := filter.str("Name"), filter.strs("Values")
		paths := filterPaths[x.o.name]
		path, ok := paths[name]
		kind, key, _ := strings.Cut(name, ":")
		if tags := paths["tags"]; !ok && tags != "" && (kind == "tag" && key != "" || name == "tag-key" || name == "tag-value") {
			path, ok = tags, true
		}
		if !ok || name == "tags" {
			return nil, bad("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
		if len(values) == 0 || len(values) > 200 {
			return nil, bad("InvalidParameterValue", "The filter '%s' has %d values", name, len(values))
		}
		var globs []*regexp.Regexp
		for _, v := range values {
			globs = append(globs, glob(v))
		}
		rows = slices.DeleteFunc(slices.Clone(rows), func(row params) bool {
			for _, have := range valuesAt(row, path, kind, key) {
				if slices.ContainsFunc(globs, func(g *regexp.Regexp) bool { return g.MatchString(have) }) {
					return false
				}
			}
			return true
		})
	}
	return rows, nil
}

// glob is a filter's value, in which * and ? stand for others unless there is a backslash before them.
func glob(s string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		case s[i] == '*':
			b.WriteString("(?s:.*)")
		case s[i] == '?':
			b.WriteString("(?s:.)")
		default:
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	return regexp.MustCompile("^" + b.String() + "$")
}

// valuesAt are the texts at a path of a row; of tags, the values of a key, all keys or all values.
func valuesAt(row params, path, kind, key string) (all []string) {
	if kind == "tag" || kind == "tag-key" || kind == "tag-value" {
		for _, t := range tagsOf(row[path]) {
			switch {
			case kind == "tag" && t.key == key, kind == "tag-value":
				all = append(all, t.value)
			case kind == "tag-key":
				all = append(all, t.key)
			}
		}
		return all
	}
	at := []any{row}
	for _, step := range strings.Split(path, ".") {
		name, each := strings.CutSuffix(step, "[]")
		var next []any
		for _, v := range at {
			v = v.(params)[name]
			switch list := v.(type) {
			case []params:
				for _, e := range list {
					next = append(next, e)
				}
			case []string:
				for _, e := range list {
					next = append(next, e)
				}
			case nil:
			default:
				if !each {
					next = append(next, v)
				}
			}
		}
		at = next
	}
	for _, v := range at {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

type tag struct{ key, value string }

func tagsOf(v any) (all []tag) {
	list, _ := v.([]params)
	for _, t := range list {
		all = append(all, tag{t["Key"].(string), t["Value"].(string)})
	}
	return all
}

// page is the part of n rows that was asked for, and the token of the next.
func (x *exchange) page(n int, rule pageRule) (from, to int, next string, no *refusal) {
	return x.pageOf(n, n, rule)
}

// pageOf is page with so many rows where the request does not say how many it wants.
func (x *exchange) pageOf(usual, n int, rule pageRule) (from, to int, next string, no *refusal) {
	limit := usual
	if x.in.has("MaxResults") {
		limit = x.in.num(0, "MaxResults")
		if limit < rule.least || limit > rule.most {
			return 0, 0, "", bad("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", limit, rule.least, rule.most)
		}
		if rule.ids != "" && x.in.has(rule.ids) {
			return 0, 0, "", bad("InvalidParameterCombination", "The parameter %s cannot be used with the parameter maxResults", rule.ids)
		}
	}
	if m := x.f.opt.MaxPage; m > 0 {
		limit = min(limit, m)
	}
	if token := x.in.str("NextToken"); token != "" {
		text, err := base64.StdEncoding.DecodeString(token)
		at, ok := strings.CutPrefix(string(text), x.o.name+" ")
		if from, _ = strconv.Atoi(at); err != nil || !ok || from <= 0 {
			return 0, 0, "", bad("InvalidNextToken", "The token '%s' is invalid", token)
		}
	}
	from = min(from, n)
	to = min(from+limit, n)
	if to < n {
		next = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", x.o.name, to))
	}
	return from, to, next, nil
}
