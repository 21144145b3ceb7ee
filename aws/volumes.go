package aws

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

// maxVolumes is how many data volumes fit into the tag that names them, and on every machine.
const maxVolumes = 5

//go:embed sh/mount.sh
var mountScript string

// formatMounts is what the tag has of a launch's data volumes.
func formatMounts(all []Volume) string {
	var out []string
	for _, v := range all {
		word := v.ID + "=" + v.Path
		if v.Format {
			word += "=format"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// parseMounts reads the tag. What is not as a launch writes it is an error: a job must not run without its data.
func parseMounts(s string) ([]Volume, error) {
	var all []Volume
	for _, word := range strings.Fields(s) {
		f := strings.Split(word, "=")
		if len(f) < 2 || len(f) > 3 || len(f) == 3 && f[2] != "format" {
			return nil, fmt.Errorf("the tag %s has %q in it, which no launch writes", mountsTag, clip(word))
		}
		all = append(all, Volume{ID: f[0], Path: f[1], Format: len(f) == 3})
	}
	o := LaunchOptions{Volumes: all}
	return all, o.check()
}

// recordAge is for how long a data volume's record is believed: choosing an offer and launching it share one look.
const recordAge = 10 * time.Second

// records reads the records of data volumes.
func (p *Provider) records(ctx context.Context, all []Volume) ([]types.Volume, error) {
	var ids []string
	for _, v := range all {
		ids = append(ids, v.ID)
	}
	return p.volumes.get(ctx, strings.Join(ids, ","), recordAge, func(ctx context.Context) ([]types.Volume, error) {
		out, err := p.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: ids})
		if err != nil {
			return nil, classify(err)
		}
		return out.Volumes, nil
	})
}

// free checks that the data volumes can be attached to a machine in the zone, before there is one.
func (p *Provider) free(ctx context.Context, all []Volume, zone string) error {
	if len(all) == 0 {
		return nil
	}
	found, err := p.records(ctx, all)
	if err != nil {
		return err
	}
	if len(found) != len(all) {
		return invalid("LaunchOptions.Volumes: EC2 shows %d of the %d volumes", len(found), len(all))
	}
	for _, v := range found {
		id := awssdk.ToString(v.VolumeId)
		if at := awssdk.ToString(v.AvailabilityZone); at != zone {
			return elsewhere("the data volume %s is in %s: no machine in %s can have it", id, at, zone)
		}
		if v.State != types.VolumeStateAvailable && !awssdk.ToBool(v.MultiAttachEnabled) {
			return &runctl.Error{Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest, NotStarted: true,
				Msg: fmt.Sprintf("the data volume %s is %s: only one that is available can be attached", id, v.State)}
		}
	}
	return nil
}

// attach brings a machine its data volumes: it asks EC2 for those that it does not have, and the machine mounts them. A
// volume that is there already stays as it is.
func (p *Provider) attach(ctx context.Context, v *types.Instance, m runctl.Machine) error {
	all, err := parseMounts(tagOf(v.Tags, mountsTag))
	if err != nil || len(all) == 0 {
		return err
	}
	id, taken := awssdk.ToString(v.InstanceId), map[string]bool{}
	for _, d := range v.BlockDeviceMappings {
		taken[awssdk.ToString(d.DeviceName)] = true
		if d.Ebs != nil {
			taken[awssdk.ToString(d.Ebs.VolumeId)] = true
		}
	}
	letter := 'f' // EC2 recommends /dev/sdf to /dev/sdp for data
	for _, vol := range all {
		if !taken[vol.ID] {
			for taken["/dev/sd"+string(letter)] {
				letter++
			}
			device := "/dev/sd" + string(letter)
			letter++
			_, err := p.ec2.AttachVolume(ctx, &ec2.AttachVolumeInput{InstanceId: &id, VolumeId: &vol.ID, Device: &device}, once)
			if err != nil && codeOf(err) != "VolumeInUse" { // by us, a moment ago; by another, the machine will not find it
				return classify(err)
			}
		}
		if err := mount(ctx, m, vol); err != nil {
			return err
		}
	}
	return nil
}

// mount mounts one data volume on the machine, which finds the device by its serial number: EC2 gives NVMe devices the
// volume's id, and no name of a device is to be relied on.
func mount(ctx context.Context, m runctl.Machine, v Volume) error {
	format := "no"
	if v.Format {
		format = "yes"
	}
	var said bytes.Buffer
	code, err := m.Exec(ctx, []string{"sh", "-c", mountScript, "mount", strings.ReplaceAll(v.ID, "-", ""), v.Path, format}, nil, &said, &said)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(clip(said.String())))
		return &runctl.Error{Kind: mountKinds[code], Msg: "the data volume " + v.ID + " could not be mounted at " + v.Path, Err: err}
	}
	return err
}

// mountKinds are what the script's exit codes mean.
var mountKinds = map[int]runctl.Kind{1: runctl.ErrUnavailable, 3: runctl.ErrUnavailable, 4: runctl.ErrInvalid, 5: runctl.ErrConflict}
