package s3store

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxParts is how many parts an object may have.
const maxParts = 10_000

// Upload brings one file to the store under a key, and replaces what is there. The object appears when all of it is
// there and has this computer's sum, CRC64NVME, which the store keeps. A file larger than a part goes in parts, and one
// that was cut goes on with those that the store has, also in another process; so does one that fails in the end,
// when it is called again: until then, or a [Store.Sweep], the store bills the parts.
//
// A file that changes while it is read is runctl.ErrConflict, and never becomes an object.
func (s *Store) Upload(ctx context.Context, from, key string, opt ...Options) (Object, error) {
	o, err := s.options(opt)
	if err != nil {
		return Object{}, err
	}
	if err := s.checkKey(key); err != nil {
		return Object{}, err
	}
	f, err := os.Open(from)
	if err != nil {
		return Object{}, fmt.Errorf("s3 upload: %w", err)
	}
	defer f.Close()
	at, err := f.Stat()
	switch {
	case err != nil:
		return Object{}, fmt.Errorf("s3 upload: %w", err)
	case !at.Mode().IsRegular():
		return Object{}, invalid("from", "%q is not a file; Sync takes directories", from)
	case at.Size() > o.MaxBytes:
		return Object{}, invalid("Options.MaxBytes", "%s has %d bytes, more than %d", from, at.Size(), o.MaxBytes)
	}
	m := newMeter(o.Progress)
	m.total(1, at.Size())
	object, err := s.store(ctx, f, key, m)
	if err != nil {
		return Object{}, err
	}
	m.file()
	m.end()
	return object, nil
}

// store brings an open file to the store.
func (s *Store) store(ctx context.Context, f *os.File, key string, m *meter) (Object, error) {
	before, err := f.Stat()
	if err != nil {
		return Object{}, err
	}
	unchanged := func() error {
		now, err := f.Stat()
		if err == nil && (now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
			err = s.fail("upload", key, errChanged)
		}
		return err
	}
	put := s.putOne
	if before.Size() >= s.part {
		put = s.putParts
	}
	return put(ctx, f, before.Size(), key, unchanged, m)
}

// putOne is one request for the whole object.
func (s *Store) putOne(ctx context.Context, f io.ReaderAt, size int64, key string, unchanged func() error, m *meter) (o Object, err error) {
	err = s.patiently(ctx, "upload", key, func(ctx context.Context, _ func()) error {
		ctx, cancel := context.WithTimeout(ctx, partLimit)
		defer cancel()
		sum, err := Sum{Algorithm: string(algorithm)}.measure(f, size, 0)
		if err != nil {
			return err
		}
		if err := unchanged(); err != nil {
			return err
		}
		r, err := s.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(key), Body: io.NewSectionReader(f, 0, size),
			ContentLength: &size, ChecksumAlgorithm: algorithm, ChecksumCRC64NVME: &sum.Value})
		if changed := unchanged(); changed != nil {
			return changed
		}
		if err != nil {
			return err
		}
		o = Object{Key: key, Size: size, ETag: aws.ToString(r.ETag), Sum: sum}
		return nil
	})
	if err == nil {
		m.have(key, size)
	}
	return o, err
}

// putParts is an upload in parts, again and again until it is whole: what the store has of it is not sent twice.
func (s *Store) putParts(ctx context.Context, f io.ReaderAt, size int64, key string, unchanged func() error, m *meter) (o Object, err error) {
	u := &partial{s: s, key: key, f: f, size: size, part: partOf(s.part, size), checked: map[int32]string{}, meter: m}
	err = s.patiently(ctx, "upload", key, func(ctx context.Context, moved func()) error {
		if err := u.find(ctx); err != nil {
			return err
		}
		body := &summed{r: io.NewSectionReader(f, 0, size), h: algorithms[0].hash()}
		_, err := transfermanager.New(u).UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &s.bucket, Key: s.key(key), Body: body, ContentLength: &size},
			func(o *transfermanager.Options) {
				o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = u.part, u.part, s.workers
			})
		sent, first := u.take()
		if sent > 0 {
			moved()
		}
		if first != nil { // what the manager says comes after it
			return u.over(first)
		}
		if err != nil {
			return err
		}
		if body.n != size {
			return errChanged
		}
		if err := unchanged(); err != nil {
			return err
		}
		sum := Sum{Algorithm: string(algorithm), Value: encode(body.h)}
		o, err = s.complete(ctx, u, sum)
		return err
	})
	return o, err
}

// partOf is the size of the parts: what was asked for, unless that were too many of them.
func partOf(part, size int64) int64 {
	if need := size/maxParts + 1; need > part {
		return (need + mib - 1) / mib * mib
	}
	return part
}

// complete makes the object of its parts. The store refuses it when they do not have the sum. When the reply to that is
// lost the object says whether it was done.
func (s *Store) complete(ctx context.Context, u *partial, sum Sum) (Object, error) {
	own, cancel := context.WithTimeout(ctx, partLimit) // a store may take long to put them together
	defer cancel()
	r, err := s.api.CompleteMultipartUpload(own, &s3.CompleteMultipartUploadInput{Bucket: &s.bucket, Key: s.key(u.key), UploadId: &u.id,
		ChecksumCRC64NVME: &sum.Value, ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &u.size,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts()}})
	if err == nil {
		return Object{Key: u.key, Size: u.size, ETag: aws.ToString(r.ETag), Sum: sum}, nil
	}
	if o, look := s.stat(ctx, u.key); look == nil && o.Size == u.size && o.Sum == sum {
		return o, nil
	}
	return Object{}, u.over(err)
}
