package aws

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/memnet"
)

// tester is an account with AWS's own clients, each of which asks once.
type tester struct {
	t       *testing.T
	face    *Face
	cfg     awssdk.Config
	ec2     *ec2.Client
	ssm     *ssm.Client
	pricing *pricing.Client
	sts     *sts.Client
}

func newTester(t *testing.T, opt Options) *tester {
	t.Helper()
	f := New(opt)
	t.Cleanup(f.Close)
	wire := new(memnet.Net).Serve(t, "aws.test", f)
	w := &tester{t: t, face: f, cfg: awssdk.Config{Region: "us-west-2", RetryMaxAttempts: 1, BaseEndpoint: awssdk.String("http://aws.test"),
		Credentials: credentials.NewStaticCredentialsProvider(defaultKey, defaultValue, opt.SessionToken),
		HTTPClient:  &http.Client{Transport: memnet.Whole(wire)}}}
	w.ec2, w.ssm, w.sts = ec2.NewFromConfig(w.cfg), ssm.NewFromConfig(w.cfg), sts.NewFromConfig(w.cfg)
	w.pricing = pricing.NewFromConfig(w.cfg, func(o *pricing.Options) { o.Region = "us-east-1" })
	return w
}

// clean expects that nothing was wrong with what was asked and answered.
func (w *tester) clean() {
	w.t.Helper()
	assert.Empty(w.t, w.face.Violations())
}

// plain is a launch that a correct client sends.
func (w *tester) plain(token string) *ec2.RunInstancesInput {
	return &ec2.RunInstancesInput{ImageId: awssdk.String(w.face.Image(wellKnown[3])), InstanceType: "m7i.large", MinCount: awssdk.Int32(1), MaxCount: awssdk.Int32(1),
		ClientToken: awssdk.String(token), TagSpecifications: []types.TagSpecification{{ResourceType: "instance", Tags: []types.Tag{{Key: awssdk.String("who"), Value: awssdk.String("me")}}},
			{ResourceType: "volume", Tags: []types.Tag{{Key: awssdk.String("who"), Value: awssdk.String("disk")}}}}}
}

func (w *tester) run(in *ec2.RunInstancesInput) types.Instance {
	w.t.Helper()
	out, err := w.ec2.RunInstances(w.t.Context(), in)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, out.Instances)
	return out.Instances[0]
}

func (w *tester) one(id string) types.Instance {
	w.t.Helper()
	out, err := w.ec2.DescribeInstances(w.t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	require.NoError(w.t, err)
	return out.Reservations[0].Instances[0]
}

// state is the state of a machine, or the code with which it is not told.
func (w *tester) state(id string) string {
	w.t.Helper()
	out, err := w.ec2.DescribeInstances(w.t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return code(err)
	}
	return string(out.Reservations[0].Instances[0].State.Name)
}

// code is AWS's code of an error, "" for what is none of AWS's.
func code(err error) string {
	var api smithy.APIError
	if as(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// status is the HTTP status of an error.
func status(err error) int {
	var r *awshttp.ResponseError
	if as(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

func pass(d time.Duration) { <-time.After(d) }

func mustQuery(s string) url.Values {
	v, _ := url.ParseQuery(s)
	return v
}

func profileOf(name string) *types.IamInstanceProfileSpecification {
	return &types.IamInstanceProfileSpecification{Name: &name}
}
