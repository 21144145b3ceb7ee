package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestALaunchIsOneRequestWithEverythingInIt(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.KeyName, c.InstanceProfile = "mine", "runner" })
	s.date = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	i, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	assert.Equal(t, label, i.Label)
	assert.Equal(t, runctl.StatePending, i.State)
	assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 8, Memory: 80 << 10}, i.GPU)
	assert.Equal(t, runctl.USD(98.32), i.Price.Hourly, "the machine itself carries its price, for whoever lists it")
	assert.Equal(t, "2026-11-02 10:00:00", i.Seen.Format(time.DateTime), "the cloud's clock")

	v := s.last("RunInstances")
	for name, want := range map[string]string{
		"MinCount": "1", "MaxCount": "1", "InstanceType": "p5.48xlarge", "ImageId": "ami-0000000000000a86", "Placement.AvailabilityZone": "eu-west-1b",
		"ClientToken": clientToken(label, "rc1-token"), "SecurityGroupId.1": "sg-0000000000000001", "InstanceInitiatedShutdownBehavior": "terminate",
		"MetadataOptions.HttpTokens": "required", "MetadataOptions.HttpPutResponseHopLimit": "1", "MetadataOptions.HttpEndpoint": "enabled",
		"BlockDeviceMapping.1.DeviceName": "/dev/xvda", "BlockDeviceMapping.1.Ebs.VolumeSize": "200", "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
		"BlockDeviceMapping.1.Ebs.Encrypted": "true", "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true", "KeyName": "mine", "IamInstanceProfile.Name": "runner",
		"InstanceMarketOptions.MarketType": "",
	} {
		assert.Equal(t, want, v.Get(name), name)
	}
	for n, kind := range []string{"instance", "volume", "network-interface"} {
		at := "TagSpecification." + string(rune('1'+n))
		assert.Equal(t, kind, v.Get(at+".ResourceType"))
		assert.Equal(t, label, tagIn(v, at, markTag), kind)
		assert.Equal(t, "me", tagIn(v, at, ownerTag), kind)
	}
	for _, c := range s.calls {
		assert.Contains(t, []string{"GetParameter", "DescribeImages", "DescribeVpcs", "DescribeSecurityGroups", "CreateSecurityGroup", "RunInstances"}, c)
	}
}

func tagIn(v url.Values, spec, name string) string {
	for n := '1'; n <= '9'; n++ {
		if at := spec + ".Tag." + string(n); v.Get(at+".Key") == name {
			return v.Get(at + ".Value")
		}
	}
	return ""
}

func TestNothingIsAskedBeforeALaunchThatIsKnownAlready(t *testing.T) {
	s, p := newStub(t)
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	before := len(s.calls)
	req := h100(runctl.OnDemand)
	req.Label, req.Token = strings.Replace(label, "train", "other", 1), "another"
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, []string{"RunInstances"}, s.calls[before:])
}

func TestARepeatedLaunchIsTheSameRequestToTheLastByte(t *testing.T) {
	s, p := newStub(t)
	s.refuses("RunInstances", 500, "InternalError")
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.Error(t, err)
	first := s.last("RunInstances")
	s.says("GetParameter", `{"Parameter":{"Value":"ami-00000000000000999"}}`)
	_, err = p.Launch(t.Context(), h100(runctl.OnDemand))
	require.Error(t, err)
	assert.Equal(t, first, s.last("RunInstances"), "EC2 compares everything, and a token with another request is refused")
	_, err = p.Launch(t.Context(), func() runctl.LaunchRequest { r := h100(runctl.OnDemand); r.Token = "next"; return r }())
	require.Error(t, err)
	assert.NotEqual(t, first.Get("ClientToken"), s.last("RunInstances").Get("ClientToken"))
	assert.NotEqual(t, first.Get("UserData"), s.last("RunInstances").Get("UserData"), "each machine has its own nonce")
}

