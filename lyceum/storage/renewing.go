package storage

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"runctl"
	"runctl/lyceum"
)

const (
	early   = 5 * time.Minute  // before they expire new credentials are asked for; at half of a life that is shorter than twice that
	unknown = 10 * time.Minute // how long credentials are used that do not say how long they live
)

// renewing gives the SDK credentials; the SDK keeps them until they expire.
type renewing struct {
	from Source

	mu    sync.Mutex
	first *lyceum.S3Credentials // what Open got; nil once it was given
	place string                // of the bucket
}

// Retrieve implements aws.CredentialsProvider.
func (r *renewing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.first
	if r.first = nil; c == nil {
		fresh, err := r.from.S3Credentials(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		c = &fresh
	}
	place := c.Endpoint + "/" + c.Bucket
	if r.place == "" {
		r.place = place
	}
	if place != r.place {
		return aws.Credentials{}, &runctl.Error{Op: "credentials", Kind: runctl.ErrConflict, Msg: "the account's bucket is now " + place + ", no longer " + r.place + ": open it again"}
	}
	now := time.Now()
	until := now.Add(unknown)
	if !c.Expires.IsZero() {
		until = c.Expires.Add(-min(early, c.Expires.Sub(now)/2))
	}
	return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken, CanExpire: true, Expires: until, Source: "lyceum"}, nil
}
