package aws

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"os"
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

const ownGroup = "sg-0000000000000001"

// entered is a machine with its owner's own group.
func entered() *types.Instance {
	return &types.Instance{InstanceId: awssdk.String("i-00000000000000001"), Tags: []types.Tag{tag(ownerTag, "me")},
		SecurityGroups: []types.GroupIdentifier{{GroupId: awssdk.String("sg-0000000000000007"), GroupName: awssdk.String("default")},
			{GroupId: awssdk.String(ownGroup), GroupName: awssdk.String("runctl-me")}}}
}

// withRules is the group with these rules: network and description in turn.
func withRules(s *stub, rules ...string) {
	var ranges, ranges6 strings.Builder
	for n := 0; n < len(rules); n += 2 {
		if strings.Contains(rules[n], ":") {
			ranges6.WriteString("<item><cidrIpv6>" + rules[n] + "</cidrIpv6><description>" + rules[n+1] + "</description></item>")
			continue
		}
		ranges.WriteString("<item><cidrIp>" + rules[n] + "</cidrIp><description>" + rules[n+1] + "</description></item>")
	}
	s.says("DescribeSecurityGroups", "<securityGroupInfo><item><groupId>"+ownGroup+"</groupId><groupName>runctl-me</groupName><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort><ipRanges>"+
		ranges.String()+"</ipRanges><ipv6Ranges>"+ranges6.String()+"</ipv6Ranges></item></ipPermissions></item></securityGroupInfo>")
	s.says("AuthorizeSecurityGroupIngress", "<return>true</return>")
	s.says("RevokeSecurityGroupIngress", "<return>true</return>")
}

// seenAs is the address that this computer is seen with.
func seenAs(s *stub, addr string) {
	s.does("checkip.amazonaws.com", func(url.Values) (int, string) { return 200, addr + "\n" })
}

func TestAGroupIsMadeOnceForAnOwnerAndAVPCAndLetsNothingIn(t *testing.T) {
	s, p := newStub(t)
	for _, token := range []string{"a", "b"} {
		req := h100(runctl.OnDemand)
		req.Token = token
		_, err := p.Launch(t.Context(), req)
		require.NoError(t, err)
	}
	assert.Equal(t, 1, s.count("CreateSecurityGroup"))
	v := s.last("CreateSecurityGroup")
	assert.Equal(t, []string{"runctl-me", "vpc-1", "me"}, []string{v.Get("GroupName"), v.Get("VpcId"), tagIn(v, "TagSpecification.1", ownerTag)})
	assert.Zero(t, s.count("AuthorizeSecurityGroupIngress"))
}

func TestAGroupThatAnotherProcessMadeAtTheSameTimeIsTaken(t *testing.T) {
	s, p := newStub(t)
	s.does("CreateSecurityGroup", func(url.Values) (int, string) {
		s.says("DescribeSecurityGroups", "<securityGroupInfo><item><groupId>sg-0000000000000002</groupId></item></securityGroupInfo>")
		return 400, refusal("InvalidGroup.Duplicate")
	})
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	assert.Equal(t, "sg-0000000000000002", s.last("RunInstances").Get("SecurityGroupId.1"))
	assert.Equal(t, "tag:runctl:owner", s.last("DescribeSecurityGroups").Get("Filter.3.Name"), "a group of that name that is not ours is not taken")
}

func TestAGroupThatIsGoneIsMadeAgainByTheNextLaunch(t *testing.T) {
	s, p := newStub(t)
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	good := s.answer["RunInstances"]
	s.refuses("RunInstances", 400, "InvalidGroup.NotFound")
	req := h100(runctl.OnDemand)
	req.Token = "next"
	_, err = p.Launch(t.Context(), req)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	s.does("RunInstances", good)
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 2, s.count("CreateSecurityGroup"))
}

