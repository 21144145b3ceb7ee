package aws

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestTheLabelStandsInTheTokenWhichNoCopyHas(t *testing.T) {
	long := "rc1-" + strings.Repeat("o", 12) + "-" + strings.Repeat("k", 24) + "-" + strings.Repeat("a", 18)
	for _, l := range []string{label, long} {
		assert.Len(t, clientToken(l, "x"), min(64, len(l)+32))
		assert.Equal(t, l, tokenLabel(clientToken(l, "x")))
		assert.NotEqual(t, clientToken(l, "x"), clientToken(l, "y"))
	}
	assert.Len(t, long, 60)
	seen := map[string]bool{}
	for n := range 1000 {
		seen[clientToken(long, strings.Repeat("t", n))] = true
	}
	assert.GreaterOrEqual(t, len(seen), 998, "even the longest label leaves room to tell attempts apart")
	for _, foreign := range []string{"", "8a6b9f3e-6d1c-4f7b-9a70-1f0e4f1c2d3e", "rc1-me-train-abc"} {
		assert.Empty(t, tokenLabel(foreign), foreign)
	}
}

func TestOursIsWhatHasTheLabelInItsTokenAndInItsTags(t *testing.T) {
	both := []types.Tag{tag(markTag, label)}
	token := awssdk.String(clientToken(label, "x"))
	for what, row := range map[string]struct {
		v    types.Instance
		want string
	}{
		"ours":                       {types.Instance{ClientToken: token, Tags: both}, label},
		"a clone from the console":   {types.Instance{ClientToken: awssdk.String("8a6b9f3e-6d1c"), Tags: both}, ""},
		"a clone without a token":    {types.Instance{Tags: both}, ""},
		"one that was disowned":      {types.Instance{ClientToken: token}, ""},
		"one that was relabelled":    {types.Instance{ClientToken: token, Tags: []types.Tag{tag(markTag, label+"x")}}, ""},
		"somebody else's altogether": {types.Instance{}, ""},
	} {
		assert.Equal(t, row.want, labelOf(&row.v), what)
	}
}

func TestEveryStateIsMappedAndNoneToAnEndThatIsNotShown(t *testing.T) {
	want := map[types.InstanceStateName]runctl.State{"pending": runctl.StatePending, "running": runctl.StateRunning, "shutting-down": runctl.StateStopping,
		"stopping": runctl.StateStopping, "stopped": runctl.StateStopped, "terminated": runctl.StateTerminated}
	for _, name := range types.InstanceStateName("").Values() {
		assert.Equal(t, want[name], states[name], name)
	}
	_, p := newStub(t)
	i := p.instance(&types.Instance{State: &types.InstanceState{Name: "quiescing"}}, time.Time{})
	assert.Equal(t, runctl.StateUnknown, i.State)
	assert.Contains(t, i.Reason, "quiescing")
	assert.Equal(t, runctl.StateUnknown, p.instance(&types.Instance{}, time.Time{}).State)
}

func TestALifetimeCountsFromTheFirstStart(t *testing.T) {
	first, again := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	disk := func(name string, at time.Time) types.InstanceBlockDeviceMapping {
		return types.InstanceBlockDeviceMapping{DeviceName: &name, Ebs: &types.EbsInstanceBlockDevice{AttachTime: &at}}
	}
	v := &types.Instance{LaunchTime: &again, RootDeviceName: awssdk.String("/dev/xvda"), BlockDeviceMappings: []types.InstanceBlockDeviceMapping{
		disk("/dev/sdf", first.Add(-time.Hour)), disk("/dev/xvda", first)}}
	assert.Equal(t, first, born(v))
	v.BlockDeviceMappings = nil
	assert.Equal(t, again, born(v))
	assert.True(t, born(&types.Instance{}).IsZero())
}

