package s3store

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Direction is which way a [Store.Sync] goes.
type Direction uint8

// The directions.
const (
	Up   Direction = iota + 1 // from the directory to the store
	Down                      // from the store to the directory
)

// Synced is what a [Store.Sync] did.
type Synced struct {
	Same  int   // files that were there already
	Moved int   // files that were brought
	Bytes int64 // of those
}

// item is one file of a sync, at both ends.
type item struct {
	path string // below the directory, with slashes
	key  string
	size int64
	have Object // Up: what the store has under the key
	here bool   // there is such an object, or, for Down, a file of the same size
}

// Sync brings every file of one side to the other, where it differs in size or sum: those of a directory to keys below
// prefix, or the other way round. The directory is made where it is missing. Nothing is deleted on either side, and
// times do not count. Large files go one after the other, in parts; small ones at the same time.
//
// Links, devices, and names that not every system can keep are left out, and so are keys that differ from another in
// case alone or lie below one: when everything else was brought the error is a [*runctl.SkippedError] that names them.
// After any other error the same call goes on where it was.
func (s *Store) Sync(ctx context.Context, d Direction, dir, prefix string, opt ...Options) (Synced, error) {
	o, err := s.options(opt)
	if err != nil {
		return Synced{}, err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var root *os.Root
	switch d {
	case Up:
		if root, err = os.OpenRoot(dir); err != nil {
			return Synced{}, fmt.Errorf("s3 sync: %w", err)
		}
	case Down:
		if root, err = openDir(dir); err != nil {
			return Synced{}, err
		}
	default:
		return Synced{}, invalid("direction", "%d: Up or Down", d)
	}
	defer root.Close()
	y := &syncing{s: s, o: o, root: root, prefix: prefix, names: newNames(), meter: newMeter(o.Progress)}
	plan, move := y.planDown, y.down
	if d == Up {
		plan, move = y.planUp, y.up
	}
	if err := plan(ctx); err != nil {
		return Synced{}, err
	}
	if err := y.all(ctx, move); err != nil {
		return y.did, err
	}
	y.meter.end()
	return y.did, y.names.err()
}

// syncing is one sync.
type syncing struct {
	s      *Store
	o      Options
	root   *os.Root
	prefix string
	names  *names
	meter  *meter
	items  []item

	mu  sync.Mutex
	did Synced
}

// planUp finds the files of the directory, and what the store has.
func (y *syncing) planUp(ctx context.Context) error {
	store := map[string]Object{}
	for o, err := range y.listed(ctx) {
		if err != nil {
			return err
		}
		store[strings.TrimPrefix(o.Key, y.prefix)] = o
	}
	err := fs.WalkDir(y.root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == "." || e.IsDir():
			return context.Cause(ctx)
		case strings.HasPrefix(e.Name(), partPrefix): // what a download has left
			return nil
		case !e.Type().IsRegular() || !portable(p):
			y.names.skip(p)
			return nil
		}
		at, err := e.Info()
		if err != nil {
			return err
		}
		have, here := store[p]
		y.items = append(y.items, item{path: p, key: y.prefix + p, size: at.Size(), have: have, here: here && have.Size == at.Size()})
		return y.fits()
	})
	if err != nil {
		return y.s.fail("sync", y.prefix, err)
	}
	y.total()
	return nil
}