func TestOwnSubnetsAndGroupsAreTakenAsTheyAre(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.SecurityGroups = []string{"sg-000000000000000aa"} })
	s.says("DescribeSubnets", "<subnetSet><item><subnetId>subnet-000000000000000b1</subnetId><vpcId>vpc-2</vpcId><availabilityZone>eu-west-1b</availabilityZone></item></subnetSet>")
	req := h100(runctl.OnDemand)
	req.Options = []runctl.LaunchOption{LaunchOptions{Subnet: "subnet-000000000000000b1"}}
	_, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	v := s.last("RunInstances")
	assert.Equal(t, []string{"subnet-000000000000000b1", "sg-000000000000000aa", "eu-west-1b"}, []string{v.Get("SubnetId"), v.Get("SecurityGroupId.1"), v.Get("Placement.AvailabilityZone")})
	assert.Zero(t, s.count("CreateSecurityGroup"))

	req.Offer.ID = strings.Replace(req.Offer.ID, "eu-west-1b", "eu-west-1c", 1)
	req.Token = "c"
	_, err = p.Launch(t.Context(), req)
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, []any{runctl.ErrCapacity, runctl.ScopeZone, true}, []any{e.Kind, e.Scope, e.NotStarted}, "the next zone is tried")
}

func TestAnAccountWithoutADefaultVPCIsToldWhatToSet(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeVpcs", "<vpcSet/>")
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	assert.ErrorContains(t, err, "set Config.Subnets")
}

func TestOneAddressIsLetInAndTheOneBeforeIsNotAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		mine := computer()
		withRules(s, "203.0.113.9/32", mine, "192.0.2.1/32", "runctl of-a-colleague", "198.51.100.0/24", "typed by hand")
		seenAs(s, "203.0.113.10")
		require.NoError(t, p.letIn(t.Context(), entered()))
		allow, revoke := s.last("AuthorizeSecurityGroupIngress"), s.last("RevokeSecurityGroupIngress")
		for name, want := range map[string]string{"GroupId": ownGroup, "IpPermissions.1.IpProtocol": "tcp", "IpPermissions.1.FromPort": "22", "IpPermissions.1.ToPort": "22",
			"IpPermissions.1.IpRanges.1.CidrIp": "203.0.113.10/32", "IpPermissions.1.IpRanges.1.Description": mine} {
			assert.Equal(t, want, allow.Get(name), name)
		}
		assert.Equal(t, "203.0.113.9/32", revoke.Get("IpPermissions.1.IpRanges.1.CidrIp"))
		assert.Equal(t, 1, s.count("RevokeSecurityGroupIngress"), "what others made stays")

		before := len(s.calls)
		later(ingressAge / 2)
		require.NoError(t, p.letIn(t.Context(), entered()))
		assert.Len(t, s.calls, before, "connecting again at once asks for nothing")
		withRules(s, "203.0.113.10/32", mine)
		later(ingressAge)
		require.NoError(t, p.letIn(t.Context(), entered()))
		assert.Equal(t, 1, s.count("AuthorizeSecurityGroupIngress"), "a rule that is there is enough")

		seenAs(s, "2001:db8::7") // documentation addresses are global
		later(2 * ingressAge)
		require.NoError(t, p.letIn(t.Context(), entered()))
		assert.Equal(t, "2001:db8::7/128", s.last("AuthorizeSecurityGroupIngress").Get("IpPermissions.1.Ipv6Ranges.1.CidrIpv6"))
		assert.Equal(t, "203.0.113.10/32", s.last("RevokeSecurityGroupIngress").Get("IpPermissions.1.IpRanges.1.CidrIp"))
	})
}

func TestTheNewRuleComesBeforeTheOldOneGoes(t *testing.T) {
	s, p := newStub(t)
	withRules(s, "203.0.113.9/32", computer())
	seenAs(s, "203.0.113.10")
	s.refuses("AuthorizeSecurityGroupIngress", 400, "RulesPerSecurityGroupLimitExceeded")
	assert.ErrorIs(t, p.letIn(t.Context(), entered()), runctl.ErrQuota)
	assert.Zero(t, s.count("RevokeSecurityGroupIngress"))
	s.refuses("AuthorizeSecurityGroupIngress", 400, "InvalidPermission.Duplicate")
	assert.NoError(t, p.letIn(t.Context(), entered()), "another process was faster")
}

