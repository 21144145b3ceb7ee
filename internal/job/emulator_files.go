package job

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// emuFile is a file or directory that an emulated machine holds. It is never changed, only replaced.
type emuFile struct {
	data []byte
	perm uint32
	dir  bool
}

// emuTree is what a place holds, by clean names.
type emuTree map[string]emuFile

// place returns a copy of what a place of a run holds, and the time of its files, which is the run's start. An upload
// is kept in memory.
func (e *Emulator) place(run, place string) (emuTree, time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	if r == nil {
		return nil, time.Time{}, ErrNoRun
	}
	at := r.started.Truncate(time.Second)
	if place != PlaceOutputs {
		return maps.Clone(r.files[place]), at, nil
	}
	files := make(emuTree, len(r.script.Outputs))
	for name, content := range r.script.Outputs {
		if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
			files[name] = emuFile{data: []byte(content), perm: 0o644}
		}
	}
	return files, at, nil
}

// below returns the tree's files and directories at and below want, parents first; "." is always there.
func (t emuTree) below(want string) (all []Entry) {
	found := map[string]bool{".": want == "."}
	for name := range t {
		for ; name != "."; name = path.Dir(name) {
			found[name] = want == "." || name == want || strings.HasPrefix(name, want+"/")
		}
	}
	maps.DeleteFunc(found, func(_ string, in bool) bool { return !in })
	for _, name := range slices.Sorted(maps.Keys(found)) {
		f, ok := t[name]
		if !ok || f.dir {
			all = append(all, Entry{Name: name, Kind: EntryDir, Perm: 0o755})
		} else {
			all = append(all, Entry{Name: name, Size: int64(len(f.data)), Perm: f.perm})
		}
	}
	return all
}

// tree answers as the script does: names begin with "./" and the path.
func (c *verbCall) tree() error {
	want, places := path.Clean(c.args[2]), []string{c.args[1]}
	switch {
	case !validPlace(c.args[1]):
		return c.refuse("no such place")
	case !inside(c.args[2]):
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "the path leads out of the run"})
	case c.args[1] == PlaceAny && want == ".":
		places = []string{PlaceOutputs}
	case c.args[1] == PlaceAny:
		places = []string{PlaceWork, PlaceOutputs}
	}
	if _, err := io.WriteString(c.out, formatLine(kindReady)); err != nil {
		return err
	}
	if c.stdin != nil {
		if _, err := c.stdin.Read(make([]byte, 1)); err != nil && err != io.EOF {
			return err
		}
	}
	if _, err := io.WriteString(c.out, formatLine(kindPong, "gzip=1")); err != nil {
		return err
	}
	for _, place := range places {
		files, _, err := c.e.place(c.args[0], place)
		if err != nil {
			return c.fail(err)
		}
		all := files.below(want)
		if len(all) == 0 || files == nil && place != PlaceOutputs && place != PlaceWork {
			continue
		}
		var rows strings.Builder
		rows.WriteString(formatLine(kindTree, "place="+place))
		for _, e := range all {
			rows.WriteString(formatEntry(e))
		}
		return c.reply(rows.String() + formatLine(kindOdd))
	}
	return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such file or directory"})
}

// named returns the files that the list on stdin names, and begins the reply. done: a refusal was given, or err.
func (c *verbCall) named(kind string) (all []namedFile, done bool, err error) {
	if !validPlace(c.args[1]) || c.args[1] == PlaceAny {
		return nil, true, c.refuse("no such place")
	}
	files, at, err := c.e.place(c.args[0], c.args[1])
	if err != nil {
		return nil, true, c.fail(err)
	}
	var names []byte
	if c.stdin != nil {
		if names, err = io.ReadAll(c.stdin); err != nil {
			return nil, true, err
		}
	}
	for _, name := range parseList(names) {
		if f, ok := files[path.Clean(name)]; ok && !f.dir {
			all = append(all, namedFile{name, f, at})
		}
	}
	_, err = io.WriteString(c.out, formatLine(kind))
	return all, err != nil, err
}

type namedFile struct {
	name string
	emuFile
	at time.Time
}

func (c *verbCall) sums() error {
	all, done, err := c.named(kindSums)
	if done {
		return err
	}
	for _, f := range all {
		if _, err := fmt.Fprintf(c.out, "%x  ./%s\n", sha256.Sum256(f.data), f.name); err != nil {
			return err
		}
	}
	return c.reply("")
}

func (c *verbCall) get() error {
	all, done, err := c.named(kindRaw)
	if done {
		return err
	}
	packed := packer(c.out, c.args[2])
	w := tar.NewWriter(packed)
	for _, f := range all {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "./" + f.name, Mode: int64(f.perm), Size: int64(len(f.data)), ModTime: f.at}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func (c *verbCall) tail() error {
	offset, ok := c.number(3)
	if !ok || !validPlace(c.args[1]) {
		return c.refuse("not a number, or no such place")
	}
	files, _, err := c.e.place(c.args[0], c.args[1])
	if err != nil {
		return c.fail(err)
	}
	f, ok := files[path.Clean(c.args[4])]
	if !ok || f.dir {
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such file or directory"})
	}
	if _, err := io.WriteString(c.out, formatLine(kindRaw)); err != nil {
		return err
	}
	packed := packer(c.out, c.args[2])
	if _, err := packed.Write(f.data[min(offset, int64(len(f.data))):]); err != nil {
		return err
	}
	return packed.Close()
}

// packer compresses what is written to it, when the codec is gzip.
func packer(w io.Writer, codec string) io.WriteCloser {
	if codec == "gzip" {
		return gzip.NewWriter(w)
	}
	return unpacked{w}
}

type unpacked struct{ io.Writer }

func (unpacked) Close() error { return nil }