func TestSpotIsAskedForInTheLaunchItself(t *testing.T) {
	s, p := newStub(t)
	req := h100(runctl.Spot)
	req.MaxHourly, req.KeepDisk = runctl.USD(40.5), true
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	v := s.last("RunInstances")
	for name, want := range map[string]string{"MarketType": "spot", "SpotOptions.MaxPrice": "40.50", "SpotOptions.SpotInstanceType": "one-time",
		"SpotOptions.InstanceInterruptionBehavior": "terminate"} {
		assert.Equal(t, want, v.Get("InstanceMarketOptions."+name), name)
	}
	assert.Equal(t, "terminate", v.Get("InstanceInitiatedShutdownBehavior"), "a one-time spot machine cannot be stopped")
	assert.Zero(t, s.count("RequestSpotInstances"))
}

func TestAMachineWithUncollectedResultsIsStoppedAtItsEnd(t *testing.T) {
	s, p := newStub(t)
	req := h100(runctl.OnDemand)
	req.KeepDisk = true
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "stop", s.last("RunInstances").Get("InstanceInitiatedShutdownBehavior"))
}

func TestWhatEC2CannotDoIsRefusedBeforeAnythingIsSent(t *testing.T) {
	volume := func(vs ...Volume) func(*runctl.LaunchRequest) {
		return func(r *runctl.LaunchRequest) { r.Options = []runctl.LaunchOption{LaunchOptions{Volumes: vs}} }
	}
	with := func(o LaunchOptions) func(*runctl.LaunchRequest) {
		return func(r *runctl.LaunchRequest) { r.Options = []runctl.LaunchOption{&o} }
	}
	for what, change := range map[string]func(*runctl.LaunchRequest){
		"an offer of somebody else's":   func(r *runctl.LaunchRequest) { r.Offer.ID = "shell:gpu:SECURE::1:H100" },
		"an offer of another region":    func(r *runctl.LaunchRequest) { r.Offer.ID = strings.Replace(r.Offer.ID, "eu-west-1b", "us-east-1b", 1) },
		"another market than the offer": func(r *runctl.LaunchRequest) { r.Offer.Market = runctl.Spot },
		"a label that does not fit":     func(r *runctl.LaunchRequest) { r.Label = strings.Repeat("a", 61) },
		"a label with a capital":        func(r *runctl.LaunchRequest) { r.Label = "rc1-Me" },
		"a job that goes with it":       func(r *runctl.LaunchRequest) { r.Job = &runctl.Job{} },
		"a container":                   func(r *runctl.LaunchRequest) { r.Image = "me/train" },
		"a key that is none":            func(r *runctl.LaunchRequest) { r.AuthorizedKey = "ssh-ed25519 AAAA'; reboot" },
		"options twice":                 func(r *runctl.LaunchRequest) { r.Options = []runctl.LaunchOption{LaunchOptions{}, &LaunchOptions{}} },
		"an image that is none":         with(LaunchOptions{Image: "ubuntu:22.04"}),
		"a subnet that is none":         with(LaunchOptions{Subnet: "sub"}),
		"a group that is none":          with(LaunchOptions{SecurityGroups: []string{"default"}}),
		"a profile that is none":        with(LaunchOptions{InstanceProfile: "a b"}),
		"a tag of ours":                 with(LaunchOptions{Tags: map[string]string{"runctl:owner": "you"}}),
		"a tag of AWS's":                with(LaunchOptions{Tags: map[string]string{"AWS:x": "y"}}),
		"a long name of a tag":          with(LaunchOptions{Tags: map[string]string{strings.Repeat("n", 129): "v"}}),
		"a long value of a tag":         with(LaunchOptions{Tags: map[string]string{"n": strings.Repeat("v", 257)}}),
		"more volumes than fit": volume(Volume{ID: "vol-00000001", Path: "/a"}, Volume{ID: "vol-00000002", Path: "/b"}, Volume{ID: "vol-00000003", Path: "/c"},
			Volume{ID: "vol-00000004", Path: "/d"}, Volume{ID: "vol-00000005", Path: "/e"}, Volume{ID: "vol-00000006", Path: "/f"}),
		"a volume that is none":        volume(Volume{ID: "data", Path: "/data"}),
		"a volume over the system":     volume(Volume{ID: "vol-00000001", Path: "/usr"}),
		"a volume at a path with dots": volume(Volume{ID: "vol-00000001", Path: "/data/../etc"}),
		"a volume twice":               volume(Volume{ID: "vol-00000001", Path: "/a"}, Volume{ID: "vol-00000001", Path: "/b"}),
		"two volumes at one place":     volume(Volume{ID: "vol-00000001", Path: "/a"}, Volume{ID: "vol-00000002", Path: "/a"}),
	} {
		t.Run(what, func(t *testing.T) {
			s, p := newStub(t)
			req := h100(runctl.OnDemand)
			change(&req)
			_, err := p.Launch(t.Context(), req)
			var e *runctl.Error
			require.ErrorAs(t, err, &e)
			assert.True(t, e.NotStarted)
			assert.Contains(t, []runctl.Kind{runctl.ErrInvalid, runctl.ErrNotFound}, e.Kind)
			assert.Empty(t, s.calls)
		})
	}
}

