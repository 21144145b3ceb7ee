package s3store

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Sweep ends uploads below the store's prefix that were begun at least age ago, by the two clocks, and never finished:
// the store bills their parts. It returns how many those were. An age below an upload's duration ends one that is
// still going on; that begins anew.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (ended int, err error) {
	if age < 0 {
		return 0, invalid("age", "%s: must not be negative", age)
	}
	var old []types.MultipartUpload
	for u, err := range s.unfinished(ctx, "") {
		if err != nil {
			return 0, s.fail("sweep", "", err)
		}
		if time.Since(aws.ToTime(u.Initiated)) >= age {
			old = append(old, u)
		}
	}
	for _, u := range old {
		err := s.patiently(ctx, "sweep", "", func(ctx context.Context, _ func()) error {
			ctx, cancel := context.WithTimeout(ctx, callLimit)
			defer cancel()
			_, err := s.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: u.Key, UploadId: u.UploadId})
			if code(err) == "NoSuchUpload" {
				return nil
			}
			return err
		})
		if err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}

// unfinished yields the uploads of keys that begin with prefix. An error is the last thing it yields.
func (s *Store) unfinished(ctx context.Context, prefix string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		p := s3.NewListMultipartUploadsPaginator(s.api, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: s.key(prefix)})
		for pages := 0; p.HasMorePages(); pages++ {
			own, cancel := context.WithTimeout(ctx, callLimit)
			page, err := p.NextPage(own)
			cancel()
			if err == nil && pages > maxParts {
				err = errStuck
			}
			if err != nil {
				yield(types.MultipartUpload{}, err)
				return
			}
			for _, u := range page.Uploads {
				if !yield(u, nil) {
					return
				}
			}
		}
	}
}
