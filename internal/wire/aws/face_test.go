package aws

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func as[T any](err error, target *T) bool { return errors.As(err, target) }

func ids(id ...string) []string { return id }

func TestAMachineGoesThroughItsLifeAndOnlyWhatRunsCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{Pending: 30 * time.Second, Stopping: 20 * time.Second, ShuttingDown: 10 * time.Second})
		i := w.run(w.plain("t1"))
		id := *i.InstanceId
		assert.Equal(t, "pending", string(i.State.Name))
		assert.Equal(t, "t1", *i.ClientToken)
		pass(30 * time.Second)
		up := w.one(id)
		assert.Equal(t, "running", string(up.State.Name))
		assert.NotEmpty(t, up.PublicIpAddress)
		assert.Equal(t, "me", *up.Tags[0].Value)
		assert.Equal(t, *i.LaunchTime, *up.NetworkInterfaces[0].Attachment.AttachTime)
		assert.Equal(t, 0, up.LaunchTime.Nanosecond())
		pass(time.Hour - 30*time.Second)

		_, err := w.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids(id)})
		require.NoError(t, err)
		assert.Equal(t, "stopping", w.state(id))
		_, err = w.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids(id)})
		assert.Equal(t, "IncorrectInstanceState", code(err), "one that is stopping")
		pass(20 * time.Second)
		down := w.one(id)
		assert.Equal(t, "stopped", string(down.State.Name))
		assert.Nil(t, down.PublicIpAddress)
		assert.Equal(t, "Client.UserInitiatedShutdown", *down.StateReason.Code)
		spent := w.face.Spent(id)
		assert.InDelta(t, 0.1008*(3600+20)/3600, spent, 1e-6)
		pass(time.Hour)
		assert.InDelta(t, spent, w.face.Spent(id), 1e-9, "its disk alone bills")
		assert.Equal(t, ids(id), w.face.Billing())

		_, err = w.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids(id)})
		require.NoError(t, err)
		pass(30 * time.Second)
		again := w.one(id)
		assert.Equal(t, "running", string(again.State.Name))
		assert.True(t, again.LaunchTime.After(*up.LaunchTime), "LaunchTime is the last start's")
		assert.Equal(t, *i.LaunchTime, *again.NetworkInterfaces[0].Attachment.AttachTime, "and the interface's stays")
		assert.NotEqual(t, *up.PublicIpAddress, *again.PublicIpAddress)

		out, err := w.ec2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: ids(id)})
		require.NoError(t, err)
		assert.Equal(t, "shutting-down", string(out.TerminatingInstances[0].CurrentState.Name))
		assert.Equal(t, "running", string(out.TerminatingInstances[0].PreviousState.Name))
		pass(10 * time.Second)
		gone := w.one(id)
		assert.Equal(t, "terminated", string(gone.State.Name))
		assert.Nil(t, gone.VpcId)
		assert.Empty(t, gone.BlockDeviceMappings)
		assert.Empty(t, w.face.Billing())
		assert.Empty(t, w.face.Volumes())
		_, err = w.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids(id)})
		assert.Equal(t, "IncorrectInstanceState", code(err))
		pass(time.Hour)
		assert.Equal(t, "InvalidInstanceID.NotFound", w.state(id))
		assert.Equal(t, "InvalidInstanceID.Malformed", w.state("i-1"))
		w.clean()
	})
}

func TestATokenAnswersForItsLaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, dead := range []bool{false, true} {
			w := newTester(t, Options{TokenDead: dead})
			first := w.run(w.plain("t1"))
			pass(time.Second)
			second := w.run(w.plain("t1"))
			assert.Equal(t, *first.InstanceId, *second.InstanceId)
			assert.Equal(t, "running", string(second.State.Name), "as it is now")
			other := w.plain("t1")
			other.InstanceType = "c7i.4xlarge"
			_, err := w.ec2.RunInstances(t.Context(), other)
			assert.Equal(t, "IdempotentParameterMismatch", code(err))
			assert.Equal(t, 400, status(err))
			zonal := w.plain("t1")
			zonal.Placement = &types.Placement{AvailabilityZone: awssdk.String("us-west-2b")}
			assert.NotEqual(t, *first.InstanceId, *w.run(zonal).InstanceId, "with a zone, a token is the zone's")
			w.face.Terminate(*first.InstanceId)
			out, err := w.ec2.RunInstances(t.Context(), w.plain("t1"))
			if dead {
				assert.Equal(t, "IdempotentInstanceTerminated", code(err))
			} else if assert.NoError(t, err) {
				assert.Equal(t, "terminated", string(out.Instances[0].State.Name))
			}
			refused := w.plain("t2")
			refused.InstanceType = "p5.48xlarge"
			w.face.SoldOut("p5.48xlarge", "*", true)
			_, err = w.ec2.RunInstances(t.Context(), refused)
			assert.Equal(t, "InsufficientInstanceCapacity", code(err))
			assert.Equal(t, 500, status(err))
			w.face.SoldOut("p5.48xlarge", "*", false)
			w.run(refused)
			assert.Len(t, w.face.Instances(), 3, "a refused launch leaves its token free")
			w.clean()
		}
	})
}

func TestPagesAreOfInstancesAndReservationsMayBeSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{ListLag: time.Minute})
		many := w.plain("many")
		many.MinCount, many.MaxCount = awssdk.Int32(23), awssdk.Int32(23)
		out, err := w.ec2.RunInstances(t.Context(), many)
		require.NoError(t, err)
		require.Len(t, out.Instances, 23)
		list := func(in *ec2.DescribeInstancesInput) (seen map[string]int, pages int) {
			seen = map[string]int{}
			for p := ec2.NewDescribeInstancesPaginator(w.ec2, in); p.HasMorePages(); pages++ {
				page, err := p.NextPage(t.Context())
				require.NoError(t, err)
				for _, r := range page.Reservations {
					for _, i := range r.Instances {
						seen[*i.InstanceId]++
					}
				}
			}
			return seen, pages
		}
		seen, _ := list(&ec2.DescribeInstancesInput{})
		assert.Empty(t, seen, "they are not listed yet")
		assert.Equal(t, "running", w.state(*out.Instances[0].InstanceId), "but known by id")
		pass(time.Minute)
		seen, pages := list(&ec2.DescribeInstancesInput{MaxResults: awssdk.Int32(5)})
		assert.Len(t, seen, 23)
		assert.Equal(t, 5, pages)
		for bad, in := range map[string]*ec2.DescribeInstancesInput{
			"InvalidParameterCombination": {MaxResults: awssdk.Int32(5), InstanceIds: ids(*out.Instances[0].InstanceId)},
			"InvalidNextToken":            {MaxResults: awssdk.Int32(5), NextToken: awssdk.String("bogus")},
			"InvalidParameterValue":       {MaxResults: awssdk.Int32(1001)},
		} {
			_, err := w.ec2.DescribeInstances(t.Context(), in)
			assert.Equal(t, bad, code(err))
		}
		_, err = w.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: awssdk.String("nonsense"), Values: ids("x")}}})
		assert.Equal(t, "InvalidParameterValue", code(err))
		w.clean()
	})
}

func TestFiltersSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{})
		a, b := w.run(w.plain("a")), w.run(w.plain("b"))
		pass(time.Second)
		w.face.Add("x", map[string]string{"who": "you*", "other": ""})
		w.face.Terminate(*b.InstanceId)
		for _, x := range []struct {
			name, value string
			n           int
		}{{"tag:who", "me", 2}, {"tag:who", "m?", 2}, {"tag:who", "*", 3}, {"tag:who", `you\*`, 1}, {"tag-key", "other", 1}, {"client-token", "a", 1},
			{"instance-state-name", "terminated", 1}, {"instance-state-name", "running", 2}, {"instance-id", *a.InstanceId, 1}, {"instance-type", "m7i.*", 2},
			{"vpc-id", vpcID, 2}, {"tag:who", "nobody", 0}, {"instance.group-id", "sg-*", 2}} {
			out, err := w.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: awssdk.String(x.name), Values: ids(x.value)}}})
			require.NoError(t, err, x.name)
			n := 0
			for _, r := range out.Reservations {
				n += len(r.Instances)
			}
			assert.Equal(t, x.n, n, "%s=%s", x.name, x.value)
		}
		w.clean()
	})
}