func TestTheRecordSaysWhyAndWhenAMachineEnded(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeInstances", described(instanceXML("i-00000000000000001", "terminated", "<reason>User initiated (2026-11-02 10:04:05 GMT)</reason><stateReason><code>Server.SpotInstanceTermination</code><message>x</message></stateReason><instanceLifecycle>spot</instanceLifecycle>")))
	i, err := p.Get(t.Context(), "i-00000000000000001")
	require.NoError(t, err)
	assert.Equal(t, "2026-11-02 10:04:05", i.Ended.Format(time.DateTime))
	assert.Equal(t, "Server.SpotInstanceTermination", i.Reason)
	assert.Equal(t, runctl.Spot, i.Market)
	assert.False(t, i.State.Billing())
}

func TestAListingHasAllPagesOrIsAnError(t *testing.T) {
	s, p := newStub(t)
	page := func(token, next string) string {
		return described(instanceXML("i-0000000000000000"+token, "running", "")) + "<nextToken>" + next + "</nextToken>"
	}
	s.does("DescribeInstances", func(v url.Values) (int, string) {
		assert.Equal(t, "1000", v.Get("MaxResults"))
		assert.Equal(t, "tag:runctl:owner", v.Get("Filter.1.Name"))
		assert.Equal(t, "me", v.Get("Filter.1.Value.1"))
		switch v.Get("NextToken") {
		case "":
			return 200, page("1", "2")
		case "2":
			return 200, page("2", "3")
		}
		return 200, page("3", "")
	})
	all, err := p.List(t.Context(), runctl.ListQuery{Owner: "me"})
	require.NoError(t, err)
	assert.Len(t, all, 3)
	s.says("DescribeInstances", page("1", "again"))
	_, err = p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "does not end")
	assert.Equal(t, 3+2, s.count("DescribeInstances"), "a token that comes back would be for ever")
	assert.Empty(t, s.last("DescribeInstances").Get("Filter.1.Name"), "everybody's")
	s.says("DescribeInstances", described("<instancesSet><item><imageId>ami-1</imageId></item></instancesSet>"))
	_, err = p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "no id")
	s.says("DescribeInstances", "<html>all is well</html>")
	_, err = p.List(t.Context(), runctl.ListQuery{})
	assert.Error(t, err, "a page of a proxy's is no empty listing")
	for _, action := range []string{"TerminateInstances", "StopInstances", "StartInstances", "DescribeInstanceTypes"} {
		s.says(action, "<html>all is well</html>")
	}
	const id = "i-00000000000000001"
	assert.Error(t, p.Terminate(t.Context(), id))
	assert.Error(t, p.Stop(t.Context(), id))
	assert.Error(t, p.Start(t.Context(), id))
	_, err = p.Offers(t.Context(), runctl.OfferQuery{})
	assert.Error(t, err)
	s.says("DescribeInstances", "<reservationSet/>")
	all, err = p.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	assert.Empty(t, all)
}

func TestAMachineThatWasJustLaunchedIsNotTakenForGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		i, err := p.Launch(t.Context(), h100(runctl.OnDemand))
		require.NoError(t, err)
		s.refuses("DescribeInstances", 400, "InvalidInstanceID.NotFound")
		s.refuses("TerminateInstances", 400, "InvalidInstanceID.NotFound")
		for range 2 {
			_, err = p.Get(t.Context(), i.ID)
			assert.ErrorIs(t, err, runctl.ErrUnavailable)
			assert.NotErrorIs(t, err, runctl.ErrNotFound)
			assert.ErrorIs(t, p.Terminate(t.Context(), i.ID), runctl.ErrUnavailable)
		}
		later(settling - time.Second)
		_, err = p.Get(t.Context(), i.ID)
		assert.ErrorIs(t, err, runctl.ErrUnavailable)
		later(time.Second)
		_, err = p.Get(t.Context(), i.ID)
		assert.ErrorIs(t, err, runctl.ErrNotFound)
	})
}

