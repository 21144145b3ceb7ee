//go:build unix

package aws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/execfile"
)

const (
	volA = "vol-000000000000000a1"
	volB = "vol-000000000000000b1"
)

func volumesXML(zone, state string, ids ...string) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "<item><volumeId>%s</volumeId><availabilityZone>%s</availabilityZone><status>%s</status></item>", id, zone, state)
	}
	return "<volumeSet>" + b.String() + "</volumeSet>"
}

func withVolumes(vs ...Volume) []runctl.LaunchOption {
	return []runctl.LaunchOption{LaunchOptions{Volumes: vs}}
}

func TestAVolumesZoneCountsBeforeAnOfferIsChosen(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeVolumes", volumesXML("eu-west-1a", "available", volA))
	options := withVolumes(Volume{ID: volA, Path: "/data"})
	fit, err := p.Fits(t.Context(), options)
	require.NoError(t, err)
	offer := h100(runctl.OnDemand).Offer
	assert.ErrorContains(t, fit(offer), "eu-west-1a")
	offer.ID = strings.Replace(offer.ID, "eu-west-1b", "eu-west-1a", 1)
	assert.NoError(t, fit(offer))

	s.says("DescribeSubnets", "<subnetSet><item><subnetId>subnet-000000000000000b1</subnetId><vpcId>vpc-2</vpcId><availabilityZone>eu-west-1b</availabilityZone></item></subnetSet>")
	_, err = p.Fits(t.Context(), []runctl.LaunchOption{LaunchOptions{Volumes: []Volume{{ID: volA, Path: "/data"}}, Subnet: "subnet-000000000000000b1"}})
	assert.ErrorContains(t, err, "cannot be in both")

	req := h100(runctl.OnDemand)
	req.Options = options
	_, err = p.Launch(t.Context(), req)
	assert.ErrorIs(t, err, runctl.ErrCapacity, "an offer in another zone is refused, whoever chose it")
	req.Offer = offer
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, volA+"=/data", tagIn(s.last("RunInstances"), "TagSpecification.1", mountsTag))
	assert.Equal(t, 1, s.count("DescribeVolumes"), "one look does for all of this")
}

func TestAnImageThatWasNamedFitsOneArchitecture(t *testing.T) {
	s, p := newStub(t)
	fit, err := p.Fits(t.Context(), []runctl.LaunchOption{LaunchOptions{Image: "ami-0000000000000a64"}})
	require.NoError(t, err)
	assert.ErrorContains(t, fit(h100(runctl.OnDemand).Offer), "arm64")
	s.calls = nil
	fit, err = p.Fits(t.Context(), nil)
	require.NoError(t, err)
	assert.NoError(t, fit(h100(runctl.OnDemand).Offer))
	assert.Empty(t, s.calls, "without options nothing is asked")
}

func TestAVolumeThatCannotBeHadStartsNoMachine(t *testing.T) {
	for what, reply := range map[string]string{"in use": volumesXML("eu-west-1b", "in-use", volA), "unknown": volumesXML("eu-west-1b", "available")} {
		s, p := newStub(t)
		s.says("DescribeVolumes", reply)
		req := h100(runctl.OnDemand)
		req.Options = withVolumes(Volume{ID: volA, Path: "/data"})
		_, err := p.Launch(t.Context(), req)
		var e *runctl.Error
		require.ErrorAs(t, err, &e, what)
		assert.True(t, e.NotStarted)
		assert.Zero(t, s.count("RunInstances"), what)
	}
}

// box is a machine that runs commands here, with a root of its own.
type box struct {
	t      *testing.T
	root   string
	mounts string // /proc/mounts
	env    []string
}