func TestFaultsAreWhatTheySayAndLeaveBehindWhatTheySay(t *testing.T) {
	for _, x := range []struct {
		name   string
		fault  Fault
		left   int
		status int
		code   string
	}{
		{"lost request", LostRequest, 0, 0, ""}, {"lost reply", LostReply, 1, 0, ""}, {"error after", ErrorAfter, 1, 500, "InternalError"}, {"unreadable", Unreadable, 1, 200, ""},
		{"half a reply", HalfReply, 1, 200, ""}, {"unavailable", Unavailable, 0, 503, "Unavailable"}, {"no capacity", NoCapacity, 0, 500, "InsufficientInstanceCapacity"},
		{"no spot", NoSpot, 0, 500, "InsufficientInstanceCapacity"}, {"spot too low", SpotTooLow, 0, 400, "SpotMaxPriceTooLow"}, {"no vCPUs", NoVCPUs, 0, 400, "VcpuLimitExceeded"},
		{"no spot vCPUs", NoSpotVCPUs, 0, 400, "MaxSpotInstanceCountExceeded"}, {"not verified", NotVerified, 0, 400, "PendingVerification"}, {"not opted in", NotOptedIn, 0, 401, "OptInRequired"},
		{"blocked", Blocked, 0, 400, "Blocked"}, {"throttled", Throttled, 0, 503, "RequestLimitExceeded"}, {"a gateway", BadGateway, 0, 502, ""}, {"a hotel", Interposed, 0, -2, ""},
		{"only slow", Fault{On: "RunInstances", Hold: time.Minute}, 1, -1, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTester(t, Options{})
				w.face.Inject(x.fault)
				began := time.Now()
				out, err := w.ec2.RunInstances(t.Context(), w.plain("t1"))
				switch {
				case x.status == -2: // the SDK takes an HTML page for an empty reply
					require.NoError(t, err)
					assert.Empty(t, out.Instances)
				case x.status < 0:
					require.NoError(t, err)
				default:
					require.Error(t, err)
					assert.Equal(t, x.status, status(err))
					if x.code != "" {
						assert.Equal(t, x.code, code(err))
					}
				}
				assert.Len(t, w.face.Billing(), x.left)
				assert.Equal(t, x.fault.Hold, time.Since(began))
				w.run(w.plain("t1"))
				assert.Len(t, w.face.Billing(), 1, "the fault is over, and the token holds")
				w.clean()
			})
		})
	}
}

func TestBucketsHaveThePublishedSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{Throttle: true})
		burst := func(call func(n int) error) (n int) {
			for ; ; n++ {
				if err := call(n); err != nil {
					assert.Equal(t, "RequestLimitExceeded", code(err))
					assert.Equal(t, 503, status(err))
					return n
				}
			}
		}
		launch := func(n int) error {
			_, err := w.ec2.RunInstances(t.Context(), w.plain(fmt.Sprint("t", time.Now().UnixNano(), "-", n)))
			return err
		}
		assert.Equal(t, 5, burst(launch))
		pass(time.Second)
		assert.Equal(t, 2, burst(launch))
		assert.Equal(t, 50, burst(func(int) error {
			_, err := w.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
			return err
		}))
		assert.Equal(t, 100, burst(func(int) error {
			_, err := w.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{MaxResults: awssdk.Int32(100)})
			return err
		}))
		id := w.face.Instances()[0].ID
		assert.Equal(t, 100, burst(func(int) error {
			_, err := w.ec2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: ids(id)})
			return err
		}))
		w.clean()
	})
}

