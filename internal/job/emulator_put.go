package job

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"maps"
	"path"
	"strconv"
	"strings"
)

// waiting calls change with a copy of what waits for the token, of a run that takes files, and keeps what it makes.
func (c *verbCall) waiting(change func(r *emuRun, t emuTree) string) error {
	if !validPlace(Waiting(c.args[1])) {
		return c.refuse("not a token")
	}
	lines, err := c.e.takeFiles(c.args[0], Waiting(c.args[1]), change)
	if err != nil {
		return c.fail(err)
	}
	return c.reply(lines)
}

func (e *Emulator) takeFiles(run, place string, change func(r *emuRun, t emuTree) string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	switch {
	case r == nil:
		return "", ErrNoRun
	case !e.running(r, e.now()):
		return "", &Refused{Code: RefusedOver, Reason: "the run has ended"}
	case path.IsAbs(r.spec.Dir):
		return "", &Refused{Code: RefusedOver, Reason: "the job works in a directory of its caller, not of the run"}
	}
	if r.files == nil {
		r.files = map[string]emuTree{}
	}
	if r.files[place] == nil {
		r.files[place] = emuTree{}
	}
	return change(r, r.files[place]), nil
}

// input is the call's stdin without its compression. A cut in it ends it.
func (c *verbCall) input() io.Reader {
	if c.stdin == nil {
		return strings.NewReader("")
	}
	if c.args[2] != "gzip" {
		return c.stdin
	}
	z, err := gzip.NewReader(c.stdin)
	if err != nil {
		return strings.NewReader("")
	}
	return z
}

// put keeps also what came of a file that was cut, as tar does.
func (c *verbCall) put() error {
	got := emuTree{}
	text := ""
	for tr := tar.NewReader(c.input()); ; {
		h, err := tr.Next()
		if err != nil {
			if err != io.EOF {
				text = "tar: " + err.Error()
			}
			break
		}
		name := path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir {
			got[name] = emuFile{dir: true, perm: 0o755}
			continue
		}
		data, err := io.ReadAll(tr)
		got[name] = emuFile{data: data, perm: uint32(h.Mode)}
		if err != nil {
			text = "tar: " + err.Error()
			break
		}
	}
	return c.waiting(func(_ *emuRun, t emuTree) string {
		maps.Copy(t, got)
		return formatLine(kindPut, "text="+clip(text))
	})
}

func (c *verbCall) patch() error {
	offset, ok := c.number(3)
	perm, err := strconv.ParseUint(c.args[4], 8, 12)
	if !ok || err != nil || offset%PatchUnit != 0 {
		return c.refuse("not a number")
	}
	data, _ := io.ReadAll(c.input())
	return c.waiting(func(_ *emuRun, t emuTree) string {
		name := path.Clean(c.args[5])
		old := t[name].data
		grown := make([]byte, max(int64(len(old)), offset+int64(len(data))))
		copy(grown, old)
		copy(grown[offset:], data)
		t[name] = emuFile{data: grown, perm: uint32(perm)}
		return formatLine(kindPut, "text=")
	})
}

// move refuses a file where a directory is, and the other way round, before anything has moved.
func (c *verbCall) move() error {
	var names []byte
	if c.stdin != nil {
		names, _ = io.ReadAll(c.stdin)
	}
	return c.waiting(func(r *emuRun, t emuTree) string {
		for _, name := range parseList(names) {
			delete(t, path.Clean(name))
		}
		work := maps.Clone(r.files[PlaceWork])
		if work == nil {
			work = emuTree{}
		}
		for name, f := range t {
			if all := work.below(name); len(all) > 0 && (all[0].Kind == EntryDir) != f.dir {
				return formatErr(&Refused{Code: RefusedNotFound, Reason: "cannot overwrite " + name})
			}
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				if f, ok := work[dir]; ok && !f.dir {
					return formatErr(&Refused{Code: RefusedNotFound, Reason: "cannot overwrite " + dir})
				}
			}
		}
		maps.Copy(work, t)
		r.files[PlaceWork] = work
		delete(r.files, Waiting(c.args[1]))
		return formatLine(kindMoved)
	})
}
