package aws_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	face "runctl/internal/wire/aws"
)

// managed has machines with an instance profile, and a road that nobody chose.
func managed(c *aws.Config) { c.InstanceProfile = face.Profile }

func begin(w *tenant) (took time.Duration, err error) {
	began := time.Now()
	_, err = w.c.Start(w.t.Context(), runctl.RunSpec{Key: "k1", Lifetime: time.Hour, MaxHourly: runctl.USD(10), Needs: machine("").Needs, Job: runctl.Job{Args: []string{"true"}}})
	return time.Since(began), err
}

func TestAProfileThatIsOfNoUseToSystemsManagerIsSaidWithinMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{AgentAfter: -1, Pending: 20 * time.Second}, managed)
		took, err := begin(w)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.ErrorContains(t, err, "never registered")
		assert.ErrorContains(t, err, "set Road (RUNCTL_AWS_ROAD) to ssh")
		assert.Less(t, took, 7*time.Minute, "the whole patience is ten")
		assert.Empty(t, w.face.Billing())
		for _, g := range w.face.Groups() {
			assert.Empty(t, g.Ingress, "no port is opened that nobody asked for")
		}
	})
}

func TestWhoMayNotAskAboutAgentsWaitsAsLongAsForAnyMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{AgentAfter: -1}, managed)
		w.face.Deny("DescribeInstanceInformation", true)
		took, err := begin(w)
		require.ErrorIs(t, err, runctl.ErrTimeout)
		assert.ErrorContains(t, err, "AmazonSSMManagedInstanceCore")
		assert.GreaterOrEqual(t, took, 10*time.Minute)
		assert.Empty(t, w.face.Billing())
	})
}

func TestCredentialsThatMayNotUseSystemsManagerAreToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, managed)
		for _, op := range []string{"SendCommand", "StartSession"} {
			w.face.Inject(face.Fault{On: op, Times: -1, Status: 400, Code: "AccessDeniedException", Text: "not authorized"})
		}
		took, err := begin(w)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.ErrorIs(t, err, runctl.ErrAuth, "and why")
		assert.ErrorContains(t, err, "RUNCTL_AWS_ROAD")
		assert.Less(t, took, time.Minute)
		assert.Empty(t, w.face.Billing())
	})
}
