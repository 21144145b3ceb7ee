// Package manifest is the text that names a tree of files: one line a file, sorted by path, whose SHA-256 is the
// tree's digest. Equal digests are equal trees.
//
//	KIND SIZE SHA256 PATH
//	KIND SIZE SHA256 PATH<TAB>TARGET
//
// A line has a kind (- a file, x an executable one, l a symbolic link), the size in bytes and the lower-case
// SHA-256 of the content, or of the target's text, and the path; a link's target follows after a tab. Single
// spaces stand between, a newline ends every line. Directories are those that files are in.
package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// Kind is what a line is about.
type Kind byte

// The kinds.
const (
	Plain Kind = '-'
	Exec  Kind = 'x' // its owner may execute it
	Link  Kind = 'l'
)

// Entry is one line.
type Entry struct {
	Path   string // slash-separated and relative; see CheckPath
	Target string // of a link, as it is written; see CheckTarget
	Size   int64  // bytes of the content, or of Target
	Sum    [sha256.Size]byte
	Kind   Kind
}

// NewLink returns the entry of a symbolic link.
func NewLink(path, target string) Entry {
	return Entry{Path: path, Target: target, Size: int64(len(target)), Sum: sha256.Sum256([]byte(target)), Kind: Link}
}

// AppendTo appends the line, with its newline, to b.
func (e Entry) AppendTo(b []byte) []byte {
	b = append(b, byte(e.Kind), ' ')
	b = strconv.AppendInt(b, e.Size, 10)
	b = append(b, ' ')
	b = hex.AppendEncode(b, e.Sum[:])
	b = append(b, ' ')
	b = append(b, e.Path...)
	if e.Kind == Link {
		b = append(append(b, '\t'), e.Target...)
	}
	return append(b, '\n')
}

// Write writes the text of entries that are sorted by path.
func Write(w io.Writer, all iter.Seq[Entry]) error {
	buf := make([]byte, 0, 64<<10)
	for e := range all {
		if buf = e.AppendTo(buf); len(buf) > 60<<10 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// Digest returns the lower-case SHA-256 of the text of entries that are sorted by path.
func Digest(all iter.Seq[Entry]) string {
	h := sha256.New()
	_ = Write(h, all) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
}

// IsDigest reports whether s has the form of a digest.
func IsDigest(s string) bool {
	var sum [sha256.Size]byte
	return parseSum(s, &sum)
}

// maxLine is longer than any valid line.
const maxLine = 2*maxPath + 128

// Read reads a whole text and checks it: every line, their order, and that no file is in the place of a directory.
func Read(r io.Reader) ([]Entry, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	s.Split(wholeLines)
	var all []Entry
	for s.Scan() {
		e, err := ParseLine(s.Text())
		if err == nil && len(all) > 0 && e.Path <= all[len(all)-1].Path {
			err = errors.New("is not in its place: lines are sorted by path")
		}
		if err != nil {
			return nil, fmt.Errorf("manifest: line %d: %w", len(all)+1, err)
		}
		all = append(all, e)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("manifest: line %d: %w", len(all)+1, err)
	}
	return all, checkPlaces(all)
}

// wholeLines is bufio.ScanLines without its mercy: a carriage return stays, and the last line needs its newline.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// ParseLine reads one line without its newline.
func ParseLine(line string) (Entry, error) {
	kind, rest, ok1 := strings.Cut(line, " ")
	size, rest, ok2 := strings.Cut(rest, " ")
	sum, path, ok3 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || !ok3 || len(kind) != 1 {
		return Entry{}, errors.New("has not the form KIND SIZE SHA256 PATH")
	}
	e := Entry{Kind: Kind(kind[0]), Path: path}
	n, err := strconv.ParseInt(size, 10, 64)
	if e.Size = n; err != nil || n < 0 || strconv.FormatInt(n, 10) != size {
		return Entry{}, fmt.Errorf("has no size: %.20q", size)
	}
	if !parseSum(sum, &e.Sum) {
		return Entry{}, errors.New("has no SHA-256")
	}
	switch e.Kind {
	case Plain, Exec:
	case Link:
		var tab bool
		if e.Path, e.Target, tab = strings.Cut(path, "\t"); !tab {
			return Entry{}, errors.New("is of a link and names no target")
		}
		if e != NewLink(e.Path, e.Target) {
			return Entry{}, errors.New("is of a link and has not its target's size and sum")
		}
		if err := CheckTarget(e.Path, e.Target); err != nil {
			return Entry{}, err
		}
	default:
		return Entry{}, fmt.Errorf("is of an unknown kind: %q", kind)
	}
	return e, CheckPath(e.Path)
}

func parseSum(s string, sum *[sha256.Size]byte) bool {
	if len(s) != 2*len(sum) || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.Decode(sum[:], []byte(s))
	return err == nil
}
