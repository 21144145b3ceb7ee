package s3store

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partial is an upload that the store has some parts of. The SDK's transfer manager sees it as the store: it cuts the
// file and sends parts at the same time, and what it would begin, send again, finish or throw away is decided here.
type partial struct {
	transfermanager.S3APIClient // nil: of the rest nothing is called

	s     *Store
	key   string
	f     io.ReaderAt
	size  int64
	part  int64
	meter *meter

	mu      sync.Mutex
	id      string                        // of the upload; empty: none yet
	held    map[int32]types.CompletedPart // what the store has, and is the file's
	checked map[int32]string              // ETags that were found to be those of the file's parts
	begins  int
	sent    int
	err     error // the first
}

// find looks for an upload of this key that was begun, here or by another process, and whose every part is the file's:
// so two that bring different files to one key never meet in one upload. Where there is none it begins one.
func (u *partial) find(ctx context.Context) error {
	if u.id == "" {
		id, err := u.begun(ctx)
		if err != nil {
			return err
		}
		if u.id = id; id != "" {
			return nil
		}
		return u.begin(ctx)
	}
	ok, err := u.adopt(ctx, u.id)
	if err == nil && !ok || code(err) == "NoSuchUpload" {
		return u.begin(ctx)
	}
	return err
}

// begun is the id of the newest upload that fits. A store that does not list uploads has none to go on from.
func (u *partial) begun(ctx context.Context) (string, error) {
	var all []types.MultipartUpload
	for one, err := range u.s.unfinished(ctx, u.key) {
		if err != nil {
			if passes(err) {
				return "", err
			}
			return "", nil
		}
		if aws.ToString(one.Key) == *u.s.key(u.key) {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b types.MultipartUpload) int {
		return cmp.Or(aws.ToTime(b.Initiated).Compare(aws.ToTime(a.Initiated)), strings.Compare(aws.ToString(a.UploadId), aws.ToString(b.UploadId)))
	})
	for _, one := range all {
		ok, err := u.adopt(ctx, aws.ToString(one.UploadId))
		if err == nil && ok && len(u.held) > 0 {
			return *one.UploadId, nil
		}
		if err != nil && passes(err) {
			return "", err
		}
	}
	return "", nil
}

// begin begins an upload, and not again and again: somebody who ends what is begun here goes on doing so.
func (u *partial) begin(ctx context.Context) error {
	if u.begins == changes {
		return errChanged
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	r, err := u.s.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.s.bucket, Key: u.s.key(u.key),
		ChecksumAlgorithm: algorithm, ChecksumType: types.ChecksumTypeFullObject})
	if err != nil {
		return err
	}
	u.begins++
	u.id, u.held = aws.ToString(r.UploadId), map[int32]types.CompletedPart{}
	clear(u.checked)
	return nil
}

// over is err, for which there is another try with an upload of its own where this one is gone, or somebody else's.
func (u *partial) over(err error) error {
	if c := code(err); c != "NoSuchUpload" && c != "InvalidPart" {
		return err
	}
	u.id = ""
	return fmt.Errorf("%w: %w", errOver, err)
}

// adopt takes over what an upload has; false: some of it is not the file's.
func (u *partial) adopt(ctx context.Context, id string) (bool, error) {
	held := map[int32]types.CompletedPart{}
	var bytes int64
	p := s3.NewListPartsPaginator(u.s.api, &s3.ListPartsInput{Bucket: &u.s.bucket, Key: u.s.key(u.key), UploadId: &id})
	for pages := 0; p.HasMorePages(); pages++ {
		if pages == maxEmpty { // of a store that lists without an end nothing is taken over
			return false, nil
		}
		own, cancel := context.WithTimeout(ctx, callLimit)
		page, err := p.NextPage(own)
		cancel()
		if err != nil {
			return false, err
		}
		for _, one := range page.Parts {
			n := aws.ToInt32(one.PartNumber)
			if ok, err := u.same(n, one); err != nil || !ok {
				return false, err
			}
			held[n] = types.CompletedPart{PartNumber: &n, ETag: one.ETag, ChecksumCRC64NVME: one.ChecksumCRC64NVME}
			bytes += aws.ToInt64(one.Size)
		}
	}
	u.held = held
	u.meter.have(u.key, bytes)
	return true, nil
}

