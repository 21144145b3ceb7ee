package transfer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"runctl/internal/job"
)

// slack is how many bytes more than its files a stream of tars may have: for what has grown since it was listed.
const slack = 64 << 20

// budget is the most bytes that tars of the files may take, with their headers and padding.
func (t *table) budget(places []int) int64 {
	n := int64(slack)
	for _, i := range places {
		e := &t.all[i]
		n += e.size + 8<<10 + 4*int64(len(e.name))
	}
	return n
}

// errLong ends a stream that does not.
var errLong = errors.New("the machine sends more than was asked for")

// bounded fails after so many bytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// pipe runs send, which writes, beside take, which reads that, decompressed when zip is set, and at most most bytes of
// it. It returns the error of take, unless that only means that send failed. take need not read to the end.
func pipe(ctx context.Context, zip bool, most int64, send func(context.Context, io.Writer) error, take func(io.Reader) error) error {
	pr, pw := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := send(ctx, pw)
		pw.CloseWithError(err) // nil: the end
		sent <- err
	}()
	err := func() error {
		var r io.Reader = pr
		if zip {
			z, err := gzip.NewReader(bufio.NewReaderSize(pr, 64<<10))
			if err != nil {
				return err
			}
			defer z.Close()
			r = z
		}
		return take(&bounded{r, most})
	}()
	pr.CloseWithError(errEnough)
	if cut := <-sent; cut != nil && !errors.Is(cut, errEnough) && !final(err) {
		return cut
	}
	return err
}

// errEnough is what a sender gets when nobody reads any more.
var errEnough = errors.New("stopped reading")

// unpack reads tar archives, one after the other, and calls each for every entry.
func unpack(r io.Reader, each func(h *tar.Header, content io.Reader) error) error {
	const block = 512
	in := bufio.NewReaderSize(r, 256<<10)
	zero := make([]byte, block)
	for {
		head, err := in.Peek(block)
		if len(head) == 0 && err == io.EOF {
			return nil
		}
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the stream is broken: %w", err)
		}
		if bytes.Equal(head, zero) { // padding between two archives
			_, _ = in.Discard(block)
			continue
		}
		tr := tar.NewReader(in)
		for {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err == nil {
				err = each(h, tr)
			} else {
				err = fmt.Errorf("the stream is broken: %w", err)
			}
			if err != nil {
				return err
			}
		}
	}
}

// fetch asks for the files of these places in one stream, and takes what comes of them.
func (d *download) fetch(ctx context.Context, m job.Machine, places []int) error {
	asked := d.t.set(places)
	err := watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
		return pipe(ctx, d.zip, d.t.budget(places), func(ctx context.Context, w io.Writer) error {
			return job.Get(ctx, m, d.link.Run, d.place, d.zip, d.t.named(places), touching{w, touch})
		}, func(r io.Reader) error {
			return unpack(r, func(h *tar.Header, content io.Reader) error {
				i, ok := d.t.find(path.Clean(h.Name))
				if !ok || !asked[i] {
					return refuse("the machine sends %q, which was not asked for; refused", shown(h.Name))
				}
				asked[i] = false
				return d.take(i, h, content)
			})
		})
	})
	if err != nil {
		return err
	}
	for _, i := range places {
		if asked[i] { // the machine could not read it
			d.changed(i)
		}
	}
	return nil
}

// take receives one file of a stream.
func (d *download) take(i int, h *tar.Header, content io.Reader) error {
	e := &d.t.all[i]
	switch {
	case h.Typeflag == tar.TypeLink: // the second name of a file that came before: it is had by itself
		d.alone[i] = true
		return nil
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse || h.Size != e.size:
		d.changed(i)
		return nil
	}
	return d.receive(i, 0, content)
}

// receive reads a file from offset on.
func (d *download) receive(i int, offset int64, r io.Reader) error {
	e := &d.t.all[i]
	n, err := d.parts.write(e.name, e.exec, offset, e.size, r, d.gains(offset))
	if err != nil {
		return err
	}
	if n < e.size {
		d.changed(i)
		return nil
	}
	return d.arrived(i)
}

// resume asks for the rest of a file of which a part is here.
func (d *download) resume(ctx context.Context, m job.Machine, i int) error {
	e := &d.t.all[i]
	offset := min(d.parts.begun(e.name), e.size)
	if offset == e.size && offset > 0 {
		return d.arrived(i)
	}
	return watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
		return pipe(ctx, d.zip, e.size-offset+slack, func(ctx context.Context, w io.Writer) error {
			return job.Tail(ctx, m, d.link.Run, d.place, e.name, d.zip, offset, touching{w, touch})
		}, func(r io.Reader) error {
			return d.receive(i, offset, io.LimitReader(r, e.size-offset)) // what it has grown by since is not ours
		})
	})
}
