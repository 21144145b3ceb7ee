package code

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"runctl/internal/job"
	"runctl/internal/manifest"
)

const (
	wireBuffer = 128 << 10
	zstdWindow = 1 << 20
	besideFrom = 8 << 20 // bytes of files, from which on verifying them takes longer than starting to
)

// encoder compresses at the fastest level; what does not get smaller is stored.
func encoder(w io.Writer, format string) (io.WriteCloser, error) {
	switch format {
	case job.FormatZstd:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
			zstd.WithLowerEncoderMem(true))
	case job.FormatGzip:
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	}
	return nopCloser{w}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// write writes what job.PutCode takes: the manifest, what is sent, links to what is there, and then the files.
func (t *Tree) write(w io.Writer, format string, b base, m *meter) error {
	z, err := encoder(w, format)
	if err != nil {
		return err
	}
	raw := bufio.NewWriterSize(z, wireBuffer)
	a := &archive{t: t, b: b, m: m, w: tar.NewWriter(raw), buf: make([]byte, wireBuffer)}
	for _, step := range []func() error{a.manifest, a.sums, a.links, a.begin, a.files, a.w.Close, raw.Flush, z.Close} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// archive writes the tar. Its names are in GNU's form, which busybox reads too.
type archive struct {
	t   *Tree
	b   base
	m   *meter
	w   *tar.Writer
	buf []byte
	dir string // of the last entry that was written, with a slash; empty: the tree itself
}

// then is the time of everything: no part of a tree, and none that any tool finds odd.
var then = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *archive) header(h tar.Header) error {
	h.Format, h.ModTime = tar.FormatGNU, then
	if h.Mode == 0 {
		h.Mode = 0o644
	}
	return a.w.WriteHeader(&h)
}

// text writes a file whose lines are made twice: once to know how long it is.
func (a *archive) text(name string, write func(io.Writer) error) error {
	var size length
	_ = write(&size)
	if err := a.header(tar.Header{Name: name, Size: int64(size)}); err != nil {
		return err
	}
	return write(a.w)
}

type length int64

func (n *length) Write(p []byte) (int, error) {
	*n += length(len(p))
	return len(p), nil
}

func (a *archive) manifest() error {
	return a.text("m", func(w io.Writer) error { return manifest.Write(w, entries(a.t.files)) })
}

// sums lists what is sent, for sha256sum -c.
func (a *archive) sums() error {
	return a.text("n", func(w io.Writer) error {
		for i := range a.t.files {
			if f := &a.t.files[i]; a.sent(i) {
				if _, err := fmt.Fprintf(w, "%x  ./%s\n", f.Sum, f.Path); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// sent reports whether the content of file i is.
func (a *archive) sent(i int) bool {
	_, linked := a.b.origin(i)
	return !linked && a.t.files[i].Kind != manifest.Link
}

// links writes what needs no content: symbolic links, and hard links to what the machine has. They come before the
// files, so that what a cut leaves has them all.
func (a *archive) links() error {
	for i := range a.t.files {
		f := &a.t.files[i]
		o, linked := a.b.origin(i)
		h := tar.Header{Name: "t/" + f.Path}
		switch {
		case f.Kind == manifest.Link:
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Target, 0o777
		case linked:
			h.Typeflag, h.Linkname = tar.TypeLink, fmt.Sprintf("b%d/%s", o.source, o.path)
		default:
			continue
		}
		if err := a.parents(f.Path); err != nil {
			return err
		}
		if err := a.header(h); err != nil {
			return err
		}
	}
	return nil
}

// begin has the machine verify files while more come, where that pays.
func (a *archive) begin() error {
	if a.m.TotalBytes < besideFrom {
		return nil
	}
	return a.header(tar.Header{Name: "f"})
}

func (a *archive) files() error {
	for i := range a.t.files {
		if !a.sent(i) {
			continue
		}
		if err := a.file(&a.t.files[i]); err != nil {
			return err
		}
		a.m.Files++
		a.m.tell(false)
	}
	return nil
}

func (a *archive) file(f *found) error {
	if err := a.parents(f.Path); err != nil {
		return err
	}
	h := tar.Header{Name: "t/" + f.Path, Size: f.Size}
	if f.Kind == manifest.Exec {
		h.Mode = 0o755
	}
	if err := a.header(h); err != nil {
		return err
	}
	file, err := openSame(a.t.dir, f.Entry, f.stat)
	if err != nil {
		return err
	}
	defer file.Close()
	for left := f.Size; left > 0; {
		n, err := file.Read(a.buf[:min(left, int64(len(a.buf)))])
		if err == io.EOF {
			err = errChanged
		}
		if err != nil {
			return readError(f.Path, err)
		}
		if _, err := a.w.Write(a.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		a.m.Bytes += int64(n)
		a.m.tell(false)
	}
	return sameStill(file, f.Entry, f.stat)
}

// parents writes the directories that a path is in, unless the last one was in them too.
func (a *archive) parents(path string) error {
	dir := path[:strings.LastIndexByte(path, '/')+1]
	for i := 0; i < len(dir); i++ {
		if dir[i] != '/' || strings.HasPrefix(a.dir, dir[:i+1]) {
			continue
		}
		if err := a.header(tar.Header{Typeflag: tar.TypeDir, Name: "t/" + dir[:i+1], Mode: 0o755}); err != nil {
			return err
		}
	}
	a.dir = dir
	return nil
}
