package aws

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestALaunchThatIsWarmTakesAtMostThreeCallsOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		withCatalog(s)
		s.says("DescribeInstances", "<reservationSet/>")
		s.says("DescribeVolumes", volumesReply)
		s.does("RunInstances", func(v url.Values) (int, string) {
			return 200, strings.ReplaceAll(born1(v), "2026-11-02T09:59:00", time.Now().UTC().Format("2006-01-02T15:04:05"))
		})
		c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("s")}, p)
		require.NoError(t, err)
		defer c.Close()
		launch := func(key string, options ...runctl.LaunchOption) []string {
			before := len(s.calls)
			_, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: key, Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 8}}, MaxHourly: runctl.USD(100), Lifetime: time.Hour, Options: options})
			require.NoError(t, err)
			return s.calls[before:]
		}
		assert.Equal(t, []string{"DescribeInstances", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "GetProducts",
			"GetParameter", "DescribeImages", "DescribeVpcs", "DescribeSecurityGroups", "CreateSecurityGroup", "RunInstances"}, launch("cold"))
		assert.Equal(t, []string{"DescribeInstances", "RunInstances"}, launch("warm"), "one listing for the key, and the launch")
		assert.Equal(t, []string{"RunInstances"}, launch(""), "no machine can have a key that is new")
		assert.Equal(t, []string{"DescribeInstances", "DescribeVolumes", "RunInstances"}, launch("data", LaunchOptions{Volumes: []Volume{{ID: "vol-000000000000000a1", Path: "/data"}}}))
	})
}

const volumesReply = "<volumeSet><item><volumeId>vol-000000000000000a1</volumeId><availabilityZone>eu-west-1b</availabilityZone><status>available</status></item></volumeSet>"

func TestNoCapacityInOneZoneIsFollowedByTheNextAtOnce(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	s.says("DescribeInstances", "<reservationSet/>")
	s.says("DescribeInstanceTypeOfferings", `<instanceTypeOfferingSet><item><instanceType>p5.48xlarge</instanceType><location>eu-west-1a</location></item>
<item><instanceType>p5.48xlarge</instanceType><location>eu-west-1b</location></item><item><instanceType>p5.48xlarge</instanceType><location>eu-west-1c</location></item></instanceTypeOfferingSet>`)
	tokens := map[string]bool{}
	s.does("RunInstances", func(v url.Values) (int, string) {
		tokens[v.Get("ClientToken")] = true
		if v.Get("Placement.AvailabilityZone") != "eu-west-1c" {
			return 500, refusal("InsufficientInstanceCapacity")
		}
		return 200, strings.ReplaceAll(born1(v), "2026-11-02T09:59:00", time.Now().UTC().Format("2006-01-02T15:04:05"))
	})
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("s")}, p)
	require.NoError(t, err)
	defer c.Close()
	began := time.Now()
	_, err = c.Launch(t.Context(), runctl.LaunchSpec{Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 8}}, MaxHourly: runctl.USD(100), Lifetime: time.Hour})
	require.NoError(t, err)
	assert.Equal(t, 3, s.count("RunInstances"), "one for each zone: none was repeated")
	assert.Len(t, tokens, 3, "no two attempts share a token")
	assert.Less(t, time.Since(began), 5*time.Second)
}
