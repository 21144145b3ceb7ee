package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"runctl"
)

// changes is how often an object may change, or come damaged, before a download gives up.
const changes = 4

// Download writes one object to a file, whose directory is made where it is missing, and which is replaced where it is
// there. Until all of it was received and verified the bytes are in a hidden file .runctl-part-… beside it, and the same
// call goes on from them, also in another process.
//
// Every request names the ETag, so no file is ever made of two versions: an object that is replaced meanwhile is begun
// anew, and is runctl.ErrConflict at the fourth time. The object that is returned is the one that was written; its Sum
// is zero where the store had none to verify by.
func (s *Store) Download(ctx context.Context, key, to string, opt ...Options) (Object, error) {
	o, err := s.options(opt)
	if err != nil {
		return Object{}, err
	}
	if err := s.checkKey(key); err != nil {
		return Object{}, err
	}
	dir, name := filepath.Split(to)
	if name == "" || name == "." || name == ".." {
		return Object{}, invalid("to", "%q: the name of a file", to)
	}
	root, err := openDir(dir)
	if err != nil {
		return Object{}, err
	}
	defer root.Close()
	m := newMeter(o.Progress)
	object, err := s.fetch(ctx, key, root, name, func(found Object) error {
		if found.Size > o.MaxBytes {
			return invalid("Options.MaxBytes", "%s has %d bytes, more than %d", key, found.Size, o.MaxBytes)
		}
		m.total(1, found.Size)
		return nil
	}, m)
	if err != nil {
		return Object{}, err
	}
	m.file()
	m.end()
	return object, nil
}