func (b *box) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = stdout, stderr, stdin
	cmd.Env = append([]string{"PATH=" + filepath.Join(b.root, "bin") + ":" + os.Getenv("PATH"), "RUNCTL_SYSROOT=" + b.root, "RUNCTL_MOUNTS=" + b.mounts}, b.env...)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !asExit(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func asExit(err error, to **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*to = e
	return ok
}

func (b *box) Close() error { return nil }

// newBox is a machine with one device of a serial number. Its mkfs, mount and blkid write down what they are asked for.
func newBox(t *testing.T, serial, content, fs string) *box {
	t.Helper()
	b := &box{t: t, root: t.TempDir()}
	b.mounts = filepath.Join(b.root, "mounts")
	for name, text := range map[string]string{
		"sys/block/nvme0n1/device/serial": "vol0000000000000root\n", "sys/block/nvme1n1/device/serial": serial + "          \n", "dev/nvme1n1": content, "mounts": "",
		"bin/blkid":     "#!/bin/sh\n[ -n \"$FS\" ] || exit 2\necho \"$FS\"\n",
		"bin/mkfs.ext4": "#!/bin/sh\necho mkfs \"$@\" >>\"$RUNCTL_SYSROOT/did\"\n",
		"bin/mount":     "#!/bin/sh\necho mount \"$@\" >>\"$RUNCTL_SYSROOT/did\"\necho \"$1 $2 ext4 rw 0 0\" >>\"$RUNCTL_MOUNTS\"\n",
		"bin/sleep":     "#!/bin/sh\necho sleep >>\"$RUNCTL_SYSROOT/slept\"\n",
	} {
		f := filepath.Join(b.root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(f), 0o755))
		require.NoError(t, execfile.Write(f, text))
	}
	b.env = []string{"FS=" + fs}
	return b
}

// did is what the machine did to its devices.
func (b *box) did() string {
	text, _ := os.ReadFile(filepath.Join(b.root, "did"))
	return strings.ReplaceAll(string(text), b.root, "")
}

const serialA = "vol000000000000000a1"

func TestADeviceIsFoundByItsSerialAndMountedOnce(t *testing.T) {
	b := newBox(t, serialA, "data", "xfs")
	for range 2 {
		require.NoError(t, mount(t.Context(), b, Volume{ID: volA, Path: "/data"}))
	}
	assert.Equal(t, "mount /dev/nvme1n1 /data\n", b.did())
}

func TestAVolumeThatHoldsAFileSystemIsNeverFormatted(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "LVM2_member", "crypto_LUKS"} {
		b := newBox(t, serialA, "data", fs)
		require.NoError(t, mount(t.Context(), b, Volume{ID: volA, Path: "/data", Format: true}))
		assert.NotContains(t, b.did(), "mkfs", fs)
	}
}

func TestAVolumeThatHoldsAnythingIsNeverFormatted(t *testing.T) {
	b := newBox(t, serialA, strings.Repeat("\x00", 4096)+"somebody's database", "")
	err := mount(t.Context(), b, Volume{ID: volA, Path: "/data", Format: true})
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Empty(t, b.did())
}

func TestABlankVolumeIsFormattedOnlyOnRequest(t *testing.T) {
	b := newBox(t, serialA, strings.Repeat("\x00", 4096), "")
	err := mount(t.Context(), b, Volume{ID: volA, Path: "/data"})
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	assert.ErrorContains(t, err, "Format")
	assert.Empty(t, b.did())
	require.NoError(t, mount(t.Context(), b, Volume{ID: volA, Path: "/data", Format: true}))
	assert.Equal(t, "mkfs -q /dev/nvme1n1\nmount /dev/nvme1n1 /data\n", b.did())
}

func TestWithoutTheDeviceNothingIsGuessed(t *testing.T) {
	b := newBox(t, "vol00000000000000ffff", "data", "ext4")
	err := mount(t.Context(), b, Volume{ID: volA, Path: "/data"})
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.Empty(t, b.did())
	slept, _ := os.ReadFile(filepath.Join(b.root, "slept"))
	assert.Equal(t, 29, bytes.Count(slept, []byte("\n")), "it is waited for, but not for ever")
}

func TestWhatIsMountedThereAlreadyIsLeftAlone(t *testing.T) {
	b := newBox(t, serialA, "data", "ext4")
	require.NoError(t, os.WriteFile(b.mounts, []byte("/dev/nvme9n1 "+b.root+"/data xfs rw 0 0\n"), 0o600))
	assert.ErrorIs(t, mount(t.Context(), b, Volume{ID: volA, Path: "/data"}), runctl.ErrConflict)
	assert.Empty(t, b.did())
}