func TestAnEditMayChangeWhatNoPromiseRestsOn(t *testing.T) {
	s, p := newStub(t)
	req := h100(runctl.OnDemand)
	req.Options = []runctl.LaunchOption{LaunchOptions{Tags: map[string]string{"team": "vision", "Name": "mine"}, Edit: func(in *ec2.RunInstancesInput) {
		in.EbsOptimized = awssdk.Bool(true)
		in.TagSpecifications[0].Tags = append(in.TagSpecifications[0].Tags, types.Tag{Key: awssdk.String("more"), Value: awssdk.String("yes")})
	}}}
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	v := s.last("RunInstances")
	assert.Equal(t, "true", v.Get("EbsOptimized"))
	assert.Equal(t, "vision", tagIn(v, "TagSpecification.2", "team"))
	assert.Equal(t, "mine", tagIn(v, "TagSpecification.1", "Name"))
	assert.Equal(t, "yes", tagIn(v, "TagSpecification.1", "more"))
}

func TestAnEditThatBreaksAPromiseIsRefused(t *testing.T) {
	for what, edit := range map[string]func(*ec2.RunInstancesInput){
		"no token":            func(in *ec2.RunInstancesInput) { in.ClientToken = nil },
		"another token":       func(in *ec2.RunInstancesInput) { *in.ClientToken = "mine" },
		"two machines":        func(in *ec2.RunInstancesInput) { *in.MaxCount = 2 },
		"stays when it ends":  func(in *ec2.RunInstancesInput) { in.InstanceInitiatedShutdownBehavior = types.ShutdownBehaviorStop },
		"no guard":            func(in *ec2.RunInstancesInput) { in.UserData = nil },
		"cannot be ended":     func(in *ec2.RunInstancesInput) { in.DisableApiTermination = awssdk.Bool(true) },
		"another type":        func(in *ec2.RunInstancesInput) { in.InstanceType = types.InstanceTypeT3Micro },
		"on demand, not spot": func(in *ec2.RunInstancesInput) { in.InstanceMarketOptions = nil },
		"a higher bid":        func(in *ec2.RunInstancesInput) { in.InstanceMarketOptions.SpotOptions.MaxPrice = nil },
		"another zone":        func(in *ec2.RunInstancesInput) { in.Placement.AvailabilityZone = awssdk.String("eu-west-1c") },
		"no tags":             func(in *ec2.RunInstancesInput) { in.TagSpecifications = nil },
		"volumes of nobody":   func(in *ec2.RunInstancesInput) { in.TagSpecifications = in.TagSpecifications[:1] },
		"another mark":        func(in *ec2.RunInstancesInput) { in.TagSpecifications[0].Tags[1].Value = awssdk.String(label + "x") },
		"another owner":       func(in *ec2.RunInstancesInput) { in.TagSpecifications[0].Tags[2].Value = awssdk.String("you") },
		"only asking":         func(in *ec2.RunInstancesInput) { in.DryRun = awssdk.Bool(true) },
	} {
		t.Run(what, func(t *testing.T) {
			s, p := newStub(t)
			req := h100(runctl.Spot)
			req.Options = []runctl.LaunchOption{LaunchOptions{Edit: edit}}
			_, err := p.Launch(t.Context(), req)
			require.ErrorIs(t, err, runctl.ErrInvalid)
			assert.ErrorContains(t, err, "promise")
			assert.Zero(t, s.count("RunInstances"))
		})
	}
}

