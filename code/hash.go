package code

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"runctl/internal/manifest"
)

const (
	maxHashers = 8
	hashBuffer = 128 << 10 // at least maxKeyFile
)

// hash fills in the sums that are not known.
func (w *walk) hash() error {
	var wait sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, min(runtime.GOMAXPROCS(0), maxHashers))
	for i := range errs {
		wait.Go(func() {
			buf := make([]byte, hashBuffer)
			for errs[i] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(w.found) {
					return
				}
				if f := &w.found[k]; !f.known {
					errs[i] = w.hashFile(f, buf)
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("code: %w", err)
		}
	}
	return nil
}

// hashFile reads one file.
func (w *walk) hashFile(f *found, buf []byte) error {
	file, err := openSame(w.dir, f.Entry, f.stat)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	size := int64(0)
	for {
		n, err := file.Read(buf)
		if size == 0 && f.Size <= maxKeyFile {
			f.key = hasPrivateKey(buf[:n])
		}
		size += int64(n)
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return readError(f.Path, err)
		}
	}
	if size != f.Size {
		return readError(f.Path, errChanged)
	}
	h.Sum(f.Sum[:0])
	return sameStill(file, f.Entry, f.stat)
}

// openSame opens a file of the tree that must still be the one that the walk saw.
func openSame(dir string, e manifest.Entry, want stat) (*os.File, error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(e.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		err = errChanged
	}
	if err != nil {
		return nil, readError(e.Path, err)
	}
	if err := sameStill(file, e, want); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// sameStill tells whether an open file is as it was seen before.
func sameStill(file *os.File, e manifest.Entry, want stat) error {
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != e.Size || statOf(info) != want) {
		err = errChanged
	}
	if err != nil {
		return readError(e.Path, err)
	}
	return nil
}

func readError(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
