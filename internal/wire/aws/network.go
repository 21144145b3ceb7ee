package aws

import (
	"fmt"
	"slices"
	"strings"
)

// vpcID is the default VPC, with a subnet in each zone.
const vpcID = "vpc-0face0face0face01"

func subnetID(zone int) string { return fmt.Sprintf("subnet-0face0face0face%d1", zone) }

func (x *exchange) describeRegions() (params, *refusal) {
	var rows []params
	for _, r := range []string{"eu-central-1", "us-east-1", "us-west-2"} {
		rows = append(rows, params{"RegionName": r, "Endpoint": "ec2." + r + ".amazonaws.com", "OptInStatus": "opt-in-not-required"})
	}
	rows, no := x.matching(rows)
	if no != nil {
		return nil, no
	}
	return params{"Regions": rows}, nil
}

func (x *exchange) describeZones() (params, *refusal) {
	var rows []params
	for n, z := range x.f.zones() {
		if names := x.in.strs("ZoneNames"); len(names) == 0 || slices.Contains(names, z) {
			rows = append(rows, params{"ZoneName": z, "RegionName": x.f.opt.region(), "State": "available", "ZoneType": "availability-zone", "ZoneId": fmt.Sprintf("usw2-az%d", n+1),
				"OptInStatus": "opt-in-not-required", "GroupName": x.f.opt.region() + "-zg-1", "NetworkBorderGroup": x.f.opt.region()})
		}
	}
	rows, no := x.matching(rows)
	if no != nil {
		return nil, no
	}
	return params{"AvailabilityZones": rows}, nil
}

func (x *exchange) describeVpcs() (params, *refusal) {
	rows := []params{{"VpcId": vpcID, "IsDefault": true, "State": "available", "CidrBlock": "172.31.0.0/16", "OwnerId": account, "InstanceTenancy": "default", "Tags": []params{}}}
	if x.f.opt.NoVPC {
		rows = nil
	}
	for _, id := range x.in.strs("VpcIds") {
		if id != vpcID || x.f.opt.NoVPC {
			return nil, bad("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
		}
	}
	return x.filtered("Vpcs", rows, pageRule{5, 1000, "VpcIds"})
}

func (x *exchange) describeSubnets() (params, *refusal) {
	wanted := x.in.strs("SubnetIds")
	var rows []params
	for n, z := range x.f.zones() {
		if !x.f.opt.NoVPC && (len(wanted) == 0 || slices.Contains(wanted, subnetID(n))) {
			rows = append(rows, params{"SubnetId": subnetID(n), "VpcId": vpcID, "AvailabilityZone": z, "State": "available", "CidrBlock": fmt.Sprintf("172.31.%d.0/20", 16*n),
				"DefaultForAz": true, "MapPublicIpOnLaunch": true, "AvailableIpAddressCount": 4091, "OwnerId": account, "Tags": []params{},
				"SubnetArn": x.f.arn("subnet/%s", subnetID(n))})
		}
	}
	if len(wanted) > len(rows) {
		return nil, bad("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", strings.Join(wanted, ", "))
	}
	return x.filtered("Subnets", rows, pageRule{5, 1000, "SubnetIds"})
}

func (x *exchange) describeInterfaces() (params, *refusal) {
	wanted := x.in.strs("NetworkInterfaceIds")
	var rows []params
	for _, i := range x.f.instances {
		if i.state == "terminated" || len(wanted) > 0 && !slices.Contains(wanted, i.eni()) {
			continue
		}
		groups := []params{}
		for _, g := range i.groups {
			groups = append(groups, params{"GroupId": g.id, "GroupName": g.name})
		}
		rows = append(rows, params{"NetworkInterfaceId": i.eni(), "VpcId": vpcID, "SubnetId": i.subnet, "AvailabilityZone": i.zone, "Status": "in-use", "OwnerId": account,
			"Groups": groups, "PrivateIpAddress": i.private(), "InterfaceType": "interface", "TagSet": tagRows(i.eniTags),
			"Attachment": params{"InstanceId": i.id, "AttachTime": i.born, "DeviceIndex": 0, "DeleteOnTermination": true, "Status": "attached"}})
	}
	if len(wanted) > len(rows) {
		return nil, bad("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", strings.Join(wanted, ", "))
	}
	return x.filtered("NetworkInterfaces", rows, pageRule{5, 1000, "NetworkInterfaceIds"})
}
