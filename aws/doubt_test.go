package aws_test

import (
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/cloudtest"
	face "runctl/internal/wire/aws"
)

func TestALaunchNeverMakesTwoMachines(t *testing.T) { cloudtest.LaunchRule(t, cloud) }
func TestAnUnresolvedDoubtIsUncertainAndNamesTheKey(t *testing.T) {
	cloudtest.DoubtIsToldWithItsKey(t, cloud)
}
func TestListsThatFailProveNothing(t *testing.T) { cloudtest.ListsThatFailProveNothing(t, cloud) }
func TestManyLaunchesAtOnceUnderOneKeyAreOneMachine(t *testing.T) {
	cloudtest.ManyLaunchesAtOnce(t, cloud)
}
func TestTheKeyIsSeenNowhere(t *testing.T) { cloudtest.KeySweep(t, cloud) }

func TestARefusedRepetitionProvesNothingAboutTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: time.Minute})
		w.face.Inject(face.LostReply, face.Fault{On: "RunInstances", Times: -1, Status: 400, Code: "VcpuLimitExceeded", Text: "limit of 16"})
		i, err := w.c.Launch(t.Context(), machine("k1"))
		require.NoError(t, err, "the listing has it after a minute")
		assert.Equal(t, []string{i.ID}, w.under("k1"))
	})
}

func TestWithoutTokensALaunchInDoubtIsLookedForAndNeverRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 20 * time.Second}, func(c *aws.Config) { c.TokensIgnored = true })
		w.face.Inject(face.LostReply)
		assert.Equal(t, []string{w.launch("k1").ID}, w.under("k1"))
		assert.Equal(t, 1, w.face.Served("RunInstances"))
	})
}

func TestATokenOfAnEarlierLifeIsNoNewMachine(t *testing.T) {
	for _, dead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{TokenDead: dead, Tombstone: time.Minute})
			process := func() *runctl.Client { // of one controller, which remembers nothing
				c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret, Controller: "abc"}, w.provider())
				require.NoError(t, err)
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			i, err := process().Launch(t.Context(), machine("k1"))
			require.NoError(t, err)
			w.face.Terminate(i.ID)
			pass(time.Hour) // the machine is forgotten, and its token is not
			_, err = process().Launch(t.Context(), machine("k1"))
			// Its user data has another nonce, so EC2 calls the repetition another request. That proves only that the token was used.
			require.ErrorIs(t, err, runctl.ErrUncertain)
			assert.Empty(t, w.face.Billing())
		})
	}
}

// TestACopyWithoutOurTokenIsNeitherAdoptedNorEnded has what the console makes of "launch more like this": tags, type and image of
// ours, and another token.
func TestACopyWithoutOurTokenIsNeitherAdoptedNorEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		ours := w.launch("k1")
		tags := w.face.Instance(ours.ID).Tags
		forged := runctl.Mark{Owner: "tester", Key: "k2", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
		retagged := func(label string) map[string]string {
			return map[string]string{"Name": label, "runctl:mark": label, "runctl:owner": "tester"}
		}
		others := []string{
			w.face.Add("the-console-s-own-token", tags), w.face.Add("", tags), // copies of the first
			w.face.Add(forged.Label([]byte("another secret"))+"X", retagged(forged.Label([]byte("another secret")))),
			w.face.Add(forged.Label(nil)+"X", retagged(forged.Label(nil))),
			w.face.Add(w.face.Instance(ours.ID).Token, map[string]string{"runctl:owner": "tester"}), // the token alone: its tags are gone
		}
		all, err := w.c.List(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, w.c.Terminate(t.Context(), ours.Ref()))
		pass(time.Second)
		w.reapAll()
		assert.ElementsMatch(t, others, w.face.Billing(), "none of them was touched")
	})
}

// TestTheFaceMakesTwoMachinesOfTwoTokens shows that the promise above is the client's: a caller that chooses a new token for
// each try, as SDKs do by themselves, has two machines after a lost reply.
func TestTheFaceMakesTwoMachinesOfTwoTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		in := &ec2.RunInstancesInput{ImageId: awssdk.String(w.face.Image("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")), InstanceType: "t3.micro",
			MinCount: awssdk.Int32(1), MaxCount: awssdk.Int32(1)}
		w.face.Inject(face.LostReply)
		once := func(o *ec2.Options) { o.Retryer = awssdk.NopRetryer{} }
		_, err := w.p.EC2().RunInstances(t.Context(), in, once)
		require.Error(t, err)
		in.ClientToken = nil
		_, err = w.p.EC2().RunInstances(t.Context(), in, once)
		require.NoError(t, err)
		assert.Len(t, w.face.Billing(), 2)
	})
}

func TestALaunchThatDiesWhileItBootsIsToldAndBillsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Pending: 30 * time.Second})
		w.face.FailBoots("Server.InternalError")
		i := w.launch("k1")
		ended, err := w.c.WaitInstance(t.Context(), i.Ref(), runs)
		require.Error(t, err)
		assert.Equal(t, runctl.StateTerminated, ended.State)
		assert.Contains(t, err.Error()+ended.Reason, "Server.InternalError")
		assert.Empty(t, w.face.Billing())
	})
}