// openDir opens a directory, which is made where it is missing.
func openDir(dir string) (*os.Root, error) {
	if dir == "" {
		dir = "."
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("s3 download: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("s3 download: %w", err)
	}
	return root, nil
}

// fetch brings an object to a file below root. allowed is asked before a byte is.
func (s *Store) fetch(ctx context.Context, key string, root *os.Root, name string, allowed func(Object) error, m *meter) (Object, error) {
	for n := 1; ; n++ {
		o, err := s.Stat(ctx, key)
		if err != nil {
			return o, err
		}
		if err := allowed(o); err != nil {
			return o, err
		}
		err = s.fetchVersion(ctx, o, root, name, m)
		var sum *SumError
		if n < changes && ctx.Err() == nil && (errors.Is(err, errChanged) || errors.As(err, &sum)) {
			continue
		}
		return o, s.fail("download", key, err)
	}
}

// fetchVersion brings one version of an object. After a wrong sum nothing of what was received is kept.
func (s *Store) fetchVersion(ctx context.Context, o Object, root *os.Root, name string, m *meter) error {
	p, err := openPart(root, name, s.bucket+"/"+s.prefix+o.Key, o, s.part)
	if err != nil {
		return err
	}
	defer p.close()
	missing := p.missing()
	m.have(o.Key, o.Size-s.sizeOf(p, missing))
	g, own := errgroup.WithContext(ctx)
	g.SetLimit(s.workers)
	for _, block := range missing {
		g.Go(func() error {
			if err := s.fetchBlock(own, o, p, block, m); err != nil {
				return err
			}
			return p.done(block)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.verify(ctx, o, p.f); err != nil {
		m.have(o.Key, 0)
		return errors.Join(err, p.forget())
	}
	return p.become(name)
}

func (s *Store) sizeOf(p *partFile, blocks []int) (n int64) {
	for _, b := range blocks {
		_, size := p.span(b)
		n += size
	}
	return n
}

// fetchBlock brings one block, and goes on after a cut with the byte that comes next.
func (s *Store) fetchBlock(ctx context.Context, o Object, p *partFile, block int, m *meter) error {
	at, size := p.span(block)
	var got int64
	err := s.patiently(ctx, "download", o.Key, func(ctx context.Context, moved func()) error {
		n, err := s.fetchRange(ctx, o, io.NewOffsetWriter(p.f, at+got), at+got, size-got)
		if got += n; n > 0 {
			moved()
			m.moved(o.Key, n)
		}
		return err
	})
	if err == nil {
		return nil
	}
	var cut *cutError
	switch {
	case code(err) == "InvalidRange" || status(err) == 416, ctx.Err() == nil && errors.As(err, &cut) && errors.Is(cut.err, io.ErrUnexpectedEOF):
		return &TruncatedError{o.Key, o.Size, at + got}
	case kindOf(err) == runctl.ErrConflict, kindOf(err) == runctl.ErrNotFound:
		return errors.Join(errChanged, err)
	}
	return err
}

// fetchRange writes what one reply has of the range, and says how much that was.
func (s *Store) fetchRange(ctx context.Context, o Object, w io.Writer, at, size int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(&cutError{errSilent}) })
	defer quiet.Stop()
	want := fmt.Sprintf("bytes=%d-%d", at, at+size-1)
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(o.Key), Range: &want}
	if o.ETag != "" {
		in.IfMatch = &o.ETag
	}
	r, err := s.api.GetObject(ctx, in, plainly)
	if err != nil {
		return 0, silenced(ctx, err)
	}
	defer r.Body.Close()
	given := aws.ToString(r.ContentRange)
	total, told := totalOf(given)
	switch {
	case o.ETag != "" && aws.ToString(r.ETag) != "" && *r.ETag != o.ETag: // a store that knows no If-Match
		return 0, errChanged
	case given == "" && at == 0 && size == o.Size: // all of it, from a store that knows no ranges
	case told && total < o.Size:
		return 0, &TruncatedError{o.Key, o.Size, total}
	case !strings.HasPrefix(given, fmt.Sprintf("bytes %d-", at)):
		return 0, errRange
	}
	n, err := io.CopyBuffer(onlyWriter{w}, touching{io.LimitReader(r.Body, size), func() { quiet.Reset(silence) }}, make([]byte, 64<<10))
	var disk *os.PathError
	switch {
	case errors.As(err, &disk):
		return n, err
	case n == size: // whatever ended it behind the last byte
		return n, nil
	case err != nil:
		return n, silenced(ctx, &cutError{err})
	}
	return n, &cutError{io.ErrUnexpectedEOF}
}

// totalOf is what a Content-Range says of the whole object's size.
func totalOf(given string) (int64, bool) {
	_, total, _ := strings.Cut(given, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	return n, err == nil && n >= 0
}

// silenced is why a context ended, when that was our own doing.
func silenced(ctx context.Context, err error) error {
	var cut *cutError
	if errors.As(context.Cause(ctx), &cut) {
		return cut
	}
	return err
}

// verify compares the bytes with the object's sum.
func (s *Store) verify(ctx context.Context, o Object, f io.ReaderAt) error {
	if o.Sum == (Sum{}) {
		return nil
	}
	var part int64
	if o.Sum.Parts > 0 {
		first, err := s.partSize(ctx, o)
		if err != nil {
			return err
		}
		part = first
	}
	got, err := o.Sum.measure(f, o.Size, part)
	switch {
	case err != nil:
		return err
	case got == (Sum{}): // parts of different sizes, which nobody can tell from here
		return nil
	case got != o.Sum:
		return &SumError{o.Key, o.Sum.String(), got.String()}
	}
	return nil
}

// partSize asks how large an object's first part is: all others but the last are as large.
func (s *Store) partSize(ctx context.Context, o Object) (n int64, err error) {
	err = s.patiently(ctx, "stat", o.Key, func(ctx context.Context, _ func()) error {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		r, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(o.Key), PartNumber: aws.Int32(1)}, plainly)
		if err == nil {
			n = aws.ToInt64(r.ContentLength)
		}
		return err
	})
	return n, err
}

// onlyWriter hides all but Write, touching all but Read: copies go through the buffer that they are given.
type onlyWriter struct{ io.Writer }

type touching struct {
	r     io.Reader
	touch func()
}

func (t touching) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.touch()
	return n, err
}