func TestWhatFailsBeforeTheLaunchRequestHasStartedNothing(t *testing.T) {
	for _, action := range []string{"GetParameter", "DescribeImages", "DescribeVpcs", "DescribeSecurityGroups", "CreateSecurityGroup"} {
		for _, code := range []string{"SomethingNew", "OperationAborted"} { // what is not known, and what proves nothing of a launch
			s, p := newStub(t)
			s.does(action, func(url.Values) (int, string) { return 400, refusal(code) })
			_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
			var e *runctl.Error
			require.ErrorAs(t, err, &e, action)
			assert.True(t, e.NotStarted, "%s: %s", action, code)
			assert.Zero(t, s.count("RunInstances"), action)
		}
	}
}

func TestAnImageMustSuitTheMachine(t *testing.T) {
	s, p := newStub(t)
	named := func(image string, disk int64) error {
		req := h100(runctl.OnDemand)
		req.Disk, req.Token = disk, image
		req.Options = []runctl.LaunchOption{LaunchOptions{Image: image}}
		_, err := p.Launch(t.Context(), req)
		return err
	}
	assert.ErrorContains(t, named("ami-0000000000000a64", 0), "arm64")
	s.says("DescribeImages", imageXML("ami-00000000000000b0", "x86_64", 75))
	assert.ErrorContains(t, named("ami-00000000000000b0", 50<<10), "at least 75 GiB")
	assert.ErrorContains(t, named("ami-00000000000000b0", 1<<40), "at most")
	require.NoError(t, named("ami-00000000000000b0", 0))
	assert.Equal(t, "100", s.last("RunInstances").Get("BlockDeviceMapping.1.Ebs.VolumeSize"))
	s.says("DescribeImages", "<imagesSet/>")
	assert.ErrorIs(t, named("ami-00000000000000b1", 0), runctl.ErrInvalid)
	s.says("DescribeImages", strings.Replace(imageXML("ami-00000000000000b2", "x86_64", 8), ">ebs<", ">instance-store<", 1))
	assert.ErrorContains(t, named("ami-00000000000000b2", 0), "EBS")
	s.does("GetParameter", func(url.Values) (int, string) { return 400, `{"__type":"ParameterNotFound"}` })
	assert.ErrorContains(t, named("/my/image", 0), "there is no /my/image in eu-west-1")
	for n, value := range []string{"https://example.com", "/another/parameter", "ami-"} {
		s.says("GetParameter", `{"Parameter":{"Value":"`+value+`"}}`)
		assert.ErrorContains(t, named("/my/other/"+strconv.Itoa(n), 0), "not an AMI", value)
	}
	s.says("DescribeImages", strings.Replace(imageXML("ami-00000000000000b3", "x86_64", 8), "<rootDeviceType>", "<platform>windows</platform><rootDeviceType>", 1))
	assert.ErrorContains(t, named("ami-00000000000000b3", 0), "Windows")
	s.says("DescribeImages", imageXML("ami-00000000000000b4", "x86_64", 200))
	require.NoError(t, named("ami-00000000000000b4", 0))
	assert.Equal(t, "200", s.last("RunInstances").Get("BlockDeviceMapping.1.Ebs.VolumeSize"), "the image needs more than the usual")
	s.says("DescribeImages", imageXML("ami-00000000000000b5", "x86_64", 8))
	require.NoError(t, named("ami-00000000000000b5", 100<<10+1))
	assert.Equal(t, "101", s.last("RunInstances").Get("BlockDeviceMapping.1.Ebs.VolumeSize"), "never less than was asked for")
}

