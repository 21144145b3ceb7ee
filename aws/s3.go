package aws

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"runctl"
	"runctl/s3store"
)

// bucketAge is how long a bucket is taken to be where it was found. Buckets do not move; names can go to others.
const bucketAge = time.Hour

// newS3 is a client in a region. Where an endpoint is set it is not Amazon's, and has no name for each bucket.
func newS3(sdk awssdk.Config, region string) *s3.Client {
	sdk.Region = region
	return s3.NewFromConfig(sdk, func(o *s3.Options) {
		o.Retryer = patient()
		o.UsePathStyle = o.BaseEndpoint != nil
	})
}

// S3 returns the SDK's client of S3, in the provider's region.
func (p *Provider) S3() *s3.Client { return p.s3 }

// Bucket returns a bucket as a store, in whatever region it is; the first time it asks S3 where. Prefix is put before
// every key; see [s3store.Config].
func (p *Provider) Bucket(ctx context.Context, name, prefix string) (*s3store.Store, error) {
	c := s3store.Config{Client: p.s3, Bucket: name, Prefix: prefix}
	if _, err := s3store.New(c); err != nil {
		return nil, err
	}
	region, err := p.buckets.get(ctx, name, bucketAge, func(ctx context.Context) (string, error) { return p.regionOf(ctx, name) })
	if err != nil {
		return nil, err
	}
	if region != p.cfg.Region {
		c.Client = newS3(p.sdk, region)
	}
	return s3store.New(c)
}

// regionOf asks where a bucket is. S3 says it in a header of every reply, a redirect or a refusal too.
func (p *Provider) regionOf(ctx context.Context, bucket string) (string, error) {
	r, err := p.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err == nil {
		if region := awssdk.ToString(r.BucketRegion); region != "" {
			return region, nil
		}
		return p.cfg.Region, nil
	}
	var said *awshttp.ResponseError
	if errors.As(err, &said) {
		region := said.Response.Header.Get("X-Amz-Bucket-Region")
		switch status := said.HTTPStatusCode(); {
		case region != "" && status != http.StatusNotFound:
			return region, nil
		case status == http.StatusNotFound:
			return "", &runctl.Error{Op: "s3 bucket", Kind: runctl.ErrNotFound, Msg: "there is no bucket " + bucket, Err: err}
		}
	}
	return "", classify(err)
}

// Place implements [runctl.Placer]: the object s3://bucket/key, for inputs, results and checkpoints of jobs. Machines of
// any provider read and write it by addresses that are signed here, and need no right and no key of the account.
func (p *Provider) Place(ctx context.Context, at string) (runctl.Place, error) {
	rest, ok := strings.CutPrefix(at, "s3://")
	bucket, key, slash := strings.Cut(rest, "/")
	if !ok || !slash || bucket == "" || key == "" || strings.HasSuffix(key, "/") {
		e := invalid("an object is s3://bucket/key, not %q", clip(at))
		if !ok {
			e.Err = errors.ErrUnsupported
		}
		return nil, e
	}
	s, err := p.Bucket(ctx, bucket, "")
	if err != nil {
		return nil, err
	}
	return s.Place(key), nil
}

var _ runctl.Placer = (*Provider)(nil)
