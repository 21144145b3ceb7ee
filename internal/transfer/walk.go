package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"runctl/internal/job"
)

// source is a file or tree of this computer's. A link that it is named by is followed; those in it are left out.
type source struct {
	root  *os.Root
	table *table
}

func openSource(from string, o Options) (*source, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	whole, err := filepath.Abs(from)
	if err != nil {
		return nil, err
	}
	dir, below, base := whole, ".", filepath.Base(whole)
	switch {
	case info.Mode().IsRegular():
		dir, below = filepath.Dir(whole), base
	case !info.IsDir():
		return nil, refuse("%q is neither a file nor a directory", shown(from))
	case o.As == "":
		o.As = base
	}
	s := &source{table: newTable(o, below)}
	if s.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	if below == base && info.Mode().IsRegular() {
		err = s.table.add(job.Entry{Name: base, Size: info.Size(), Perm: uint32(info.Mode().Perm())})
	} else {
		err = fs.WalkDir(s.root.FS(), ".", s.visit)
	}
	if err == nil {
		s.table.sort()
		err = s.table.twice()
	}
	if err != nil {
		return nil, errors.Join(err, s.root.Close())
	}
	return s, nil
}

// visit takes note of one thing in a tree.
func (s *source) visit(name string, d fs.DirEntry, err error) error {
	if err != nil || name == "." {
		return err
	}
	e := job.Entry{Name: name, Kind: job.EntryOther}
	switch {
	case odd(name):
		e.Kind = job.EntryOdd
	case d.IsDir():
		e.Kind = job.EntryDir
	case d.Type().IsRegular():
		info, err := d.Info()
		if err != nil {
			return err
		}
		e.Kind, e.Size, e.Perm = job.EntryFile, info.Size(), uint32(info.Mode().Perm())
	}
	if err := s.table.add(e); err != nil {
		return err
	}
	if d.IsDir() && (e.Kind == job.EntryOdd || reserved(name)) {
		return fs.SkipDir
	}
	return nil
}

// odd reports whether a name is one that no line of a shell's can carry.
func odd(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
}
