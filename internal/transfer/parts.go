package transfer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
)

// parts is a directory of this transfer's own in the destination, where files lie under names of no meaning until they
// are whole. Its name follows from what is transferred, so that the same transfer finds it again after a crash; a lock
// keeps two at once apart.
type parts struct {
	root *os.Root
	dir  string
	lock *os.File

	mu   sync.Mutex
	left map[string]int64 // what an earlier transfer left there, by its name there
	open map[string]*part // by the file's name; those that are whole are not among them
	buf  []byte
	made string // the directory that was made last
}

// part is a file that is not whole.
type part struct {
	n   int64
	sum hash.Hash // of the first n bytes; nil: to be read again
}

func openParts(root *os.Root, key string) (*parts, error) {
	p := &parts{root: root, left: map[string]int64{}, open: map[string]*part{}}
	id := sha256.Sum256([]byte(key))
	for _, dir := range []string{partPrefix + hex.EncodeToString(id[:4]), partPrefix + rand.Text()[:13]} {
		if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		// A link of this name would have been made by others: it is no directory of ours.
		if info, err := root.Lstat(dir); err != nil || !info.IsDir() {
			continue
		}
		name := filepath.Join(dir, "lock")
		lock, err := root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner has just removed it
		}
		if err != nil {
			return nil, err
		}
		if tryLock(lock) && same(root, name, lock) {
			p.dir, p.lock = dir, lock
			return p, p.find()
		}
		_ = lock.Close()
	}
	return nil, errors.New("the directory " + partPrefix + "… cannot be made there")
}

// same reports whether the file is still the one of that name.
func same(root *os.Root, name string, f *os.File) bool {
	a, err1 := f.Stat()
	b, err2 := root.Lstat(name)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// find takes note of what lies there.
func (p *parts) find() error {
	d, err := p.root.Open(p.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	for _, f := range list {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && f.Name() != "lock" {
			p.left[f.Name()] = info.Size()
		}
	}
	return err
}

func partName(name string) string {
	id := sha256.Sum256([]byte(name))
	return hex.EncodeToString(id[:12])
}

func (p *parts) path(name string) string { return filepath.Join(p.dir, partName(name)) }

// begun returns how much of a file is there.
func (p *parts) begun(name string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.open[name]; q != nil {
		return q.n
	}
	return p.left[partName(name)]
}

// part returns the part of a file, a new one where there is none.
func (p *parts) part(name string, anew bool) *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.open[name]
	if q == nil || anew {
		q = &part{}
		p.open[name] = q
		delete(p.left, partName(name))
	}
	return q
}

// errFull is what a part says to more bytes than the file has.
var errFull = errors.New("more bytes than were said")

// write reads r to its end into the part of a file, executable or not, from offset on, which it has already, up to limit bytes in all.
// Whatever the error, what came is kept.
func (p *parts) write(name string, exec bool, offset, limit int64, r io.Reader, wrote func(int)) (n int64, err error) {
	q := p.part(name, offset == 0)
	f, err := p.root.OpenFile(p.path(name), os.O_CREATE|os.O_WRONLY, mode(exec))
	if err != nil {
		return 0, locally(err)
	}
	defer func() {
		if cerr := f.Close(); cerr != nil && err == nil {
			err = locally(cerr)
		}
	}()
	if q.sum == nil || q.n != offset {
		if q.sum, err = p.hash(name, offset); err != nil {
			return 0, err
		}
	}
	q.n = offset
	if err := f.Truncate(offset); err != nil {
		return q.n, locally(err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return q.n, locally(err)
	}
	if p.buf == nil {
		p.buf = make([]byte, 256<<10)
	}
	for buf := p.buf; ; {
		k, rerr := r.Read(buf)
		if int64(k) > limit-q.n {
			k, rerr = int(limit-q.n), errFull
		}
		if k > 0 {
			w, werr := f.Write(buf[:k])
			q.sum.Write(buf[:w])
			q.n += int64(w)
			wrote(w)
			if werr != nil {
				return q.n, locally(werr)
			}
		}
		if rerr == io.EOF {
			return q.n, nil
		}
		if rerr != nil {
			return q.n, rerr
		}
	}
}

// hash is the state of the checksum after the first n bytes of a part.
func (p *parts) hash(name string, n int64) (hash.Hash, error) {
	h := sha256.New()
	if n == 0 {
		return h, nil
	}
	f, err := p.root.Open(p.path(name))
	if err != nil {
		return nil, locally(err)
	}
	defer f.Close()
	if _, err := io.CopyN(h, f, n); err != nil {
		return nil, locally(fmt.Errorf("a part of a file is shorter than it was: %w", err))
	}
	return h, nil
}

// whole is the checksum of a part of n bytes, to which nothing will be added.
func (p *parts) whole(name string, n int64) (sum [32]byte, err error) {
	q := p.part(name, false)
	if q.sum == nil || q.n != n {
		if q.sum, err = p.hash(name, n); err != nil {
			return sum, err
		}
	}
	sum = [32]byte(q.sum.Sum(nil))
	p.forget(name)
	return sum, nil
}

// place renames a part to where it belongs.
func (p *parts) place(name, dest string, exec bool) error {
	at, to := p.path(name), filepath.FromSlash(dest)
	if dir := path.Dir(dest); dir != "." && dir != p.made {
		if err := p.root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
			return locally(err)
		}
		p.made = dir
	}
	err := p.root.Rename(at, to)
	if errors.Is(err, syscall.EXDEV) { // the destination has another disk below it
		err = p.across(at, to, mode(exec))
	}
	if err == nil {
		p.forget(name)
	}
	return locally(err)
}

// across is a rename to another disk.
func (p *parts) across(at, to string, mode fs.FileMode) error {
	beside := filepath.Join(filepath.Dir(to), partPrefix+rand.Text()[:13])
	in, err := p.root.Open(at)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := p.root.OpenFile(beside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		err = p.root.Rename(beside, to)
	}
	if err != nil {
		return errors.Join(err, p.root.Remove(beside))
	}
	return p.root.Remove(at)
}

// drop removes a part.
func (p *parts) drop(name string) {
	_ = p.root.Remove(p.path(name))
	p.forget(name)
}

func (p *parts) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, name)
	delete(p.left, partName(name))
}

// close ends the transfer's use of the directory. It stays only when it holds what the next transfer can go on from.
func (p *parts) close(keep bool) error {
	if keep && p.holds() {
		return p.lock.Close()
	}
	err := p.root.RemoveAll(p.dir) // before the lock is gone: whoever has it next finds none of ours, or a new one
	cerr := p.lock.Close()
	if err != nil {
		err = p.root.RemoveAll(p.dir) // where no open file can be removed
	}
	return errors.Join(err, cerr)
}

func (p *parts) holds() bool {
	d, err := p.root.Open(p.dir)
	if err != nil {
		return false
	}
	defer d.Close()
	list, _ := d.ReadDir(2)
	return len(list) > 1 || len(list) == 1 && list[0].Name() != "lock"
}
