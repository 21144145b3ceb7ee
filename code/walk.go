package code

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"runctl/internal/manifest"
)

// found is one file or link of the walk. Sums are there after hash.
type found struct {
	manifest.Entry
	stat   stat
	known  bool // its sum is: it was remembered, or it is a link
	key    bool // its content is a private key's
	wanted bool // an explicit rule says to send it, secret or not
}

// walk is what there is in a directory.
type walk struct {
	dir     string
	options Options
	found   []found
	bytes   int64
	left    Report // what was left out
	bad     NameError
	prefix  string // leads to the directory in its git work tree
	own     rules  // Options.Exclude
	budget  int    // files of ignored directories that may still be counted
}

// skipped are the names that no tree has, at any depth.
var skipped = map[string]bool{".git": true, "runctl-out": true}

const (
	maxIgnored = 1000   // in a report
	maxCounted = 20_000 // files of ignored directories
)

// walkDir finds what is to be sent, sorted by path.
func walkDir(dir string, o Options) (*walk, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "read", Path: dir, Err: errors.New("is not a directory")}
	}
	if err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	w := &walk{dir: dir, options: o, bad: NameError{Dir: dir}, budget: maxCounted}
	above, prefix, err := outside(dir)
	if err == nil {
		w.prefix, w.own = prefix, parseRules(prefix, strings.Join(o.Exclude, "\n"), true)
		err = w.enter("", above)
	}
	if err != nil && err != errEnough {
		return nil, fmt.Errorf("code: %w", err)
	}
	if err := w.tooLarge(); err != nil {
		return nil, err
	}
	if len(w.bad.Problems) > 0 {
		return nil, &w.bad
	}
	slices.SortFunc(w.found, func(a, b found) int { return strings.Compare(a.Path, b.Path) })
	return w, nil
}

// errEnough ends the walk of a directory that is far too large.
var errEnough = errors.New("too many files")

// enter walks one directory; rel is empty or ends in a slash.
func (w *walk) enter(rel string, above ignores) error {
	inside, err := above.enter(filepath.Join(w.dir, filepath.FromSlash(rel)), w.prefix+rel)
	if err != nil {
		return err
	}
	all := append(inside, w.own)
	list, err := os.ReadDir(filepath.Join(w.dir, filepath.FromSlash(rel)))
	if err != nil {
		w.bad.add(fmt.Sprintf("%q cannot be read: %v", "./"+rel, errors.Unwrap(err)))
		return nil
	}
	if len(w.found) > 2*w.options.MaxFiles {
		return errEnough
	}
	kept := map[string]string{} // by folded name
	for _, d := range list {
		path := rel + d.Name()
		if skipped[d.Name()] {
			continue
		}
		u := all.decide(w.prefix+path, d.IsDir())
		if u != nil && !u.negate {
			w.ignore(path, d)
			continue
		}
		wanted := u != nil && u.explicit || w.options.AllowSecrets
		if !wanted && likelySecret(path, d.IsDir()) {
			w.secret(path, d.IsDir())
			continue
		}
		n := len(w.found)
		if err := w.take(path, d, wanted, inside); err != nil {
			return err
		}
		if len(w.found) == n {
			continue // nothing of it is sent
		}
		folded := fold(d.Name())
		if twin, ok := kept[folded]; ok {
			w.bad.add(fmt.Sprintf("%q and %q differ in case only, which not every machine can tell apart", rel+twin, path))
		}
		kept[folded] = d.Name()
	}
	return nil
}

// take takes in one name that is not ignored.
func (w *walk) take(path string, d fs.DirEntry, wanted bool, inside ignores) error {
	switch d.Type() {
	case fs.ModeDir:
		return w.enter(path+"/", inside)
	case 0, fs.ModeSymlink:
	default:
		w.left.Special = append(w.left.Special, path)
		return nil
	}
	if err := manifest.CheckPath(path); err != nil {
		w.bad.add(err.Error())
		return nil
	}
	f := found{Entry: manifest.Entry{Path: path, Kind: manifest.Plain}, wanted: wanted}
	if d.Type() == fs.ModeSymlink {
		target, err := os.Readlink(filepath.Join(w.dir, filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		f.Entry, f.known = manifest.NewLink(path, target), true
		if err := manifest.CheckTarget(path, target); err != nil {
			w.bad.add(err.Error())
			return nil
		}
	} else {
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since the directory was read
		}
		if err != nil {
			return err
		}
		if info.Mode()&0o100 != 0 {
			f.Kind = manifest.Exec
		}
		f.Size, f.stat = info.Size(), statOf(info)
		w.bytes += f.Size
	}
	w.found = append(w.found, f)
	return nil
}

// fold makes names equal that some file system takes for the same.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		low := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			low = min(low, f)
		}
		return low
	}, name)
}

// ignore notes what was left out, and how much it is.
func (w *walk) ignore(path string, d fs.DirEntry) {
	if len(w.left.Ignored) >= maxIgnored {
		return
	}
	f := File{Path: path, Bytes: -1}
	if d.IsDir() {
		f.Path += "/"
	}
	if sum, all := w.count(path); all {
		f.Bytes = sum
	}
	w.left.Ignored = append(w.left.Ignored, f)
}

// count adds up the sizes below a path, unless that takes too long.
func (w *walk) count(path string) (sum int64, all bool) {
	_ = filepath.WalkDir(filepath.Join(w.dir, filepath.FromSlash(path)), func(_ string, d fs.DirEntry, err error) error {
		if w.budget--; w.budget < 0 {
			return fs.SkipAll
		}
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum, w.budget >= 0
}

func (w *walk) secret(path string, dir bool) {
	if dir {
		path += "/"
	}
	w.left.Secrets = append(w.left.Secrets, path)
}

// sendable returns what is sent. It comes after hash.
func (w *walk) sendable() []found {
	return slices.DeleteFunc(w.found, func(f found) bool {
		secret := f.key && !f.wanted
		if secret {
			w.secret(f.Path, false)
		}
		return secret
	})
}

func entries(all []found) iter.Seq[manifest.Entry] {
	return func(yield func(manifest.Entry) bool) {
		for i := range all {
			if !yield(all[i].Entry) {
				return
			}
		}
	}
}

const (
	largest     = 10
	largestFrom = 1 << 20
)

// report is what is in the tree and what is not.
func (w *walk) report(all []found) Report {
	slices.Sort(w.left.Secrets)
	r := w.left
	for _, e := range all {
		if e.Kind == manifest.Link {
			r.Links++
			continue
		}
		r.Files++
		r.Bytes += e.Size
		if e.Size >= largestFrom {
			r.Largest = append(r.Largest, File{e.Path, e.Size})
		}
	}
	r.Largest = top(r.Largest, largest)
	return r
}

// top returns the n largest, the largest first.
func top(files []File, n int) []File {
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path)) })
	return slices.Clip(files[:min(n, len(files))])
}
