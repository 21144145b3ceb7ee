package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	ptypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheModelsAreThoseWhoseSumsAreWrittenDown(t *testing.T) {
	note, err := os.ReadFile("testdata/PROVENANCE.md")
	require.NoError(t, err)
	for _, name := range []string{"ec2", "ssm", "pricing", "sts"} {
		text, err := documents.ReadFile("testdata/" + name + ".json")
		require.NoError(t, err)
		sum := sha256.Sum256(text)
		assert.Contains(t, string(note), hex.EncodeToString(sum[:]), name)
	}
	for name := range operations {
		found := false
		for _, m := range models() {
			found = found || m.Operations[name] != nil
		}
		assert.True(t, found, "%s is in no model", name)
	}
}

func TestSecurityGroupsGoWhenNothingStandsInThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{ShuttingDown: time.Minute})
		ctx := t.Context()
		made, err := w.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: awssdk.String("ours"), Description: awssdk.String("x"), VpcId: awssdk.String(vpcID),
			TagSpecifications: []types.TagSpecification{{ResourceType: "security-group", Tags: []types.Tag{{Key: awssdk.String("owner"), Value: awssdk.String("me")}}}}})
		require.NoError(t, err)
		id := *made.GroupId
		_, err = w.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: awssdk.String("ours"), Description: awssdk.String("x")})
		assert.Equal(t, "InvalidGroup.Duplicate", code(err))
		rule := []types.IpPermission{{IpProtocol: awssdk.String("tcp"), FromPort: awssdk.Int32(22), ToPort: awssdk.Int32(22), IpRanges: []types.IpRange{{CidrIp: awssdk.String("198.51.100.7/32"), Description: awssdk.String("me")}}}}
		_, err = w.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: rule})
		require.NoError(t, err)
		_, err = w.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: rule})
		assert.Equal(t, "InvalidPermission.Duplicate", code(err))
		got, err := w.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: awssdk.String("tag:owner"), Values: ids("me")}}})
		require.NoError(t, err)
		require.Len(t, got.SecurityGroups, 1)
		assert.Equal(t, "198.51.100.7/32", *got.SecurityGroups[0].IpPermissions[0].IpRanges[0].CidrIp)
		assert.Equal(t, []string{"tcp 22-22 198.51.100.7/32"}, w.face.Groups()[0].Ingress)
		_, err = w.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: rule})
		require.NoError(t, err)
		_, err = w.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: rule})
		assert.Equal(t, "InvalidPermission.NotFound", code(err))
		wide := []types.IpPermission{{IpProtocol: awssdk.String("tcp"), FromPort: awssdk.Int32(22), ToPort: awssdk.Int32(22), IpRanges: []types.IpRange{{CidrIp: awssdk.String("10.0.0.1/8")}}}}
		_, err = w.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: wide})
		assert.Equal(t, "InvalidParameterValue", code(err), "a network with host bits")

		in := w.plain("t")
		in.SecurityGroupIds = ids(id)
		i := *w.run(in).InstanceId
		remove := func() string {
			_, err := w.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &id})
			return code(err)
		}
		assert.Equal(t, "DependencyViolation", remove())
		_, err = w.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids(i)})
		require.NoError(t, err)
		assert.Equal(t, "DependencyViolation", remove(), "its interface is there until it is gone")
		pass(time.Minute)
		assert.Empty(t, remove())
		assert.Equal(t, "InvalidGroup.NotFound", remove())
		w.clean()
	})
}

