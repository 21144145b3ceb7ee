package s3store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// partPrefix begins the names of files that are not whole yet.
const partPrefix = ".runctl-part-"

// partFile is what is there of an object: the bytes in their places, and beside it which blocks of them are whole. A
// later call, of this process or another, goes on from it when the object is still the same.
type partFile struct {
	root *os.Root
	name string // of the bytes; name + ".have" is the record
	f    *os.File
	// flush brings the bytes to the disk before the record says that they are there. nil: the object's sum would tell that
	// they are not, after a loss of power.
	flush func() error

	mu   sync.Mutex
	have record
}

// record is plain text, so that a version that knows another one starts over.
type record struct {
	Version int
	ETag    string
	Size    int64
	Block   int64
	Done    string // a character for each block: + it is whole, - it is not
}

const recordVersion = 1

// openPart opens what there is of the object o, whose file will have the given name, or begins anew.
func openPart(root *os.Root, name, origin string, o Object, block int64) (*partFile, error) {
	id := sha256.Sum256([]byte(origin + "\x00" + path.Base(name)))
	p := &partFile{root: root, name: path.Join(path.Dir(name), partPrefix+hex.EncodeToString(id[:8]))}
	p.have = record{recordVersion, o.ETag, o.Size, block, strings.Repeat("-", int((o.Size+block-1)/block))}
	old, ok := p.read()
	flags := os.O_RDWR | os.O_CREATE
	if !ok {
		flags |= os.O_TRUNC
	}
	f, err := root.OpenFile(p.name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	p.f = f
	if o.Sum == (Sum{}) {
		p.flush = f.Sync
	}
	if ok {
		if at, err := f.Stat(); err == nil && at.Mode().IsRegular() && at.Size() == o.Size {
			p.have = old
			return p, nil
		}
	}
	if err := errors.Join(f.Truncate(0), f.Truncate(o.Size), p.write()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// read returns the record of the same object in the same blocks.
func (p *partFile) read() (record, bool) {
	b, err := p.root.ReadFile(p.name + ".have")
	var r record
	if err != nil || json.Unmarshal(b, &r) != nil {
		return r, false
	}
	return r, p.have.fits(r)
}

// fits reports whether other can be gone on from. Without an ETag nothing says that an object is the same.
func (r record) fits(other record) bool {
	done := other.Done
	other.Done = r.Done
	return r.ETag != "" && other == r && len(done) == len(r.Done) && strings.Trim(done, "+-") == ""
}

func (p *partFile) write() error {
	b, err := json.Marshal(p.have)
	if err != nil {
		return err
	}
	if err := p.root.WriteFile(p.name+".new", b, 0o644); err != nil {
		return err
	}
	return p.root.Rename(p.name+".new", p.name+".have")
}

// missing returns the blocks that are not there.
func (p *partFile) missing() (blocks []int) {
	for i, c := range p.have.Done {
		if c != '+' {
			blocks = append(blocks, i)
		}
	}
	return blocks
}

// span is where a block is.
func (p *partFile) span(block int) (at, size int64) {
	at = int64(block) * p.have.Block
	return at, min(p.have.Block, p.have.Size-at)
}

// done records that a block is whole. It may be called concurrently.
func (p *partFile) done(block int) error {
	if p.flush != nil {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have.Done = p.have.Done[:block] + "+" + p.have.Done[block+1:]
	return p.write()
}

// forget makes all blocks missing.
func (p *partFile) forget() error {
	p.have.Done = strings.Repeat("-", len(p.have.Done))
	return p.write()
}

// become gives the file its name, once the disk has all of it.
func (p *partFile) become(name string) error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	if err := p.f.Close(); err != nil { // some systems rename no open file
		return err
	}
	if err := p.root.Rename(p.name, name); err != nil {
		return err
	}
	if err := p.root.Remove(p.name + ".have"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (p *partFile) close() { _ = p.f.Close() }
