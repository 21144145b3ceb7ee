package transfer

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"runctl/internal/job"
)

// state is how far a file is.
type state uint8

const (
	wanted   state = iota // it is still to be had
	twin                  // a file of its size is at the destination: its checksum decides
	received              // it is here, under a temporary name, and its checksum is awaited
	settled               // it is where it belongs
	failed                // it changed too often
)

// entry is a file or a directory. There may be very many of them.
type entry struct {
	name  string // relative to the place that was listed
	size  int64
	sum   [32]byte
	state state
	tries uint8
	known bool // sum is known
	exec  bool
	dir   bool
	stale bool // it changed: the size must be asked for again
	redo  bool // what waits of it on the machine is wrong
}

// table is what is to be transferred, sorted by name.
type table struct {
	o       Options
	below   string // what was asked for; names are at it or below it
	all     []entry
	files   int
	bytes   int64
	names   int64
	count   int // of everything seen, what is left out too
	skipped Names
}

func newTable(o Options, below string) *table {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	return &table{o: o, below: path.Clean(below)}
}

// add takes what a tree has, and refuses what may not be written. Nothing was, up to here.
func (t *table) add(e job.Entry) error {
	t.count++
	t.names += int64(len(e.Name))
	switch {
	case t.count > t.o.MaxFiles:
		return &Refused{Limit: true, Text: "more than " + number(int64(t.o.MaxFiles)) + " files and directories; allow more, or let the job pack them"}
	case t.names > max(16<<20, int64(t.o.MaxFiles)*nameBytes):
		return &Refused{Limit: true, Text: "the names alone take more than " + size(t.names) + "; allow more, or let the job pack the files"}
	case e.Kind == job.EntryOdd || e.Kind == job.EntryOther:
		t.skipped.add(e.Name)
		return nil
	}
	if err := t.check(e.Name); err != nil {
		return err
	}
	if e.Name == "." {
		if e.Kind != job.EntryDir {
			return refuse("%q is no usable name; refused", ".")
		}
		return nil
	}
	if reserved(e.Name) {
		t.skipped.add(e.Name)
		return nil
	}
	n := entry{name: e.Name, size: e.Size, exec: e.Perm&0o111 != 0, dir: e.Kind == job.EntryDir}
	if n.dir {
		n.size, n.state = 0, settled
	} else {
		if n.size < 0 || n.size > t.o.MaxBytes-t.bytes {
			return &Refused{Limit: true, Text: "more than " + size(t.o.MaxBytes) + " in all; allow more, or take less"}
		}
		t.files++
		t.bytes += n.size
	}
	t.all = append(t.all, n)
	return nil
}

// check refuses a name that leads out, that was not asked for, or that means something else elsewhere.
func (t *table) check(name string) error {
	switch {
	case name == "" || len(name) > maxName || path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) || odd(name):
		return refuse("%q leaves the directory or is no usable name; refused", shown(name))
	case strings.Count(name, "/") > maxDepth:
		return refuse("%q is more than %d directories deep; refused", shown(name), maxDepth)
	case t.below != "." && name != t.below && !strings.HasPrefix(name, t.below+"/"):
		return refuse("%q was not asked for; refused", shown(name))
	}
	return nil
}

// partPrefix begins the names of directories that are ours; nothing of such a name is transferred.
const partPrefix = ".runctl-part-"

func reserved(name string) bool {
	return strings.HasPrefix(name, partPrefix) || strings.Contains(name, "/"+partPrefix)
}

// close sorts the table and refuses names that are the same on a file system that folds case, or anywhere.
func (t *table) close() error {
	t.sort()
	if err := t.twice(); err != nil {
		return err
	}
	order := make([]int32, len(t.all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(compareFold(t.all[a].name, t.all[b].name), cmp.Compare(a, b))
	})
	for i := 1; i < len(order); i++ {
		if a, b := t.all[order[i-1]].name, t.all[order[i]].name; compareFold(a, b) == 0 {
			return refuse("%q and %q differ in case alone; refused", shown(a), shown(b))
		}
	}
	return nil
}

func (t *table) sort() {
	slices.SortFunc(t.all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
}

// twice refuses a name that is there twice.
func (t *table) twice() error {
	for i := 1; i < len(t.all); i++ {
		if t.all[i-1].name == t.all[i].name {
			return refuse("%q is there twice; refused", shown(t.all[i].name))
		}
	}
	return nil
}

// find returns the place of a name. Only names are read, which never change.
func (t *table) find(name string) (int, bool) {
	i := sort.Search(len(t.all), func(i int) bool { return t.all[i].name >= name })
	return i, i < len(t.all) && t.all[i].name == name
}

// dest is what an entry is called at the destination.
func (t *table) dest(e *entry) string {
	switch {
	case t.o.As == "":
		return e.name
	case t.below == ".":
		return path.Join(t.o.As, e.name)
	case t.below == e.name && t.o.As == "." && !e.dir:
		return path.Base(e.name)
	}
	return path.Join(t.o.As, strings.TrimPrefix(e.name, t.below))
}

// each returns the places of the files of which ok holds.
func (t *table) each(ok func(e *entry) bool) (places []int) {
	for i := range t.all {
		if e := &t.all[i]; !e.dir && ok(e) {
			places = append(places, i)
		}
	}
	return places
}

// set is a set of places.
func (t *table) set(places []int) []bool {
	in := make([]bool, len(t.all))
	for _, i := range places {
		in[i] = true
	}
	return in
}

func (t *table) named(places []int) []string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = t.all[p].name
	}
	return names
}

// compareFold orders names as file systems that fold case do: two that such a one takes for the same are equal.
func compareFold(a, b string) int {
	for a != "" && b != "" {
		ka, na := foldKey(a)
		kb, nb := foldKey(b)
		if ka != kb {
			return cmp.Compare(ka, kb)
		}
		a, b = a[na:], b[nb:]
	}
	return cmp.Compare(len(a), len(b))
}

// foldKey is the same for the first characters of two names that differ in case alone; n is that character's length.
// Bytes that are no text stand for themselves.
func foldKey(s string) (key rune, n int) {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && n == 1:
		return unicode.MaxRune + 1 + rune(s[0]), 1
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A', n
	case r < utf8.RuneSelf:
		return r, n
	}
	key = r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		key = min(key, next)
	}
	return key, n
}
