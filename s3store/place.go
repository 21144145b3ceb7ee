package s3store

import (
	"context"
	"fmt"
	"time"

	"runctl"
)

// Place is one key of the store as a place for jobs' inputs, results and checkpoints: machines get to it by addresses
// that are signed here, and hold no longer than the credentials that they are signed with.
func (s *Store) Place(key string) runctl.Place { return place{s, key} }

type place struct {
	s   *Store
	key string
}

// String is s3://bucket/key.
func (p place) String() string { return fmt.Sprintf("s3://%s/%s%s", p.s.bucket, p.s.prefix, p.key) }

// Fetch asks for the object, and signs an address for the version that is there.
func (p place) Fetch(ctx context.Context, hold time.Duration) (runctl.Fetch, error) {
	o, err := p.s.Stat(ctx, p.key)
	if err != nil {
		return runctl.Fetch{}, err
	}
	url, err := p.s.GetURL(ctx, p.key, hold)
	return runctl.Fetch{URL: url, ETag: o.ETag, Size: o.Size}, err
}

// Deliver signs an address to write to. Credentials that end before it should are refused: what they have signed ends
// with them, and a job's results would have nowhere to go.
func (p place) Deliver(ctx context.Context, hold time.Duration) (runctl.Secret, error) {
	if from := p.s.api.Options().Credentials; from != nil {
		keys, err := from.Retrieve(ctx)
		if err != nil {
			return runctl.Secret{}, p.s.fail("presign", p.key, err)
		}
		if left := time.Until(keys.Expires); keys.CanExpire && left < hold {
			return runctl.Secret{}, invalid("hold", "an address would have to hold for %s, and the credentials that sign it end in %s, at %s: ask for a shorter time, or sign with credentials that last",
				hold.Round(time.Minute), max(left, 0).Round(time.Minute), keys.Expires.UTC().Format(time.RFC3339))
		}
	}
	return p.s.PutURL(ctx, p.key, hold)
}