func TestVolumesAreBornTaggedAttachInTheirZoneAndStayWithTheirData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{})
		ctx := t.Context()
		in := w.plain("t")
		in.Placement = &types.Placement{AvailabilityZone: awssdk.String("us-west-2b")}
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: awssdk.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{VolumeSize: awssdk.Int32(200), VolumeType: "gp3", Encrypted: awssdk.Bool(true)}}}
		in.BlockDeviceMappings[0].Ebs.DeleteOnTermination = awssdk.Bool(true)
		i := *w.run(in).InstanceId
		got, err := w.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: awssdk.String("attachment.instance-id"), Values: ids(i)}}})
		require.NoError(t, err)
		require.Len(t, got.Volumes, 1)
		assert.EqualValues(t, 200, *got.Volumes[0].Size)
		assert.Equal(t, "disk", *got.Volumes[0].Tags[0].Value)
		assert.True(t, *got.Volumes[0].Encrypted)
		far, near := w.face.AddVolume("us-west-2a", 10), w.face.AddVolume("us-west-2b", 10)
		attach := func(v string) string {
			_, err := w.ec2.AttachVolume(ctx, &ec2.AttachVolumeInput{InstanceId: &i, VolumeId: &v, Device: awssdk.String("/dev/sdf")})
			return code(err)
		}
		pass(time.Second)
		assert.Equal(t, "InvalidVolume.ZoneMismatch", attach(far))
		assert.Empty(t, attach(near))
		assert.Equal(t, "VolumeInUse", attach(near))
		_, err = w.ec2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &near})
		assert.Equal(t, "VolumeInUse", code(err))
		_, err = w.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids(i)})
		require.NoError(t, err)
		assert.ElementsMatch(t, ids(far, near), w.face.Volumes(), "the root goes, data stays")
		w.clean()
	})
}

func TestSpotMachinesAreTakenBackAfterANotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{SpotVCPUs: map[string]int{"P": 192}})
		in := w.plain("t")
		in.InstanceType = "p5.48xlarge"
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: "spot", SpotOptions: &types.SpotMarketOptions{SpotInstanceType: "one-time", MaxPrice: awssdk.String("1.00")}}
		_, err := w.ec2.RunInstances(t.Context(), in)
		assert.Equal(t, "SpotMaxPriceTooLow", code(err))
		in.InstanceMarketOptions.SpotOptions.MaxPrice = awssdk.String("55.04")
		i := w.run(in)
		assert.Equal(t, "spot", string(i.InstanceLifecycle))
		assert.NotEmpty(t, i.SpotInstanceRequestId)
		in.ClientToken = awssdk.String("u")
		_, err = w.ec2.RunInstances(t.Context(), in)
		assert.Equal(t, "MaxSpotInstanceCountExceeded", code(err))
		_, err = w.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids(*i.InstanceId)})
		assert.Contains(t, []string{"UnsupportedOperation", "IncorrectInstanceState"}, code(err))
		pass(time.Minute)
		w.face.Notice(*i.InstanceId, 2*time.Minute)
		pass(2*time.Minute - time.Second)
		assert.Equal(t, "running", w.state(*i.InstanceId))
		pass(time.Second)
		gone := w.one(*i.InstanceId)
		assert.Equal(t, "terminated", string(gone.State.Name))
		assert.Equal(t, "Server.SpotInstanceTermination", *gone.StateReason.Code)
		w.face.SoldOut("spot p5.48xlarge", "*", true)
		_, err = w.ec2.RunInstances(t.Context(), in)
		assert.Equal(t, "InsufficientInstanceCapacity", code(err))
		in.InstanceMarketOptions = nil
		in.ClientToken = awssdk.String("v")
		w.run(in)

		prices, err := w.ec2.DescribeSpotPriceHistory(t.Context(), &ec2.DescribeSpotPriceHistoryInput{InstanceTypes: []types.InstanceType{"p5.48xlarge", "p5en.48xlarge"},
			ProductDescriptions: ids("Linux/UNIX"), StartTime: awssdk.Time(time.Now())})
		require.NoError(t, err)
		assert.Len(t, prices.SpotPriceHistory, 3, "the present one of each zone")
		require.NotNil(t, prices.NextToken)
		assert.Empty(t, *prices.NextToken)
		w.clean()
	})
}