func TestWhatTheModelDoesNotHaveIsRefusedAndNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, x := range []struct {
			change func(*ec2.RunInstancesInput)
			code   string
			noted  bool
		}{
			{func(in *ec2.RunInstancesInput) { in.InstanceType = "x9.huge" }, "InvalidParameterValue", true},
			{func(in *ec2.RunInstancesInput) { in.InstanceInitiatedShutdownBehavior = "explode" }, "InvalidParameterValue", true},
			{func(in *ec2.RunInstancesInput) { in.ImageId = awssdk.String("ami-00000000000000000") }, "InvalidAMIID.NotFound", false},
			{func(in *ec2.RunInstancesInput) { in.KeyName = awssdk.String("nobody's") }, "InvalidKeyPair.NotFound", false},
			{func(in *ec2.RunInstancesInput) { in.SubnetId = awssdk.String("subnet-00000000000000000") }, "InvalidSubnetID.NotFound", false},
			{func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = ids("sg-00000000000000000") }, "InvalidGroup.NotFound", false},
			{func(in *ec2.RunInstancesInput) { in.UserData = awssdk.String(encoded(make([]byte, maxUserData+1))) }, "InvalidParameterValue", false},
			{func(in *ec2.RunInstancesInput) { in.InstanceType = "t4g.small" }, "InvalidParameterValue", false},
			{func(in *ec2.RunInstancesInput) { in.DryRun = awssdk.Bool(true) }, "DryRunOperation", false},
			{func(in *ec2.RunInstancesInput) { in.TagSpecifications[0].Tags[0].Key = awssdk.String("aws:x") }, "InvalidParameterValue", false},
			{func(in *ec2.RunInstancesInput) { in.TagSpecifications[0].ResourceType = "vpc" }, "InvalidParameterValue", false},
			{func(in *ec2.RunInstancesInput) {
				in.Placement, in.InstanceType = &types.Placement{AvailabilityZone: awssdk.String("us-west-2c")}, "g6.xlarge"
			}, "Unsupported", false},
		} {
			w := newTester(t, Options{})
			in := w.plain("t")
			x.change(in)
			_, err := w.ec2.RunInstances(t.Context(), in)
			assert.Equal(t, x.code, code(err))
			assert.Equal(t, x.noted, len(w.face.Violations()) > 0, "%s: %v", x.code, w.face.Violations())
			assert.Empty(t, w.face.Billing())
		}
	})
}

func TestCredentialsAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{SessionToken: "the/session"})
		_, err := w.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		require.NoError(t, err)
		w.run(w.plain("t"))
		for _, x := range []struct{ key, secret, session, region, code string }{
			{defaultKey, "another", "the/session", "us-west-2", "AuthFailure"}, {"AKIANOBODY0000000000", defaultValue, "the/session", "us-west-2", "AuthFailure"},
			{defaultKey, defaultValue, "", "us-west-2", "AuthFailure"}, {defaultKey, defaultValue, "the/session", "eu-west-3", "AuthFailure"},
		} {
			fresh := ec2.NewFromConfig(w.cfg) // a signer keeps the key that it has made from a secret
			_, err := fresh.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}, func(o *ec2.Options) {
				o.Region, o.Credentials = x.region, awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
					return awssdk.Credentials{AccessKeyID: x.key, SecretAccessKey: x.secret, SessionToken: x.session}, nil
				})
			})
			assert.Equal(t, x.code, code(err), "%+v", x)
			assert.Equal(t, 401, status(err))
		}
		w.face.Deny("RunInstances", true)
		_, err = w.ec2.RunInstances(t.Context(), w.plain("t2"))
		assert.Equal(t, "UnauthorizedOperation", code(err))
		assert.Equal(t, 403, status(err))
		w.clean()
	})
}