func TestVolumesAreAttachedWhereTheyAreNotYet(t *testing.T) {
	s, p := newStub(t)
	s.does("AttachVolume", func(v url.Values) (int, string) { return 200, "<status>attaching</status>" })
	v := &types.Instance{InstanceId: awssdk.String("i-00000000000000001"), Tags: []types.Tag{tag(mountsTag, volA+"=/data "+volB+"=/more=format")},
		BlockDeviceMappings: []types.InstanceBlockDeviceMapping{{DeviceName: awssdk.String("/dev/xvda")},
			{DeviceName: awssdk.String("/dev/sdf"), Ebs: &types.EbsInstanceBlockDevice{VolumeId: awssdk.String(volA)}}}}
	b := newBox(t, serialA, "data", "ext4")
	err := p.attach(t.Context(), v, b)
	assert.ErrorIs(t, err, runctl.ErrUnavailable, "the second has not come yet")
	assert.Equal(t, 1, s.count("AttachVolume"), "the first is there already")
	a := s.last("AttachVolume")
	assert.Equal(t, []string{volB, "/dev/sdg", "i-00000000000000001"}, []string{a.Get("VolumeId"), a.Get("Device"), a.Get("InstanceId")})
	assert.Equal(t, "mount /dev/nvme1n1 /data\n", b.did())

	s.refuses("AttachVolume", 400, "InvalidVolume.ZoneMismatch")
	assert.ErrorIs(t, p.attach(t.Context(), v, b), runctl.ErrInvalid)
	for _, text := range []string{volA + " /data", volA + "=/data=formatted", volA + "=/data=format=yes", "data=/data", volA + "=/usr"} {
		v.Tags = []types.Tag{tag(mountsTag, text)}
		assert.Error(t, p.attach(t.Context(), v, b), "a tag that no launch writes is not passed over: %s", text)
	}
	s.refuses("AttachVolume", 400, "VolumeInUse")
	v.BlockDeviceMappings = nil
	v.Tags = []types.Tag{tag(mountsTag, volA+"=/data")}
	assert.NoError(t, p.attach(t.Context(), v, b), "by us, a moment ago: the machine has it")
	v.Tags = nil
	assert.NoError(t, p.attach(t.Context(), v, nil))
}

func TestEachVolumeHasADeviceOfItsOwn(t *testing.T) {
	s, p := newStub(t)
	var devices []string
	s.does("AttachVolume", func(v url.Values) (int, string) {
		devices = append(devices, v.Get("Device"))
		return 200, "<status>attaching</status>"
	})
	v := &types.Instance{InstanceId: awssdk.String(oneID), Tags: []types.Tag{tag(mountsTag, volA+"=/data "+volB+"=/more")}}
	require.NoError(t, p.attach(t.Context(), v, willing{}))
	assert.Equal(t, []string{"/dev/sdf", "/dev/sdg"}, devices)
}

// willing is a machine on which every command succeeds.
type willing struct{}

func (willing) Exec(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
	return 0, nil
}
func (willing) Close() error { return nil }

func TestAVolumeThatManyMayHaveIsTakenThoughItIsInUse(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeVolumes", strings.Replace(volumesXML("eu-west-1b", "in-use", volA), "<status>", "<multiAttachEnabled>true</multiAttachEnabled><status>", 1))
	req := h100(runctl.OnDemand)
	req.Options = withVolumes(Volume{ID: volA, Path: "/data"})
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
}

func TestWhatFitsIsAskedAnewForTheNextLaunchAndStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		s.says("DescribeVolumes", volumesXML("eu-west-1b", "available", volA))
		for n := range 2 {
			fit, err := p.Fits(t.Context(), withVolumes(Volume{ID: volA, Path: "/data"}))
			require.NoError(t, err)
			assert.ErrorContains(t, fit(runctl.Offer{ID: "pod"}), "Offers", "an offer of somebody else's")
			assert.Equal(t, n+1, s.count("DescribeVolumes"))
			later(recordAge + time.Second)
		}
		s.does("GetParameter", func(url.Values) (int, string) { return 400, `{"__type":"SomethingNew"}` })
		_, err := p.Fits(t.Context(), []runctl.LaunchOption{LaunchOptions{Image: "/my/image"}})
		var e *runctl.Error
		require.ErrorAs(t, err, &e)
		assert.True(t, e.NotStarted)
	})
}