func TestThePriceListHasOneLineThatIsMeantAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{})
		ask := func(filters ...string) (found []string) {
			in := &pricing.GetProductsInput{ServiceCode: awssdk.String("AmazonEC2"), MaxResults: awssdk.Int32(2)}
			for n := 0; n < len(filters); n += 2 {
				in.Filters = append(in.Filters, ptypes.Filter{Type: "TERM_MATCH", Field: &filters[n], Value: &filters[n+1]})
			}
			for p := pricing.NewGetProductsPaginator(w.pricing, in); p.HasMorePages(); {
				page, err := p.NextPage(t.Context())
				require.NoError(t, err)
				found = append(found, page.PriceList...)
			}
			return found
		}
		assert.Len(t, ask("instanceType", "p5.48xlarge", "regionCode", "us-west-2"), 7)
		one := ask("instanceType", "p5.48xlarge", "regionCode", "us-west-2", "operatingSystem", "Linux", "preInstalledSw", "NA", "tenancy", "Shared", "capacitystatus", "Used", "marketoption", "OnDemand")
		require.Len(t, one, 1)
		assert.True(t, json.Valid([]byte(one[0])))
		assert.Contains(t, one[0], `"USD":"55.0400000000"`)
		_, err := w.pricing.GetProducts(t.Context(), &pricing.GetProductsInput{ServiceCode: awssdk.String("AmazonEC2")}, func(o *pricing.Options) { o.Region = "us-west-2" })
		assert.Equal(t, "InvalidSignatureException", code(err), "prices are told in three regions alone")
		w.clean()
	})
}

func TestUserDataIsReadAsCloudInitReadsIt(t *testing.T) {
	mixed := "Content-Type: multipart/mixed; boundary=\"XX\"\nMIME-Version: 1.0\n\n--XX\nContent-Type: text/cloud-boothook; charset=\"us-ascii\"\n\n#cloud-boothook\n#!/bin/sh\necho a\n" +
		"--XX\nContent-Type: text/cloud-config\n\n#cloud-config\nssh_authorized_keys:\n  - ssh-ed25519 AAAA me\nother: 1\n--XX\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmlu\nL3NoCg==\n--XX--\n"
	parts := partsOf([]byte(mixed))
	require.Len(t, parts, 3)
	assert.Equal(t, "boothook", parts[0].kind)
	assert.Equal(t, "#cloud-boothook\n#!/bin/sh\necho a", string(parts[0].text))
	assert.Equal(t, "#!/bin/sh\n", string(parts[2].text))
	assert.Equal(t, []string{"ssh-ed25519 AAAA me"}, loginKeys(parts))
	assert.Equal(t, "script", partsOf([]byte("#!/bin/sh\ntrue\n"))[0].kind)
	assert.Empty(t, partsOf([]byte("what?")))
}

func FuzzWhatIsAskedForInAForm(f *testing.F) {
	for _, s := range []string{"Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&TagSpecification.1.Tag.1.Key=a", "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=x&Filter.1.Value.1=y",
		"Action=RunInstances&Version=2016-11-15&BlockDeviceMapping.2.Ebs=1&BlockDeviceMapping..Ebs=", "Action=GetCallerIdentity&Version=2011-06-15", "Action=RunInstances&Version=2016-11-15&Placement=1&Placement.X.Y=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, form string) {
		values := mustQuery(form)
		o := find("", values.Get("Version"), values.Get("Action"))
		if o == nil {
			return
		}
		d := &reader{m: o.model}
		p := d.form(values, o)
		if p == nil && len(d.wrongs) == 0 {
			t.Error("nothing was read, and nothing was wrong")
		}
	})
}

func FuzzWhatIsAskedForInJSON(f *testing.F) {
	for _, s := range []string{`{"DocumentName":"AWS-RunShellScript","InstanceIds":["i-0123456789abcdef0"],"Parameters":{"commands":["id"]}}`, `{"Parameters":[1]}`, `[]`, `{"TimeoutSeconds":"x"}`, `null`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := find("AmazonSSM.SendCommand", "", "")
		d := &reader{m: o.model}
		if p := d.body([]byte(text), o); !p.has("DocumentName") && len(d.wrongs) == 0 {
			t.Error("a required member is missing, and nothing was wrong")
		}
	})
}

func FuzzUserData(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"X\"\n\n--X\nContent-Type: text/cloud-boothook\n\nx\n--X--\n"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, p := range partsOf(raw) {
			if !strings.Contains("boothook script config", p.kind) {
				t.Errorf("a part of kind %q", p.kind)
			}
		}
	})
}
