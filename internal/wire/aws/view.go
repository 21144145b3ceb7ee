package aws

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// view is the instance as DescribeInstances tells it. What has ended has neither addresses nor volumes nor interfaces.
func (i *instance) view() params {
	in := i.in
	p := params{
		"InstanceId": i.id, "ImageId": i.image.id, "InstanceType": i.typ.Name, "ClientToken": in.str("ClientToken"), "LaunchTime": i.launched,
		"State": params{"Code": stateCodes[i.state], "Name": i.state}, "StateTransitionReason": i.transition, "AmiLaunchIndex": slices.Index(i.launch.instances, i),
		"Placement": params{"AvailabilityZone": i.zone, "Tenancy": "default", "GroupName": ""}, "Architecture": i.typ.arch(), "RootDeviceName": i.image.root,
		"RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen", "EnaSupport": true, "EbsOptimized": in.flag("EbsOptimized"),
		"Monitoring": params{"State": "disabled"}, "ProductCodes": []params{}, "PlatformDetails": "Linux/UNIX", "UsageOperation": "RunInstances",
		"UsageOperationUpdateTime": i.born, "Tags": tagRows(i.tags), "PublicDnsName": "", "PrivateDnsName": "", "BlockDeviceMappings": []params{},
		"NetworkInterfaces": []params{}, "SecurityGroups": []params{}, "MetadataOptions": params{"State": "applied", "HttpEndpoint": "enabled",
			"HttpTokens": cmp.Or(in.str("MetadataOptions", "HttpTokens"), "required"), "HttpPutResponseHopLimit": in.num(2, "MetadataOptions", "HttpPutResponseHopLimit"),
			"InstanceMetadataTags": cmp.Or(in.str("MetadataOptions", "InstanceMetadataTags"), "disabled"), "HttpProtocolIpv6": "disabled"},
	}
	if i.key != nil {
		p["KeyName"] = i.key.name
	}
	if i.spot {
		p["InstanceLifecycle"], p["SpotInstanceRequestId"] = "spot", i.sir
	}
	if i.code != "" {
		p["StateReason"] = params{"Code": i.code, "Message": i.text}
	}
	if i.state == "terminated" {
		return p
	}
	p["VpcId"], p["SubnetId"] = vpcID, i.subnet
	p["PrivateIpAddress"], p["PrivateDnsName"] = i.private(), fmt.Sprintf("ip-%s.%s.compute.internal", strings.ReplaceAll(i.private(), ".", "-"), i.f.opt.region())
	groups := []params{}
	for _, g := range i.groups {
		groups = append(groups, params{"GroupId": g.id, "GroupName": g.name})
	}
	p["SecurityGroups"] = groups
	eni := params{"NetworkInterfaceId": i.eni(), "VpcId": vpcID, "SubnetId": i.subnet, "Status": "in-use", "Groups": groups, "PrivateIpAddress": i.private(), "OwnerId": account,
		"SourceDestCheck": true, "InterfaceType": "interface", "Attachment": params{"AttachmentId": "eni-attach-" + i.id[2:], "AttachTime": i.born,
			"DeleteOnTermination": true, "DeviceIndex": 0, "Status": "attached", "NetworkCardIndex": 0}}
	if ip := i.public(); ip != "" {
		p["PublicIpAddress"], p["PublicDnsName"] = ip, fmt.Sprintf("ec2-%s.%s.compute.amazonaws.com", strings.ReplaceAll(ip, ".", "-"), i.f.opt.region())
		eni["Association"] = params{"PublicIp": ip, "IpOwnerId": "amazon", "PublicDnsName": p["PublicDnsName"]}
	}
	p["NetworkInterfaces"] = []params{eni}
	var disks []params
	for _, v := range i.volumes {
		disks = append(disks, params{"DeviceName": v.device, "Ebs": params{"VolumeId": v.id, "Status": "attached", "AttachTime": v.at, "DeleteOnTermination": v.goes}})
	}
	p["BlockDeviceMappings"] = disks
	if i.profile != "" {
		p["IamInstanceProfile"] = params{"Arn": profileARN(i.profile), "Id": "AIPAFACEFACEFACEFACE0"}
	}
	return p
}

func profileARN(name string) string { return "arn:aws:iam::" + account + ":instance-profile/" + name }

func (i *instance) eni() string { return "eni-" + i.id[2:] }

func (i *instance) private() string { return fmt.Sprintf("172.31.%d.%d", i.n/250, i.n%250+4) }

// public is the address in the internet: it comes with running, goes with a stop, and is another after each start. Those of
// this face lead nowhere (RFC 5737), unless machines are real.
func (i *instance) public() string {
	associate := true
	for _, n := range i.in.list("NetworkInterfaces") {
		if v, ok := n["AssociatePublicIpAddress"].(bool); ok {
			associate = v
		}
	}
	switch {
	case i.state != "running" && i.state != "shutting-down" || i.f.opt.NoPublicIP || !associate:
		return ""
	case i.box != nil:
		return i.box.ip
	case i.f.opt.PublicIP != "":
		return i.f.opt.PublicIP
	}
	return fmt.Sprintf("203.0.%d.%d", 100+i.n/250+i.boots, i.n%250+1)
}

// hourly is what the instance costs while it runs.
func (i *instance) hourly() float64 {
	if i.spot {
		return i.f.spot(i.typ, i.zone)
	}
	return i.typ.Hourly
}

// told are the instances that a request is told of, in the order of their births.
func (x *exchange) told(now time.Time) (all []*instance, no *refusal) {
	ids := x.in.strs("InstanceIds")
	if len(ids) > 0 {
		return x.idsNamed(ids, now)
	}
	for _, i := range x.f.instances {
		if !i.forgotten(now) && !i.unlisted.After(now) {
			all = append(all, i)
		}
	}
	return all, nil
}

// idsNamed are the instances that ids name; one that is not known refuses them all.
func (x *exchange) idsNamed(ids []string, now time.Time) (all []*instance, no *refusal) {
	var missing []string
	for _, id := range ids {
		if !instanceID.MatchString(id) {
			return nil, bad("InvalidInstanceID.Malformed", "Invalid id: %q", id)
		}
		i := x.f.byID[id]
		if i == nil || i.forgotten(now) || i.unknown.After(now) {
			missing = append(missing, id)
			continue
		}
		all = append(all, i)
	}
	switch len(missing) {
	case 0:
		return all, nil
	case 1:
		return nil, bad("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", missing[0])
	}
	return nil, bad("InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(missing, ", "))
}
