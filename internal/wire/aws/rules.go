package aws

import (
	"regexp"
	"slices"
	"strings"
)

// maxUserData is what user data may have before its encoding.
const maxUserData = 16384

// rule is something that the model does not say of a RunInstances request.
type rule struct {
	code   string // of the refusal; empty: the API takes it, and a correct client never sends it
	text   string
	broken func(f *Face, in params) bool
}

var (
	tokenForm = regexp.MustCompile(`^[\x21-\x7e]{1,64}$`)
	tagForm   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// taggable are the things that a launch can tag at birth.
var taggable = []string{"instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu"}

// runRules are looked at in order; the first that is broken refuses.
var runRules = []rule{
	{"MissingParameter", "The request must contain the parameter ImageId", func(_ *Face, in params) bool { return in.str("ImageId") == "" }},
	{"InvalidParameterValue", "The face makes no instance without a type: the default is an old one", func(_ *Face, in params) bool { return in.str("InstanceType") == "" }},
	{"InvalidParameterValue", "Invalid value for MinCount and MaxCount", func(_ *Face, in params) bool {
		least, most := in.num(0, "MinCount"), in.num(0, "MaxCount")
		return least < 1 || most < least
	}},
	{"InvalidParameterValue", "Value for parameter clientToken is invalid. Length exceeds 64 characters or is not ASCII.", func(_ *Face, in params) bool {
		return in.has("ClientToken") && !tokenForm.MatchString(in.str("ClientToken"))
	}},
	{"InvalidParameterValue", "User data is limited to 16384 bytes", func(_ *Face, in params) bool { return len(userData(in)) > maxUserData }},
	{"InvalidParameterValue", "Invalid BASE64 encoding of user data.", func(_ *Face, in params) bool { return in.str("UserData") != "" && userData(in) == nil }},
	{"InvalidAMIID.Malformed", "Invalid id of an image", func(_ *Face, in params) bool { return !imageID.MatchString(in.str("ImageId")) }},
	{"InvalidAMIID.NotFound", "The image id does not exist", func(f *Face, in params) bool { return f.image(in.str("ImageId")) == nil }},
	{"InvalidParameterValue", "Invalid value for instanceType.", func(_ *Face, in params) bool { return findType(in.str("InstanceType")) == nil }},
	{"InvalidParameterValue", "The architecture of the specified instance type does not match the architecture of the specified AMI.", func(f *Face, in params) bool {
		return findType(in.str("InstanceType")).arch() != f.image(in.str("ImageId")).arch
	}},
	{"InvalidParameterValue", "Invalid availability zone", func(f *Face, in params) bool {
		z := in.str("Placement", "AvailabilityZone")
		return z != "" && !slices.Contains(f.zones(), z)
	}},
	{"VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.", func(f *Face, in params) bool {
		return f.opt.NoVPC && in.str("SubnetId") == "" && len(in.list("NetworkInterfaces")) == 0
	}},
	{"InvalidParameterCombination", "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request", func(_ *Face, in params) bool {
		return len(in.list("NetworkInterfaces")) > 0 && (in.str("SubnetId") != "" || len(in.strs("SecurityGroupIds"))+len(in.strs("SecurityGroups")) > 0)
	}},
	{"InvalidSubnetID.NotFound", "The subnet ID does not exist", func(f *Face, in params) bool {
		s := in.str("SubnetId")
		for _, n := range in.list("NetworkInterfaces") {
			s += n.str("SubnetId")
		}
		return s != "" && f.zoneAsked(params{"SubnetId": s}) == ""
	}},
	{"InvalidParameterValue", "The zone is not the subnet's", func(f *Face, in params) bool {
		z, s := in.str("Placement", "AvailabilityZone"), in.str("SubnetId")
		return z != "" && s != "" && f.zoneAsked(params{"SubnetId": s}) != z
	}},
	{"InvalidGroup.NotFound", "The security group does not exist", func(f *Face, in params) bool {
		return slices.Contains(f.groupsAsked(in), nil)
	}},
	{"InvalidKeyPair.NotFound", "The key pair does not exist", func(f *Face, in params) bool { return in.str("KeyName") != "" && f.key(in.str("KeyName")) == nil }},
	{"InvalidParameterValue", "Value for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", func(_ *Face, in params) bool {
		name, arn := in.str("IamInstanceProfile", "Name"), in.str("IamInstanceProfile", "Arn")
		return in.has("IamInstanceProfile") && name != Profile && !strings.HasSuffix(arn, ":instance-profile/"+Profile)
	}},
	{"InvalidParameterValue", "Tags are wrong: a key has 1 to 128 characters and does not begin with aws:, a value has at most 256, and there are at most 50", wrongTags},
	{"InvalidParameterValue", "This cannot be tagged by a launch", func(_ *Face, in params) bool {
		spot := in.str("InstanceMarketOptions", "MarketType") == "spot"
		return slices.ContainsFunc(in.list("TagSpecifications"), func(s params) bool {
			kind := s.str("ResourceType")
			return !slices.Contains(taggable, kind) || kind == "spot-instances-request" && !spot || len(s.list("Tags")) == 0
		})
	}},
	{"InvalidParameterCombination", "InstanceInterruptionBehavior and SpotInstanceType do not fit: only persistent requests stop or hibernate", func(_ *Face, in params) bool {
		b := in.str("InstanceMarketOptions", "SpotOptions", "InstanceInterruptionBehavior")
		return b != "" && b != "terminate" && in.str("InstanceMarketOptions", "SpotOptions", "SpotInstanceType") != "persistent"
	}},
	{"InvalidParameterCombination", "The Spot market is not there for this type", func(_ *Face, in params) bool {
		return in.str("InstanceMarketOptions", "MarketType") == "spot" && findType(in.str("InstanceType")).NoSpot
	}},
	{"SpotMaxPriceTooLow", "Your Spot request price is lower than the minimum required Spot request fulfillment price.", func(f *Face, in params) bool {
		most := in.str("InstanceMarketOptions", "SpotOptions", "MaxPrice")
		return most != "" && price(most) < f.cheapestSpot(findType(in.str("InstanceType")), f.zoneAsked(in))
	}},
	{"InvalidParameterCombination", "The shutdown behavior of a Spot Instance cannot be changed", func(_ *Face, in params) bool {
		return in.str("InstanceMarketOptions", "MarketType") == "spot" && in.str("InstanceInitiatedShutdownBehavior") == "stop" &&
			in.str("InstanceMarketOptions", "SpotOptions", "SpotInstanceType") != "persistent"
	}},
	{"InvalidBlockDeviceMapping", "Volume is smaller than its snapshot", func(f *Face, in params) bool {
		return slices.ContainsFunc(in.list("BlockDeviceMappings"), func(b params) bool {
			m := f.image(in.str("ImageId"))
			return b.str("DeviceName") == m.root && b.has("Ebs", "VolumeSize") && b.num(0, "Ebs", "VolumeSize") < m.size
		})
	}},
	{"InvalidBlockDeviceMapping", "A volume has neither size nor snapshot", func(f *Face, in params) bool {
		return slices.ContainsFunc(in.list("BlockDeviceMappings"), func(b params) bool {
			return b.str("DeviceName") != f.image(in.str("ImageId")).root && !b.has("Ebs", "VolumeSize") && b.str("Ebs", "SnapshotId") == "" && !b.has("NoDevice")
		})
	}},
	{"", "a launch without a client token", func(_ *Face, in params) bool { return in.str("ClientToken") == "" }},
	{"", "the account's secret is in user data or tags", func(f *Face, in params) bool {
		return strings.Contains(requestText(in)+string(plainUserData(in)), f.opt.Secret)
	}},
}

// ruled is what the rules say of a launch.
func (f *Face) ruled(in params) *refusal {
	for _, r := range runRules {
		switch {
		case !r.broken(f, in):
		case r.code == "":
			f.Wrong("RunInstances: %s", r.text)
		default:
			return bad(r.code, "%s", r.text)
		}
	}
	return nil
}

func wrongTags(_ *Face, in params) bool {
	for _, s := range in.list("TagSpecifications") {
		if badTags(s) {
			return true
		}
	}
	return false
}

func badTags(s params) bool {
	seen := map[string]bool{}
	for _, t := range tagsIn(s) {
		if seen[t.key] || t.key == "" || len([]rune(t.key)) > 128 || len([]rune(t.value)) > 256 || strings.HasPrefix(strings.ToLower(t.key), "aws:") ||
			!tagForm.MatchString(t.key) || !tagForm.MatchString(t.value) {
			return true
		}
		seen[t.key] = true
	}
	return len(seen) > 50
}