// listed yields what the store has, no more keys than there may be files, whatever is left out of them.
func (y *syncing) listed(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		n := 0
		for o, err := range y.s.List(ctx, y.prefix) {
			if n++; err == nil && n > y.o.MaxFiles {
				o, err = Object{}, invalid("Options.MaxFiles", "the store has more than %d keys there", y.o.MaxFiles)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// planDown finds the objects of the store, and what the directory has.
func (y *syncing) planDown(ctx context.Context) error {
	for o, err := range y.listed(ctx) {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(o.Key, y.prefix)
		if o.Size == 0 && (rel == "" || strings.HasSuffix(rel, "/")) { // stands for a directory
			continue
		}
		p, ok := y.names.path(rel)
		if !ok {
			continue
		}
		at, err := y.root.Lstat(p)
		y.items = append(y.items, item{path: p, key: o.Key, size: o.Size, have: o, here: err == nil && at.Mode().IsRegular() && at.Size() == o.Size})
		if err := y.fits(); err != nil {
			return err
		}
	}
	y.total()
	return nil
}

// fits holds what was found so far against the bounds.
func (y *syncing) fits() error {
	if len(y.items) > y.o.MaxFiles {
		return invalid("Options.MaxFiles", "there are more than %d files", y.o.MaxFiles)
	}
	if y.did.Bytes += y.items[len(y.items)-1].size; y.did.Bytes > y.o.MaxBytes {
		return invalid("Options.MaxBytes", "the files have more than %d bytes", y.o.MaxBytes)
	}
	return nil
}

func (y *syncing) total() {
	y.meter.total(len(y.items), y.did.Bytes)
	y.did.Bytes = 0
}

// all moves the small files at the same time, then the large ones, each of which is many requests at the same time.
func (y *syncing) all(ctx context.Context, move func(context.Context, item) (bool, error)) error {
	one := func(ctx context.Context, i item) error {
		moved, err := move(ctx, i)
		if err != nil {
			return err
		}
		y.mu.Lock()
		if moved {
			y.did.Moved++
			y.did.Bytes += i.size
		} else {
			y.did.Same++
		}
		y.mu.Unlock()
		y.meter.have(i.key, i.size)
		y.meter.file()
		return nil
	}
	g, own := errgroup.WithContext(ctx)
	g.SetLimit(y.s.workers)
	for _, i := range y.items {
		if i.size < y.s.part && own.Err() == nil {
			g.Go(func() error { return one(own, i) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, i := range y.items {
		if i.size >= y.s.part {
			if err := one(ctx, i); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

func (y *syncing) up(ctx context.Context, i item) (bool, error) {
	f, err := y.root.Open(i.path)
	if err != nil {
		return false, fmt.Errorf("s3 sync: %w", err)
	}
	defer f.Close()
	if same, err := y.same(ctx, i, f); same || err != nil {
		return false, err
	}
	_, err = y.s.store(ctx, f, i.key, y.meter)
	return true, err
}

func (y *syncing) down(ctx context.Context, i item) (bool, error) {
	if i.here {
		f, err := y.root.Open(i.path)
		if err == nil {
			same, err := y.same(ctx, i, f)
			if _ = f.Close(); same || err != nil {
				return false, err
			}
		}
	}
	if err := y.root.MkdirAll(path.Dir(i.path), 0o755); err != nil {
		return false, fmt.Errorf("s3 sync: %w", err)
	}
	_, err := y.s.fetch(ctx, i.key, y.root, i.path, func(o Object) error {
		if o.Size > i.size { // it has grown since it was counted
			return y.s.fail("sync", i.key, errChanged)
		}
		return nil
	}, y.meter)
	return true, err
}

// same reports whether a file is the object of the same size: by the MD5 that most stores give small objects as their
// ETag, which costs no request, or else by the object's sum.
func (y *syncing) same(ctx context.Context, i item, f io.ReaderAt) (bool, error) {
	if !i.here {
		return false, nil
	}
	if tag := strings.Trim(i.have.ETag, `"`); len(tag) == 2*md5.Size {
		h := md5.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, i.size)); err != nil {
			return false, err
		}
		if hex.EncodeToString(h.Sum(nil)) == tag {
			return true, nil
		}
	}
	o, err := y.s.Stat(ctx, i.key)
	if err != nil || o.Sum == (Sum{}) || o.Size != i.size {
		return false, err
	}
	err = y.s.verify(ctx, o, f)
	var differs *SumError
	if errors.As(err, &differs) {
		return false, nil
	}
	return err == nil && o.Sum.Parts == 0, err
}
