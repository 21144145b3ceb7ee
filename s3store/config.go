package s3store

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"runctl"
)

const (
	mib = 1 << 20

	defaultWorkers = 4
	maxWorkers     = 32
	defaultPart    = 8 * mib
	minPart        = 5 * mib // S3 takes no smaller part, but for the last one
	maxPart        = 64 * mib
)

// Config is what a [Store] is made of. Bucket is required, and either Client or Credentials.
type Config struct {
	// Client carries the requests. nil: one is made of the next four fields, which must be empty otherwise.
	Client *s3.Client
	// Endpoint is where the store is; without a scheme it is https. Empty: Amazon's, in Region.
	Endpoint string
	Region   string // empty: us-east-1
	// Credentials are asked for whenever those at hand have expired.
	Credentials aws.CredentialsProvider
	// PathStyle puts the bucket into the path instead of the host's name, as most stores but Amazon's want it.
	PathStyle bool

	Bucket string
	// Prefix is put before every key, and taken off of those that are returned. It ends where it ends: give it a
	// final slash to mean a directory.
	Prefix string

	Workers  int   // how many requests at a time; 0: 4, at most 32
	PartSize int64 // bytes of a part, 5 to 64 MiB; 0: 8 MiB. Uploads grow it where 10,000 parts were too few
}

// Store is one bucket, or what begins with one prefix there. It may be used concurrently, but not for the same key or
// file at the same time.
type Store struct {
	api     *s3.Client
	bucket  string
	prefix  string
	workers int
	part    int64
}

// New checks the configuration and returns a store. It does no I/O.
func New(c Config) (*Store, error) {
	own := c.Endpoint != "" || c.Region != "" || c.Credentials != nil || c.PathStyle
	switch {
	case c.Bucket == "" || strings.ContainsAny(c.Bucket, "/\x00\r\n"):
		return nil, invalid("Config.Bucket", "%q: the bucket's name", c.Bucket)
	case c.Client != nil && own:
		return nil, invalid("Config.Client", "give it, or Endpoint, Region, Credentials and PathStyle, not both")
	case c.Client == nil && c.Credentials == nil:
		return nil, invalid("Config.Credentials", "are needed, unless Client is given")
	case strings.HasPrefix(c.Prefix, "/") || strings.ContainsAny(c.Prefix, "\x00\r\n"):
		return nil, invalid("Config.Prefix", "%q: does not begin with a slash, and is one line", c.Prefix)
	case c.Workers < 0 || c.Workers > maxWorkers:
		return nil, invalid("Config.Workers", "%d: 1 to %d, or 0", c.Workers, maxWorkers)
	case c.PartSize != 0 && (c.PartSize < minPart || c.PartSize > maxPart):
		return nil, invalid("Config.PartSize", "%d bytes: 5 to 64 MiB, or 0", c.PartSize)
	}
	s := &Store{api: c.Client, bucket: c.Bucket, prefix: c.Prefix, workers: cmp.Or(c.Workers, defaultWorkers), part: cmp.Or(c.PartSize, defaultPart)}
	if s.api == nil {
		at, err := endpoint(c.Endpoint)
		if err != nil {
			return nil, err
		}
		s.api = s3.New(s3.Options{BaseEndpoint: at, Region: cmp.Or(c.Region, "us-east-1"), Credentials: aws.NewCredentialsCache(c.Credentials),
			UsePathStyle: c.PathStyle, Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 3
				o.RateLimiter = ratelimit.None // a line that is often cut is no reason to stop: progress decides
			})})
	}
	s.api = s3.New(s.api.Options(), carefully)
	return s, nil
}

// endpoint completes the store's address; nil: the SDK knows.
func endpoint(s string) (*string, error) {
	if s == "" {
		return nil, nil
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, invalid("Config.Endpoint", "an address such as https://minio.example.com:9000, without user, query or fragment")
	}
	return aws.String(strings.TrimSuffix(u.String(), "/")), nil
}

// Format prints the bucket and nothing of the client's, whatever the verb.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "s3://%s/%s", s.bucket, s.prefix) }

// Format prints the bucket and no credentials, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "s3store.Config(s3://%s/%s)", c.Bucket, c.Prefix)
}

// key is the object's whole key.
func (s *Store) key(k string) *string { return aws.String(s.prefix + k) }

// checkKey refuses what no object can be called.
func (s *Store) checkKey(k string) error {
	if k == "" || len(s.prefix)+len(k) > 1024 {
		return invalid("key", "1 to 1,024 bytes, with the prefix")
	}
	return nil
}

// plainly lets the SDK verify nothing of replies by itself: a sum of the whole object says nothing of a range, and
// what was received is verified here.
func plainly(o *s3.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

// algorithm is what uploads are summed with: the one whose parts' sums make the whole object's.
const algorithm = types.ChecksumAlgorithmCrc64nvme

// invalid makes the error for bad input: it names the field and what is allowed.
func invalid(field, format string, args ...any) error {
	return &runctl.Error{Op: "s3", Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, Msg: field + ": " + fmt.Sprintf(format, args...)}
}

// Below is the part of the store whose keys begin with prefix, which is put before every key in its turn.
func (s *Store) Below(prefix string) *Store {
	own := *s
	own.prefix += prefix
	return &own
}