func TestTheWholeInternetMustBeTyped(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.SSHFrom = []string{"0.0.0.0/0"} })
	withRules(s)
	require.NoError(t, p.letIn(t.Context(), entered()))
	assert.Equal(t, "0.0.0.0/0", s.last("AuthorizeSecurityGroupIngress").Get("IpPermissions.1.IpRanges.1.CidrIp"))
	assert.Zero(t, s.count("checkip.amazonaws.com"))

	s, p = newStub(t)
	withRules(s)
	s.does("checkip.amazonaws.com", func(url.Values) (int, string) { return 503, "203.0.113.10" })
	assert.ErrorIs(t, p.letIn(t.Context(), entered()), runctl.ErrUnavailable, "an error is no answer, whatever it says")
	for _, answer := range []string{"0.0.0.0", "127.0.0.1", "169.254.169.254", "<html>", "", "10.0.0.1 10.0.0.2"} {
		s, p := newStub(t)
		withRules(s)
		seenAs(s, answer)
		err := p.letIn(t.Context(), entered())
		if addr, bad := netip.ParseAddr(answer); bad == nil && addr.IsGlobalUnicast() {
			continue
		}
		assert.ErrorIs(t, err, runctl.ErrUnavailable, answer)
		assert.ErrorContains(t, err, "SSHFrom")
		assert.Zero(t, s.count("AuthorizeSecurityGroupIngress"), answer)
	}
}

func TestGroupsOfOthersAreNeverTouched(t *testing.T) {
	s, p := newStub(t)
	v := entered()
	v.SecurityGroups = v.SecurityGroups[:1]
	require.NoError(t, p.letIn(t.Context(), v))
	v = entered()
	v.Tags = []types.Tag{tag(ownerTag, "you")}
	require.NoError(t, p.letIn(t.Context(), v))
	assert.Empty(t, s.calls)
}

func TestWhoAsksMeanwhileGetsTheSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[int]
		asked := 0
		ask := func() (int, error) { asked++; later(time.Second); return asked, nil }
		for range 5 {
			go func() {
				v, err := m.get(t.Context(), "x", time.Minute, func(context.Context) (int, error) { return ask() })
				assert.NoError(t, err)
				assert.Equal(t, 1, v)
			}()
		}
		later(5 * time.Second)
		assert.Equal(t, 1, asked)
		later(time.Hour)
		v, err := m.get(t.Context(), "x", time.Minute, func(context.Context) (int, error) { return ask() })
		require.NoError(t, err)
		assert.Equal(t, 2, v)
	})
}

func TestAQuestionThatIsStuckKeepsNobodyFromWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[int]
		known := func(context.Context) (int, error) { return 7, nil }
		_, err := m.get(t.Context(), "known", time.Hour, known)
		require.NoError(t, err)
		go func() {
			_, err := m.get(t.Context(), "stuck", time.Hour, func(context.Context) (int, error) { later(time.Minute); return 0, errors.New("no answer") })
			assert.Error(t, err)
		}()
		synctest.Wait()
		began := time.Now()
		v, err := m.get(t.Context(), "known", time.Hour, known)
		require.NoError(t, err)
		assert.Equal(t, 7, v)
		assert.Zero(t, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = m.get(ctx, "other", time.Hour, known)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began), "who leaves does not wait")
		later(2 * time.Hour)
		_, err = m.get(t.Context(), "other", time.Hour, known)
		require.NoError(t, err)
		assert.Len(t, m.kept, 1, "what is too old is not kept for ever")
	})
}

func TestAnOwnersGroupIsSweptWhenNothingIsInItAndNobodyElsesIs(t *testing.T) {
	s, p := newStub(t)
	group := func(id, name, owner string) string {
		return "<item><groupId>" + id + "</groupId><groupName>" + name + "</groupName><tagSet><item><key>runctl:owner</key><value>" + owner + "</value></item></tagSet></item>"
	}
	s.says("DescribeSecurityGroups", "<securityGroupInfo>"+group("sg-0000000000000001", "runctl-me", "me")+group("sg-0000000000000002", "runctl-you", "you")+
		group("sg-0000000000000003", "runctl-me", "you")+group("sg-0000000000000004", "default", "me")+"</securityGroupInfo>")
	s.says("DeleteSecurityGroup", "<return>true</return>")
	require.NoError(t, p.Sweep(t.Context(), "me"))
	assert.Equal(t, 1, s.count("DeleteSecurityGroup"))
	assert.Equal(t, "sg-0000000000000001", s.last("DeleteSecurityGroup").Get("GroupId"))
	s.refuses("DeleteSecurityGroup", 400, "DependencyViolation")
	assert.NoError(t, p.Sweep(t.Context(), "me"), "what is in use stays, and that is no error")
	s.refuses("DeleteSecurityGroup", 400, "InvalidGroup.NotFound")
	assert.NoError(t, p.Sweep(t.Context(), "me"), "nor is what somebody else has deleted")
	s.refuses("DeleteSecurityGroup", 403, "UnauthorizedOperation")
	assert.ErrorIs(t, p.Sweep(t.Context(), "me"), runctl.ErrAuth)
}

