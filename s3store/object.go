package s3store

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Object is what a store says of one object.
type Object struct {
	Key      string // without the store's prefix
	Size     int64
	ETag     string // as the store writes it, with its quotes
	Modified time.Time
	Sum      Sum // zero where none is known; a listing has none
}

// Stat asks for one object. One that is not there is runctl.ErrNotFound.
func (s *Store) Stat(ctx context.Context, key string) (Object, error) {
	if err := s.checkKey(key); err != nil {
		return Object{}, err
	}
	var o Object
	err := s.patiently(ctx, "stat", key, func(ctx context.Context, _ func()) (err error) {
		o, err = s.stat(ctx, key)
		return err
	})
	return o, err
}

func (s *Store) stat(ctx context.Context, key string) (Object, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	r, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(key), ChecksumMode: types.ChecksumModeEnabled}, plainly)
	if err != nil {
		return Object{}, err
	}
	o := Object{Key: key, Size: aws.ToInt64(r.ContentLength), ETag: aws.ToString(r.ETag), Modified: aws.ToTime(r.LastModified)}
	o.Sum = sumOf(r.ChecksumCRC64NVME, r.ChecksumCRC32C, r.ChecksumSHA256, r.ChecksumCRC32, r.ChecksumSHA1)
	return o, nil
}

// maxEmpty is how many pages in a row may have nothing that was asked for.
const maxEmpty = 1000

// List yields every object whose key begins with prefix, after the store's own, in the order of their keys. A page of
// up to 1,000 is one request, made when it is needed. An error is the last thing it yields.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var next *string
		for empty := 0; ; empty++ {
			var page *s3.ListObjectsV2Output
			err := s.patiently(ctx, "list", prefix, func(ctx context.Context, _ func()) (err error) {
				ctx, cancel := context.WithTimeout(ctx, callLimit)
				defer cancel()
				page, err = s.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix), ContinuationToken: next})
				return err
			})
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range page.Contents {
				key, ours := strings.CutPrefix(aws.ToString(o.Key), s.prefix)
				if !ours || !strings.HasPrefix(key, prefix) { // a store that does not keep to the question is not believed
					continue
				}
				empty = 0
				if !yield(Object{Key: key, Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
			token := aws.ToString(page.NextContinuationToken)
			if !aws.ToBool(page.IsTruncated) || token == "" {
				return
			}
			if token == aws.ToString(next) || empty >= maxEmpty {
				yield(Object{}, s.fail("list", prefix, errStuck))
				return
			}
			next = &token
		}
	}
}
