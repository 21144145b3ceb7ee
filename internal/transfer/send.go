package transfer

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"runctl/internal/job"
)

// send sends what the machine lacks of the files at these places: the rest of what was begun, and the others in a
// stream. It returns the machine's last word on that.
func (u *upload) send(ctx context.Context, m job.Machine, places []int) (said string, err error) {
	var rest []int
	for _, i := range places {
		e := &u.t.all[i]
		switch {
		case u.there[i] < 0:
			rest = append(rest, i)
		case u.there[i] < e.size:
			if said, err = u.patch(ctx, m, e, u.there[i]/job.PatchUnit*job.PatchUnit); err != nil || said != "" {
				return said, err
			}
		}
	}
	if len(rest) == 0 && u.packed {
		return "", nil
	}
	err = u.stream(ctx, func(w io.Writer) error { return u.pack(w, rest) }, func(ctx context.Context, r func() io.Reader) (err error) {
		said, err = job.Put(ctx, m, u.link.Run, u.token, u.zip, r)
		return err
	})
	u.packed = u.packed || err == nil
	return said, err
}

// patch sends a file from offset on.
func (u *upload) patch(ctx context.Context, m job.Machine, e *entry, offset int64) (said string, err error) {
	err = u.stream(ctx, func(w io.Writer) error {
		f, err := u.outgoing(e)
		if err != nil || f == nil {
			return err
		}
		defer f.Close()
		return f.send(e, offset, w)
	}, func(ctx context.Context, r func() io.Reader) (err error) {
		said, err = job.Patch(ctx, m, u.link.Run, u.token, u.remote(e), u.zip, offset, uint32(mode(e.exec)), r)
		return err
	})
	return said, err
}

// stream runs call with a stdin of what produce writes.
func (u *upload) stream(ctx context.Context, produce func(io.Writer) error, call func(context.Context, func() io.Reader) error) error {
	var made error
	stop := func() {}
	err := watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
		return call(ctx, func() io.Reader {
			stop() // of a call that is repeated
			pr, pw := io.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				made = u.zipped(touching{pw, touch}, produce)
				pw.CloseWithError(made) // nil: the end
			}()
			stop = func() {
				pr.CloseWithError(errEnough)
				<-done
			}
			return pr
		})
	})
	stop()
	if made != nil && !errors.Is(made, errEnough) {
		return made
	}
	return err
}

func (u *upload) zipped(w io.Writer, produce func(io.Writer) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if !u.zip {
		return errors.Join(produce(out), out.Flush())
	}
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		err = errors.Join(produce(z), z.Close(), out.Flush())
	}
	return err
}

// then is the time of everything that is sent: the machine sets its own.
var then = time.Unix(1e9, 0)

// pack writes a tar of all directories and of the files at these places.
func (u *upload) pack(w io.Writer, places []int) error {
	tw := tar.NewWriter(w)
	if u.t.below == "." && u.remote(&entry{name: "."}) != "." {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./" + u.remote(&entry{name: "."}) + "/", Mode: 0o755, ModTime: then}); err != nil {
			return err
		}
	}
	for i := range u.t.all {
		if e := &u.t.all[i]; e.dir {
			if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./" + u.remote(e) + "/", Mode: 0o755, ModTime: then}); err != nil {
				return err
			}
		}
	}
	for _, i := range places {
		if err := u.packFile(tw, &u.t.all[i]); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (u *upload) packFile(tw *tar.Writer, e *entry) error {
	f, err := u.outgoing(e)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + u.remote(e), Mode: int64(mode(e.exec)), Size: e.size, ModTime: then}); err != nil {
		return err
	}
	e.redo = false
	return f.send(e, 0, tw)
}

// outgoing is an open file here.
type outgoing struct {
	*os.File
	u     *upload
	begun fs.FileInfo
}

// outgoing opens a file and takes note of its size; nil: it went away.
func (u *upload) outgoing(e *entry) (*outgoing, error) {
	f, err := u.root.Open(filepath.FromSlash(e.name))
	if errors.Is(err, fs.ErrNotExist) {
		e.stale = true
		return nil, nil
	}
	if err != nil {
		return nil, locally(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		e.stale = true
		return nil, f.Close()
	case info.Size() > u.t.o.MaxBytes-u.t.bytes+e.size:
		err = &Refused{Limit: true, Text: shown(e.name) + " has grown, so that it is more than " + size(u.t.o.MaxBytes) + " in all; allow more, or take less"}
	case info.Size() != e.size:
		u.t.bytes += info.Size() - e.size
		e.size = info.Size()
		u.meter.total(u.t.files, u.t.bytes)
	}
	if err != nil {
		_ = f.Close()
		return nil, locally(err)
	}
	return &outgoing{f, u, info}, nil
}

// send writes the file from offset on, as long as it was when it was opened, and takes its sum. One that changes
// meanwhile is stale, and what lacks is zeros.
func (f *outgoing) send(e *entry, offset int64, w io.Writer) error {
	h := sha256.New()
	e.known = false
	skipped, err := io.CopyN(h, f, min(offset, e.size))
	if err != nil && err != io.EOF {
		return locally(err)
	}
	buf := make([]byte, 256<<10)
	for left := e.size - skipped; left > 0; {
		n, err := f.Read(buf[:min(left, int64(len(buf)))])
		if err != nil && err != io.EOF {
			return locally(err)
		}
		if n == 0 {
			e.stale = true
			clear(buf)
			n = int(min(left, int64(len(buf))))
		}
		h.Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		if w != io.Discard {
			f.u.meter.moved(int64(n))
		}
	}
	if now, err := f.Stat(); err != nil || now.Size() != f.begun.Size() || !now.ModTime().Equal(f.begun.ModTime()) {
		e.stale = true
	}
	e.sum, e.known = [32]byte(h.Sum(nil)), true
	return nil
}
