package aws

import (
	"context"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"runctl"
)

const (
	imageAge    = time.Hour
	defaultDisk = 100 // GiB; the Deep Learning image alone has 75
	maxDisk     = 64 << 10
)

// defaultImages are public SSM parameters that AWS keeps at its newest images, by whether the type has NVIDIA GPUs. %s is
// the architecture.
var defaultImages = map[bool]string{
	false: "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-%s",
	true:  "/aws/service/deeplearning/ami/%s/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
}

// image is a machine image.
type image struct {
	id   string
	arch string
	root string // the name of its root device
	size int32  // GiB of it, at least
}

// imageFor finds what a machine of the shape boots: what was named, or what suits it.
func (p *Provider) imageFor(ctx context.Context, name string, s shape) (image, error) {
	if name == "" {
		name = strings.ReplaceAll(defaultImages[s.driver], "%s", s.arch)
	}
	img, err := p.image(ctx, name)
	if err == nil && img.arch != s.arch {
		err = invalid("Image: %s is for %s, and %s is %s: name another in LaunchOptions.Image", img.id, img.arch, s.name, s.arch)
	}
	return img, err
}

// image finds an image by its id, or by the name of a parameter. It is looked up again after an hour.
func (p *Provider) image(ctx context.Context, name string) (image, error) {
	return p.images.get(ctx, name, imageAge, func(ctx context.Context) (image, error) {
		id := name
		if strings.HasPrefix(name, "/") {
			out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
			if err != nil {
				return image{}, p.noImage(name, err)
			}
			if out.Parameter != nil {
				id = awssdk.ToString(out.Parameter.Value)
			}
		}
		if !strings.HasPrefix(id, "ami-") || !imageID.MatchString(id) {
			return image{}, invalid("Image: the SSM parameter %s holds %q, which is not an AMI's id", clip(name), clip(id))
		}
		out, err := p.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
		if err != nil {
			return image{}, p.noImage(id, err)
		}
		if len(out.Images) != 1 {
			return image{}, invalid("Image: EC2 does not show %s to this account in %s", clip(id), p.cfg.Region)
		}
		return imageOf(&out.Images[0])
	})
}

// noImage says which image could not be had, where that is the reason.
func (p *Provider) noImage(name string, err error) error {
	err = classify(err)
	if e, ok := err.(*runctl.Error); ok && (e.Kind == runctl.ErrNotFound || e.Kind == runctl.ErrInvalid) {
		e.Kind, e.Scope = runctl.ErrInvalid, runctl.ScopeRequest
		e.Msg = "Image: there is no " + clip(name) + " in " + p.cfg.Region + ": name another in LaunchOptions.Image"
	}
	return err
}

// imageOf maps EC2's record of an image.
func imageOf(v *types.Image) (image, error) {
	img := image{id: awssdk.ToString(v.ImageId), arch: string(v.Architecture), root: awssdk.ToString(v.RootDeviceName)}
	if v.RootDeviceType != types.DeviceTypeEbs || img.root == "" {
		return img, invalid("Image: %s does not boot from a volume of EBS", clip(img.id))
	}
	if strings.EqualFold(string(v.Platform), string(types.PlatformValuesWindows)) { // the API writes it with a small w
		return img, invalid("Image: %s is Windows; machines need a POSIX shell", clip(img.id))
	}
	for _, d := range v.BlockDeviceMappings {
		if awssdk.ToString(d.DeviceName) == img.root && d.Ebs != nil {
			img.size = awssdk.ToInt32(d.Ebs.VolumeSize)
		}
	}
	return img, nil
}

// disk is the machine's root volume: encrypted, of the size that was asked for in MiB, and ended with the machine.
func (img image) disk(mib int64) (types.BlockDeviceMapping, error) {
	gib := (mib + 1023) / 1024
	switch {
	case gib == 0:
		gib = max(defaultDisk, int64(img.size))
	case gib < int64(img.size):
		return types.BlockDeviceMapping{}, invalid("Disk: the image %s needs at least %d GiB", img.id, img.size)
	case gib > maxDisk:
		return types.BlockDeviceMapping{}, invalid("Disk: a gp3 volume has at most %d GiB", maxDisk)
	}
	return types.BlockDeviceMapping{DeviceName: &img.root, Ebs: &types.EbsBlockDevice{VolumeType: types.VolumeTypeGp3,
		VolumeSize: awssdk.Int32(int32(gib)), Encrypted: awssdk.Bool(true), DeleteOnTermination: awssdk.Bool(true)}}, nil
}