func TestAMachineThatWasSeenOnceIsGoneWhenEC2SaysSo(t *testing.T) {
	s, p := newStub(t)
	i, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	s.says("DescribeInstances", described(instanceXML(i.ID, "running", "")))
	_, err = p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	s.refuses("DescribeInstances", 400, "InvalidInstanceID.NotFound")
	_, err = p.Get(t.Context(), i.ID)
	assert.ErrorIs(t, err, runctl.ErrNotFound)
}

func TestWhatIsNoIDIsNobodysAndNotAskedFor(t *testing.T) {
	s, p := newStub(t)
	for _, id := range []string{"", "i-", "i-xyz", "pod1", "i-00000000000000001 ", "i-00000000000000001/../x"} {
		_, err := p.Get(t.Context(), id)
		assert.ErrorIs(t, err, runctl.ErrNotFound, id)
		assert.ErrorIs(t, p.Terminate(t.Context(), id), runctl.ErrNotFound, id)
		assert.ErrorIs(t, p.Stop(t.Context(), id), runctl.ErrNotFound, id)
		assert.ErrorIs(t, p.Start(t.Context(), id), runctl.ErrNotFound, id)
	}
	assert.Empty(t, s.calls)
	s.says("DescribeInstances", described(instanceXML("i-00000000000000009", "running", "")))
	_, err := p.Get(t.Context(), "i-00000000000000001")
	assert.ErrorContains(t, err, "something else")
}

func FuzzTagsOfOthersAreReadWithoutSurprises(f *testing.F) {
	for _, s := range []string{"H100-SXM:8:81920", "98320000000 USD 1793610000", "vol-00000001=/data=format", clientToken(label, "x"), "User initiated (2026-11-02 10:04:05 GMT)", "(2026-99-02 10:04:05 GMT)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if g := parseGPU(s); g != (runctl.GPU{}) && parseGPU(formatGPU(g)) != g {
			t.Fatalf("%+v", g)
		}
		if p := parsePrice(s); p.Hourly.Known() && (p.Hourly.Nanos < 0 || parsePrice(formatPrice(p)) != p) {
			t.Fatalf("%+v", p)
		}
		if all, err := parseMounts(s); err == nil && len(all) > 0 {
			if again, err := parseMounts(formatMounts(all)); err != nil || len(again) != len(all) {
				t.Fatalf("%+v", all)
			}
		}
		if l := tokenLabel(s); strings.ContainsAny(l, "ABCXYZ") {
			t.Fatal(l)
		}
		_ = changed(s)
	})
}

func TestARecordIsReadAsItIs(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeInstances", described(instanceXML(oneID, "stopping", "<reason>User initiated (2026-11-02 10:04:05 GMT)</reason><ipAddress>192.0.2.9</ipAddress><privateIpAddress>10.1.2.3</privateIpAddress>")))
	i, err := p.Get(t.Context(), oneID)
	require.NoError(t, err)
	assert.Equal(t, []any{"eu-west-1b", "eu-west-1", "192.0.2.9", runctl.StateStopping, runctl.OnDemand}, []any{i.Zone, i.Region, i.Addr, i.State, i.Market})
	assert.True(t, i.Ended.IsZero(), "it has not ended yet")
	p.cfg.Private = true
	i, err = p.Get(t.Context(), oneID)
	require.NoError(t, err)
	assert.Equal(t, "10.1.2.3", i.Addr)
}

func TestTagsThatNoLaunchWritesSayNothing(t *testing.T) {
	for _, s := range []string{"", "H100", "H100:8", ":8:1", "H100:0:1", "H100:1025:1", "H100:8:-1", "H100:8:x", "H100:8:1:1"} {
		assert.Zero(t, parseGPU(s), s)
	}
	for _, s := range []string{"", "1 USD", "-1 USD 5", "1 EURO 5", "x USD 5", "1 USD x", "1 USD 5 5"} {
		assert.Zero(t, parsePrice(s), s)
	}
}