// same reports whether a part in the store is that part of the file, by its sum, or else by its ETag where that is an MD5.
func (u *partial) same(n int32, one types.Part) (bool, error) {
	at := int64(n-1) * u.part
	if n < 1 || at >= u.size || aws.ToInt64(one.Size) != min(u.part, u.size-at) {
		return false, nil
	}
	tag := aws.ToString(one.ETag)
	if tag != "" && u.checked[n] == tag {
		return true, nil
	}
	var h hash.Hash = md5.New()
	want, text := strings.Trim(tag, `"`), func() string { return hex.EncodeToString(h.Sum(nil)) }
	if one.ChecksumCRC64NVME != nil {
		h = algorithms[0].hash()
		want, text = *one.ChecksumCRC64NVME, func() string { return encode(h) }
	}
	if _, err := io.CopyBuffer(h, io.NewSectionReader(u.f, at, *one.Size), make([]byte, 256<<10)); err != nil {
		return false, err
	}
	if text() != want {
		return false, nil
	}
	u.checked[n] = tag
	return true, nil
}

// parts are all that the store has, in their order.
func (u *partial) parts() (all []types.CompletedPart) {
	for n := int32(1); int64(n-1)*u.part < u.size; n++ {
		all = append(all, u.held[n])
	}
	return all
}

// take returns and forgets how many parts were sent and what failed first.
func (u *partial) take() (sent int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	sent, err = u.sent, u.err
	u.sent, u.err = 0, nil
	return sent, err
}

// CreateMultipartUpload answers with the upload that was found.
func (u *partial) CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput, ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	return &s3.CreateMultipartUploadOutput{UploadId: &u.id}, nil
}

// UploadPart sends a part that the store does not have.
func (u *partial) UploadPart(ctx context.Context, in *s3.UploadPartInput, opt ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	n := aws.ToInt32(in.PartNumber)
	u.mu.Lock()
	had, ok := u.held[n]
	u.mu.Unlock()
	if ok {
		return &s3.UploadPartOutput{ETag: had.ETag, ChecksumCRC64NVME: had.ChecksumCRC64NVME}, nil
	}
	r, err := u.send(ctx, *in, opt)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		if u.err == nil {
			u.err = err
		}
		return nil, err
	}
	u.sent++
	u.held[n] = types.CompletedPart{PartNumber: &n, ETag: r.ETag, ChecksumCRC64NVME: r.ChecksumCRC64NVME}
	u.checked[n] = aws.ToString(r.ETag)
	u.meter.moved(u.key, min(u.part, u.size-int64(n-1)*u.part))
	return r, nil
}

// send brings one part, again and again where the line is to blame.
func (u *partial) send(ctx context.Context, in s3.UploadPartInput, opt []func(*s3.Options)) (r *s3.UploadPartOutput, err error) {
	body, ok := in.Body.(io.ReadSeeker)
	if !ok {
		return nil, errors.ErrUnsupported // the manager has each part in memory
	}
	in.ChecksumAlgorithm = algorithm
	err = u.s.patiently(ctx, "upload", u.key, func(ctx context.Context, _ func()) (err error) {
		ctx, cancel := context.WithTimeout(ctx, partLimit)
		defer cancel()
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
		r, err = u.s.api.UploadPart(ctx, &in, opt...)
		return err
	})
	return r, err
}

// PutObject is for a file that has become smaller than a part.
func (u *partial) PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return nil, errChanged
}

// CompleteMultipartUpload leaves the end to [Store.complete], which has the sum of the whole.
func (u *partial) CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput, ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	return &s3.CompleteMultipartUploadOutput{}, nil
}

// AbortMultipartUpload keeps what is there for the next try.
func (u *partial) AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	return &s3.AbortMultipartUploadOutput{}, nil
}

// summed is a reader that sums and counts what is read.
type summed struct {
	r io.Reader
	h hash.Hash
	n int64
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.h.Write(b[:n])
	s.n += int64(n)
	return n, err
}
