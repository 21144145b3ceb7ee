package code

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"runctl/internal/manifest"
)

// base says from where on a machine each file of a tree can be linked. Empty files and links are always sent.
type base struct {
	sources []string // by their names on the machine
	from    []origin // by file; nil: none is linked
}

// origin is a file of a source; an empty path: the file is sent.
type origin struct {
	path   string
	source int32
}

// content is what makes one file as good as another.
type content struct {
	sum  [32]byte
	kind manifest.Kind
}

func (c content) compare(d content) int {
	return cmp.Or(int(c.kind)-int(d.kind), bytes.Compare(c.sum[:], d.sum[:]))
}

// candidate is a file of a source.
type candidate struct {
	content
	origin
}

// origin returns where file i can be linked from.
func (b base) origin(i int) (origin, bool) {
	if b.from == nil || b.from[i].path == "" {
		return origin{}, false
	}
	return b.from[i], true
}

// plan finds an origin for as many files as it can. Files of one content get theirs from one source, each another:
// the files of a source are files of their own, and so are then those of the tree, whatever the sources share.
func plan(files []found, sources []string, have []candidate) base {
	b := base{sources: sources, from: make([]origin, len(files))}
	slices.SortFunc(have, func(x, y candidate) int {
		return cmp.Or(x.compare(y.content), cmp.Compare(x.source, y.source), strings.Compare(x.path, y.path))
	})
	var want []int32
	for i := range files {
		if files[i].Kind != manifest.Link && files[i].Size > 0 {
			want = append(want, int32(i))
		}
	}
	of := func(i int32) content { return content{files[i].Sum, files[i].Kind} }
	slices.SortStableFunc(want, func(i, j int32) int { return of(i).compare(of(j)) })
	for len(want) > 0 && len(have) > 0 {
		switch d := of(want[0]).compare(have[0].content); {
		case d < 0:
			want = want[1:]
		case d > 0:
			have = have[1:]
		default:
			w := leading(want, func(i int32) bool { return of(i) == have[0].content })
			h := leading(have, func(c candidate) bool { return c.content == have[0].content })
			b.assign(files, want[:w], best(have[:h]))
			want, have = want[w:], have[h:]
		}
	}
	return b
}

// leading returns how many come first of which is holds.
func leading[T any](all []T, is func(T) bool) int {
	n := slices.IndexFunc(all, func(v T) bool { return !is(v) })
	if n < 0 {
		return len(all)
	}
	return n
}

// best returns the candidates of the source that has most of them.
func best(have []candidate) []candidate {
	var most []candidate
	for len(have) > 0 {
		n := leading(have, func(c candidate) bool { return c.source == have[0].source })
		if n > len(most) {
			most = have[:n]
		}
		have = have[n:]
	}
	return most
}

// assign gives each candidate to at most one file, first where the paths are the same. Both are sorted by path.
func (b base) assign(files []found, want []int32, have []candidate) {
	taken := make([]bool, len(have))
	for _, i := range want {
		k, ok := slices.BinarySearchFunc(have, files[i].Path, func(c candidate, path string) int { return strings.Compare(c.path, path) })
		if ok {
			b.from[i], taken[k] = have[k].origin, true
		}
	}
	k := 0
	for _, i := range want {
		for k < len(have) && taken[k] {
			k++
		}
		if k < len(have) && b.from[i].path == "" {
			b.from[i], taken[k] = have[k].origin, true
		}
	}
}
