package aws

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// image is a machine image. Its id follows from its name, in every region another.
type image struct {
	id, name, arch, root, owner string
	size                        int // GiB of its snapshot
}

// deepLearning and amazonLinux are the names of public Systems Manager parameters that say the newest image.
var (
	deepLearning = regexp.MustCompile(`^/aws/service/deeplearning/ami/(x86_64|arm64)/((?:base-)?(?:oss|proprietary)-nvidia-driver-gpu-(?:pytorch-[0-9.]+-)?(ubuntu-2[24]\.04|amazon-linux-2023|amazon-linux-2))/latest/ami-id$`)
	amazonLinux  = regexp.MustCompile(`^/aws/service/ami-amazon-linux-latest/(al2023-ami(?:-minimal)?-kernel-(?:default|6\.1|6\.12)-(x86_64|arm64))$`)
	canonical    = regexp.MustCompile(`^/aws/service/canonical/ubuntu/server/(22\.04|24\.04)/stable/current/(amd64|arm64)/hvm/ebs-(?:gp2|gp3)/ami-id$`)
)

// public is the image that a public parameter names.
func (f *Face) public(name string) *image {
	id := func(text string) string {
		sum := sha256.Sum256([]byte(f.opt.region() + text))
		return fmt.Sprintf("ami-0%x", sum[:8])
	}
	if m := deepLearning.FindStringSubmatch(name); m != nil {
		root := "/dev/sda1"
		if strings.HasPrefix(m[3], "amazon") {
			root = "/dev/xvda"
		}
		return &image{id(name), "Deep Learning " + m[2], m[1], root, "898082745236", 75}
	}
	if m := amazonLinux.FindStringSubmatch(name); m != nil {
		return &image{id(name), m[1], m[2], "/dev/xvda", "137112412989", 8}
	}
	if m := canonical.FindStringSubmatch(name); m != nil {
		arch := strings.Replace(m[2], "amd64", "x86_64", 1)
		return &image{id(name), "ubuntu/images/hvm-ssd/ubuntu-" + m[1] + "-" + m[2] + "-server", arch, "/dev/sda1", "099720109477", 8}
	}
	return nil
}

// wellKnown are parameters whose images can be named directly.
var wellKnown = func() (names []string) {
	for _, arch := range []string{"x86_64", "arm64"} {
		for _, base := range []string{"ubuntu-22.04", "ubuntu-24.04", "amazon-linux-2023"} {
			names = append(names, "/aws/service/deeplearning/ami/"+arch+"/base-oss-nvidia-driver-gpu-"+base+"/latest/ami-id")
		}
		for _, kernel := range []string{"default", "6.1", "6.12"} {
			names = append(names, "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-"+kernel+"-"+arch)
		}
	}
	return names
}()

// images are those that the face has: the well-known, and what was asked for by parameter.
func (f *Face) images() (all []*image) {
	for _, n := range slices.Concat(wellKnown, f.asked) {
		if m := f.public(n); m != nil && !slices.ContainsFunc(all, func(o *image) bool { return o.id == m.id }) {
			all = append(all, m)
		}
	}
	return all
}

func (f *Face) image(id string) *image {
	for _, m := range f.images() {
		if m.id == id {
			return m
		}
	}
	return nil
}

// Image is the id of the image that a public parameter names.
func (f *Face) Image(parameter string) string { return f.public(parameter).id }

var imageID = regexp.MustCompile(`^ami-([0-9a-f]{8}|[0-9a-f]{17})$`)

func (x *exchange) describeImages() (params, *refusal) {
	wanted := x.in.strs("ImageIds")
	for _, id := range wanted {
		if !imageID.MatchString(id) {
			return nil, bad("InvalidAMIID.Malformed", "Invalid id: %q", id)
		}
		if x.f.image(id) == nil {
			return nil, bad("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	owners := x.in.strs("Owners")
	var rows []params
	for _, m := range x.f.images() {
		if len(wanted) > 0 && !slices.Contains(wanted, m.id) || len(owners) > 0 && !slices.Contains(owners, m.owner) && !slices.Contains(owners, "amazon") {
			continue
		}
		rows = append(rows, params{"ImageId": m.id, "Name": m.name, "Architecture": m.arch, "OwnerId": m.owner, "ImageOwnerAlias": "amazon", "State": "available",
			"Public": true, "RootDeviceName": m.root, "RootDeviceType": "ebs", "VirtualizationType": "hvm", "ImageType": "machine", "EnaSupport": true,
			"CreationDate": "2026-10-20T00:00:00.000Z", "PlatformDetails": "Linux/UNIX", "ImdsSupport": "v2.0", "Hypervisor": "xen", "BlockDeviceMappings": []params{
				{"DeviceName": m.root, "Ebs": params{"SnapshotId": "snap-0" + m.id[5:], "VolumeSize": m.size, "VolumeType": "gp3", "DeleteOnTermination": true, "Encrypted": false}}}})
	}
	return x.filtered("Images", rows, pageRule{1, 1000, "ImageIds"})
}

func (x *exchange) parameter(name string) params {
	value, kind := x.f.opt.Parameters[name], "text"
	if value == "" {
		if m := x.f.public(name); m != nil {
			value, kind = m.id, "aws:ec2:image"
			if !slices.Contains(x.f.asked, name) {
				x.f.asked = append(x.f.asked, name)
			}
		}
	}
	if value == "" {
		return nil
	}
	return params{"Name": name, "Type": "String", "Value": value, "Version": 7, "DataType": kind, "ARN": "arn:aws:ssm:" + x.f.opt.region() + "::parameter" + name}
}

func (x *exchange) getParameter() (params, *refusal) {
	p := x.parameter(x.in.str("Name"))
	if p == nil {
		return nil, bad("ParameterNotFound", "")
	}
	return params{"Parameter": p}, nil
}

func (x *exchange) getParameters() (params, *refusal) {
	found, missing := []params{}, []string{}
	for _, name := range x.in.strs("Names") {
		if p := x.parameter(name); p != nil {
			found = append(found, p)
		} else {
			missing = append(missing, name)
		}
	}
	return params{"Parameters": found, "InvalidParameters": missing}, nil
}