func TestACanceledLaunchThatWasNotSentHasStartedNothing(t *testing.T) {
	_, p := newStub(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Launch(ctx, h100(runctl.OnDemand))
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.NotStarted)
	assert.True(t, errors.Is(err, context.Canceled))
}

func TestASpotMachineIsToldWhereToHearOfItsEnd(t *testing.T) {
	for _, m := range []runctl.Market{runctl.OnDemand, runctl.Spot} {
		s, p := newStub(t)
		_, err := p.Launch(t.Context(), h100(m))
		require.NoError(t, err)
		data, err := base64.StdEncoding.DecodeString(s.last("RunInstances").Get("UserData"))
		require.NoError(t, err)
		assert.Equal(t, m == runctl.Spot, strings.Contains(string(data), "\n"+noticeLine+"\n"), m)
	}
}

func TestWhatALaunchAsksForComesBeforeWhatIsConfigured(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:instance-profile/mine"
	s, p := newStub(t, func(c *Config) {
		c.Image, c.InstanceProfile, c.KeyName, c.SecurityGroups = "ami-0000000000000c86", "configured", "configured", []string{"sg-000000000000000cc"}
	})
	req := h100(runctl.OnDemand)
	req.Offer.Price, req.Offer.GPU = runctl.Price{}, runctl.GPU{}
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	v := s.last("RunInstances")
	assert.Equal(t, []string{"ami-0000000000000c86", "configured", "configured", "sg-000000000000000cc"},
		[]string{v.Get("ImageId"), v.Get("IamInstanceProfile.Name"), v.Get("KeyName"), v.Get("SecurityGroupId.1")})
	for name := range v {
		assert.False(t, strings.HasSuffix(name, ".Value") && v.Get(name) == "", "%s: a tag of nothing", name)
	}
	req.Token = "own"
	req.Options = []runctl.LaunchOption{LaunchOptions{Image: "ami-0000000000000d86", InstanceProfile: arn, KeyName: "own", SecurityGroups: []string{"sg-000000000000000dd"}}}
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	v = s.last("RunInstances")
	assert.Equal(t, []string{"ami-0000000000000d86", arn, "", "own", "sg-000000000000000dd"},
		[]string{v.Get("ImageId"), v.Get("IamInstanceProfile.Arn"), v.Get("IamInstanceProfile.Name"), v.Get("KeyName"), v.Get("SecurityGroupId.1")})
}

func TestWhatIsGoneIsLookedUpAgainByTheNextLaunch(t *testing.T) {
	for code, action := range map[string]string{"InvalidAMIID.NotFound": "DescribeImages", "InvalidSubnetID.NotFound": "DescribeSubnets"} {
		s, p := newStub(t, func(c *Config) { c.Subnets = []string{"subnet-000000000000000b1"} })
		s.says("DescribeSubnets", "<subnetSet><item><subnetId>subnet-000000000000000b1</subnetId><vpcId>vpc-2</vpcId><availabilityZone>eu-west-1b</availabilityZone></item></subnetSet>")
		s.refuses("RunInstances", 400, code)
		for range 2 {
			_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
			require.ErrorIs(t, err, runctl.ErrInvalid)
		}
		assert.Equal(t, 2, s.count(action), code)
	}
}

func TestTheImageSuitsTheMachineAndIsTheNewestOfTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		launch := func(driver bool, token string) {
			req := h100(runctl.OnDemand)
			req.Token, req.Offer.ID = token, shape{"p5.48xlarge", "eu-west-1b", runctl.OnDemand, "x86_64", driver}.String()
			_, err := p.Launch(t.Context(), req)
			require.NoError(t, err)
		}
		launch(true, "a")
		assert.Contains(t, s.last("GetParameter").Get(""), "/deeplearning/ami/x86_64/")
		launch(false, "b")
		assert.Contains(t, s.last("GetParameter").Get(""), "/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")
		launch(true, "c")
		assert.Equal(t, 2, s.count("GetParameter"))
		later(imageAge + time.Second)
		launch(true, "d")
		assert.Equal(t, 3, s.count("GetParameter"))
	})
}
