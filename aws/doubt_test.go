package aws_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	face "runctl/internal/wire/aws"
)

// outcome is what becomes of the request that starts a machine.
type outcome struct {
	name  string
	fault *face.Fault
	told  error // the kind by which the client knows at once that nothing was started; nil: it does not know, or all is well
}

func slow(f face.Fault) *face.Fault { f.Hold = 3 * time.Second; return &f }

var outcomes = []outcome{
	{"all goes well", slow(face.Fault{On: "RunInstances"}), nil},
	{"the request is lost", slow(face.LostRequest), nil},
	{"the reply is lost", slow(face.LostReply), nil},
	{"500 after starting", slow(face.ErrorAfter), nil},
	{"503, and nothing was started", slow(face.Unavailable), nil},
	{"a 200 that cannot be read", slow(face.Unreadable), nil},
	{"a 200 that is cut in the middle", slow(face.HalfReply), nil},
	{"a gateway's page, and the request went on", slow(face.Fault{On: "RunInstances", Acts: true, Status: 502, Kind: "text/html", Body: "<html>"}), nil},
	{"a gateway's page, and it did not", slow(face.Fault{On: "RunInstances", Status: 502, Kind: "text/html", Body: "<html>"}), nil},
	{"a hotel's page with status 200", slow(face.Fault{On: "RunInstances", Status: 200, Kind: "text/html", Body: "<html>"}), nil},
	{"no answer before the deadline", &face.Fault{On: "RunInstances", Acts: true, Hold: time.Hour, Cut: face.NoReply}, nil},
	{"no capacity, as a 500", &face.Fault{On: "RunInstances", Times: -1, Status: 500, Code: "InsufficientInstanceCapacity"}, runctl.ErrCapacity},
	{"no quota", &face.Fault{On: "RunInstances", Times: -1, Status: 400, Code: "VcpuLimitExceeded"}, runctl.ErrCapacity}, // of all offers: none could be launched
	{"no permission", &face.Fault{On: "RunInstances", Times: -1, Status: 403, Code: "UnauthorizedOperation"}, runctl.ErrAuth},
}

// TestALaunchNeverMakesTwoMachines is the launch rule over EC2's wire: every outcome of the one RunInstances × how long a new machine
// is missing from lists × what a token of an ended machine brings × whether the caller gives up meanwhile.
func TestALaunchNeverMakesTwoMachines(t *testing.T) {
	for _, o := range outcomes {
		for _, lag := range []time.Duration{0, 5 * time.Second, time.Minute} {
			for _, dead := range []bool{false, true} {
				if dead && lag != 5*time.Second {
					continue // the one has nothing to do with the other
				}
				for _, leaves := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/lag %s/dead %v/leaves %v", o.name, lag, dead, leaves), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { checkLaunch(t, o, lag, dead, leaves) })
					})
				}
			}
		}
	}
}

func checkLaunch(t *testing.T, o outcome, lag time.Duration, dead, leaves bool) {
	w := newTenant(t, face.Options{ListLag: lag, GetLag: lag / 2, TokenDead: dead, Pending: 20 * time.Second})
	w.face.Inject(*o.fault)
	ctx := t.Context()
	if leaves {
		ctx = cancelAfter(t, 2*time.Second)
	}
	i, err := w.c.Launch(ctx, machine("k1"))
	found := w.under("k1")
	require.LessOrEqual(t, len(found), 1, "two machines under one key")
	switch {
	case err == nil:
		require.Equal(t, []string{i.ID}, found, "Launch returned nil")
		require.Equal(t, "k1", i.Mark.Key)
	case errors.Is(err, runctl.ErrUncertain):
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		require.True(t, e.MayBill)
		require.True(t, leaves, "the same token brings the machine, so that no doubt remains: %v", err)
	default:
		require.Empty(t, found, "a machine bills, and the error does not say so: %v", err)
		require.ErrorIs(t, err, o.told)
		require.LessOrEqual(t, w.face.Served("RunInstances"), 3, "one for each zone that has the type")
	}
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), secretKey)

	// The same key again, from this process and from another that knows nothing.
	w.face.Heal()
	before := len(found)
	again, err := w.c.Launch(t.Context(), machine("k1"))
	if err != nil && lag > 0 { // a machine that EC2 does not show yet: nothing is concluded, and nothing launched
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		require.LessOrEqual(t, len(w.under("k1")), 1)
		pass(lag)
		again, err = w.c.Launch(t.Context(), machine("k1"))
	}
	require.NoError(t, err)
	now := w.under("k1")
	require.Equal(t, []string{again.ID}, now)
	if before == 1 {
		require.Equal(t, found, now)
	}
	pass(lag)
	launches := w.face.Served("RunInstances")
	w.p = w.provider()
	other, err := w.client().Launch(t.Context(), machine("k1"))
	require.NoError(t, err)
	require.Equal(t, now[0], other.ID, "another process adopts")
	require.Equal(t, launches, w.face.Served("RunInstances"))
	w.reapAll()
	pass(time.Minute)
	assert.Empty(t, w.under("k1"), "left after Reap")
	assert.Empty(t, w.face.Billing())
	assert.Empty(t, w.face.Volumes())
}

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
	for _, lost := range []face.Fault{face.LostReply, face.LostRequest} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{ListLag: 20 * time.Second}, func(c *aws.Config) { c.TokensIgnored = true })
			w.face.Inject(lost)
			i, err := w.c.Launch(t.Context(), machine("k1"))
			assert.Equal(t, 1, w.face.Served("RunInstances"))
			if lost.Acts {
				require.NoError(t, err)
				assert.Equal(t, []string{i.ID}, w.under("k1"))
				return
			}
			require.ErrorIs(t, err, runctl.ErrUncertain)
			_, err = w.c.Launch(t.Context(), machine("k1"))
			require.ErrorIs(t, err, runctl.ErrUncertain, "and again, without another request")
			assert.Equal(t, 1, w.face.Served("RunInstances"))
		})
	}
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

func TestManyLaunchesAtOnceUnderOneKeyAreOneMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ListLag: 20 * time.Second})
		w.face.Inject(*slow(face.LostReply))
		ids := make(chan string, 8)
		for range cap(ids) {
			go func() {
				i, err := w.c.Launch(context.WithoutCancel(t.Context()), machine("k1"))
				assert.NoError(t, err)
				ids <- i.ID
			}()
		}
		for range cap(ids) {
			assert.Equal(t, []string{<-ids}, w.under("k1"))
		}
		assert.Equal(t, 2, w.face.Served("RunInstances"), "once, and the repetition with the same token")
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