func TestEachVPCHasAGroupOfItsOwnAndTheFirstSubnetOfAZoneIsTaken(t *testing.T) {
	s, p := newStub(t)
	s.says("DescribeSubnets", "<subnetSet><item><subnetId>subnet-000000000000000b1</subnetId><vpcId>vpc-2</vpcId><availabilityZone>eu-west-1b</availabilityZone></item>"+
		"<item><subnetId>subnet-000000000000000b2</subnetId><vpcId>vpc-3</vpcId><availabilityZone>eu-west-1b</availabilityZone></item></subnetSet>")
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	assert.Equal(t, "is-default", s.last("DescribeVpcs").Get("Filter.1.Name"))
	p.cfg.Subnets = []string{"subnet-000000000000000b1", "subnet-000000000000000b2"}
	req := h100(runctl.OnDemand)
	req.Token = "next"
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "subnet-000000000000000b1", s.last("RunInstances").Get("SubnetId"))
	assert.Equal(t, 2, s.count("CreateSecurityGroup"))
	assert.Equal(t, "vpc-2", s.last("CreateSecurityGroup").Get("VpcId"))
	assert.Equal(t, 1, s.count("DescribeVpcs"), "its own VPC is known by the subnet")
	s.says("DeleteSecurityGroup", "<return>true</return>")
	require.NoError(t, p.Sweep(t.Context(), "me"))
	req.Token = "after the sweep"
	_, err = p.Launch(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 3, s.count("CreateSecurityGroup"))

	s, p = newStub(t)
	s.says("DescribeSecurityGroups", "<html>all is well</html>")
	_, err = p.Launch(t.Context(), h100(runctl.OnDemand))
	require.Error(t, err)
	assert.Zero(t, s.count("CreateSecurityGroup"), "a page of a proxy's does not say that there is none")
}

func TestRulesOfOtherPortsAndProtocolsAreNotOurs(t *testing.T) {
	rule := func(protocol, from, to string) string {
		return "<item><ipProtocol>" + protocol + "</ipProtocol><fromPort>" + from + "</fromPort><toPort>" + to + "</toPort><ipRanges><item><cidrIp>203.0.113.9/32</cidrIp><description>" +
			computer() + "</description></item></ipRanges></item>"
	}
	for what, row := range map[string]string{"another protocol": rule("udp", "22", "22"), "another port": rule("tcp", "443", "22"), "more ports": rule("tcp", "22", "443")} {
		s, p := newStub(t, func(c *Config) { c.SSHFrom = []string{"203.0.113.9/32"} })
		withRules(s)
		s.says("DescribeSecurityGroups", "<securityGroupInfo><item><groupId>"+ownGroup+"</groupId><ipPermissions>"+row+"</ipPermissions></item></securityGroupInfo>")
		require.NoError(t, p.letIn(t.Context(), entered()), what)
		assert.Equal(t, 1, s.count("AuthorizeSecurityGroupIngress"), what)
		assert.Zero(t, s.count("RevokeSecurityGroupIngress"), what)
	}
	s, p := newStub(t)
	withRules(s, "2001:db8::7/128", computer())
	seenAs(s, "2001:db8::7")
	require.NoError(t, p.letIn(t.Context(), entered()))
	assert.Zero(t, s.count("AuthorizeSecurityGroupIngress"), "it is let in already")

	s, p = newStub(t)
	withRules(s, "203.0.113.9/32", computer())
	seenAs(s, "203.0.113.10")
	s.refuses("RevokeSecurityGroupIngress", 400, "InvalidPermission.NotFound")
	assert.NoError(t, p.letIn(t.Context(), entered()), "another process was faster")
	s.says("DescribeSecurityGroups", "<securityGroupInfo><item><groupId>sg-0000000000000009</groupId></item></securityGroupInfo>")
	p.rules.clear()
	assert.ErrorIs(t, p.letIn(t.Context(), entered()), runctl.ErrInvalid, "the rules of another group say nothing of this one's")
	if name, err := os.Hostname(); err == nil {
		assert.NotContains(t, computer(), name)
	}
}
