package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"

	"runctl"
	"runctl/internal/newborn"
)

// Provider is one region of an AWS account. Make it with [New]; it may be used concurrently. It remembers what does not
// change from one launch to the next, each for a stated time, and nothing on which a promise rests.
type Provider struct {
	cfg     Config
	sdk     awssdk.Config
	ec2     *ec2.Client
	ssm     *ssm.Client
	pricing *pricing.Client
	s3      *s3.Client

	young    newborn.Set
	launches memo[*ec2.RunInstancesInput] // by client token: a repetition must be the same request
	types    memo[[]machineType]
	places   memo[map[string][]string]     // by type: the zones that have it
	prices   memo[map[string]runctl.Price] // by type, or "" for all: on demand
	unpriced memo[string]                  // "": why on-demand prices could not be had
	spots    memo[map[string]runctl.Price] // by the types asked for: type/zone
	images   memo[image]
	groups   memo[string] // by owner and VPC
	subnets  memo[map[string]subnet]
	vpc      memo[string]
	volumes  memo[[]types.Volume]
	buckets  memo[string] // by name: its region
	rules    memo[string] // by security group: the address that it lets in
}

// settling is for how long InvalidInstanceID.NotFound proves nothing of a machine that was launched here. EC2 documents
// that its replies are eventually consistent, and that this code is to be expected at first, but no bound.
const settling = 2 * time.Minute

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Provider, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	sdk := cfg.Config.Copy()
	sdk.Region, sdk.AppID = cfg.Region, "runctl"
	sdk.Credentials = &chain{sdk.Credentials}
	web := careful(sdk.HTTPClient)
	return &Provider{
		cfg: cfg, sdk: sdk, young: newborn.Set{Cloud: "EC2", What: "machine", For: settling},
		ec2: ec2.NewFromConfig(sdk, func(o *ec2.Options) { o.Retryer, o.HTTPClient = patient(), web }),
		ssm: ssm.NewFromConfig(sdk, func(o *ssm.Options) { o.Retryer, o.HTTPClient = patient(), web }),
		pricing: pricing.NewFromConfig(sdk, func(o *pricing.Options) {
			o.Retryer, o.HTTPClient, o.Region = patient(), web, pricingRegion(cfg.Region)
		}),
		s3: newS3(sdk, cfg.Region), // its bodies are as large as objects are
	}, nil
}

// EC2 returns the SDK's client, for what else EC2 can do.
func (p *Provider) EC2() *ec2.Client { return p.ec2 }

// SSM returns the SDK's client of Systems Manager.
func (p *Provider) SSM() *ssm.Client { return p.ssm }

// longestPause is between two tries of a call.
var longestPause = 2 * time.Second

// patient repeats what was throttled or not answered, three tries in all. It is for calls that change nothing, and for
// those that may be made twice.
func patient() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 3, longestPause, ratelimit.None
	})
}

// once makes a call once. Repeating a launch is the client's business, and so is another zone: EC2 says that it has no
// capacity with a status of 500, which the SDK would try again.
func once(o *ec2.Options) { o.Retryer = awssdk.NopRetryer{} }

// Info implements [runctl.Provider]. EC2 honours client tokens. It documents no bound for how long a new machine may
// be missing from a listing, so absence proves nothing.
func (p *Provider) Info() runctl.Info {
	return runctl.Info{Name: p.cfg.Name, Kind: DefaultName, Idempotent: !p.cfg.TokensIgnored, Rate: p.cfg.Rate, Boots: true,
		Markets: runctl.OnDemand | runctl.Spot, EndsItself: true, Region: p.cfg.Region, Credentials: "the AWS SDK's chain"}
}

// Format prints whose provider it is, and no credentials, whatever the verb.
func (p *Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "aws.Provider(%s)", p.cfg.Region) }

// Get implements [runctl.Provider] with one request. EC2 remembers a machine for about an hour after its end; later it
// is ErrNotFound. One that was launched here a moment ago, and that EC2 does not know yet, is ErrUnavailable.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	v, seen, err := p.describe(ctx, id)
	if err != nil {
		return runctl.Instance{}, err
	}
	return p.instance(v, seen), nil
}

// describe reads one machine's record, and the cloud's clock.
func (p *Provider) describe(ctx context.Context, id string) (*types.Instance, time.Time, error) {
	if err := checkID(id); err != nil {
		return nil, time.Time{}, err
	}
	out, err := p.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return nil, time.Time{}, p.young.Judge(id, classify(err))
	}
	for _, r := range out.Reservations {
		for n := range r.Instances {
			if awssdk.ToString(r.Instances[n].InstanceId) == id {
				return &r.Instances[n], clock(out.ResultMetadata), p.young.Judge(id, nil)
			}
		}
	}
	return nil, time.Time{}, fmt.Errorf("asked for %s, and the reply is about something else", id)
}

const (
	pageSize = 1000 // machines in a page, the most that EC2 gives
	maxPages = 200
)

// List implements [runctl.Provider]: a page for each thousand machines. With an owner EC2 is asked for those alone.
func (p *Provider) List(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
	in := &ec2.DescribeInstancesInput{MaxResults: awssdk.Int32(pageSize)}
	if q.Owner != "" {
		in.Filters = filter("tag:"+ownerTag, q.Owner)
	}
	var all []runctl.Instance
	err := pages(func(token *string) (*string, error) {
		in.NextToken = token
		out, err := p.ec2.DescribeInstances(ctx, in)
		if err != nil {
			return nil, classify(err)
		}
		if out.Reservations == nil {
			return nil, errNoList
		}
		seen := clock(out.ResultMetadata)
		for _, r := range out.Reservations {
			for n := range r.Instances {
				v := &r.Instances[n]
				if awssdk.ToString(v.InstanceId) == "" {
					return nil, errors.New("a machine of the listing has no id")
				}
				all = append(all, p.instance(v, seen))
			}
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// errNoList is for a reply without the list that was asked for: even an empty one would be there.
var errNoList = errors.New("the reply is not a listing")

// pages calls for one page after the other, until there is no next. A token that comes twice would be for ever.
func pages(page func(token *string) (next *string, err error)) error {
	seen := map[string]bool{}
	var token *string
	for range maxPages {
		next, err := page(token)
		if err != nil {
			return err
		}
		name := awssdk.ToString(next)
		if name == "" {
			return nil
		}
		if seen[name] {
			break
		}
		seen[name], token = true, next
	}
	return errors.New("the listing does not end")
}

func filter(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: awssdk.String(name), Values: values}}
}

// clock is the cloud's, from the reply's Date; zero where it has none.
func clock(m middleware.Metadata) time.Time {
	at, _ := awsmiddleware.GetServerTime(m)
	return at
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// checkID refuses what cannot be an id: nobody has it.
func checkID(id string) error {
	if instanceID.MatchString(id) {
		return nil
	}
	return &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest, NotStarted: true, Msg: "this is not the id of an EC2 instance"}
}

var (
	_ runctl.Provider  = (*Provider)(nil)
	_ runctl.Stopper   = (*Provider)(nil)
	_ runctl.Connector = (*Provider)(nil)
)
