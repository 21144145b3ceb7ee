package s3store

import (
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"runctl"
)

// names turns keys into paths of files. It takes no two that are one file where case does not count, and no file in
// whose place there is a directory.
type names struct {
	files map[string]bool // folded
	dirs  map[string]bool
	left  runctl.SkippedError
}

func newNames() *names { return &names{files: map[string]bool{}, dirs: map[string]bool{}} }

// path is where an object goes, with slashes; false: nowhere, and it is written down.
func (n *names) path(rel string) (string, bool) {
	folded := strings.ToLower(rel)
	ok := portable(rel) && !n.files[folded] && !n.dirs[folded]
	for at, c := range folded {
		if ok = ok && (c != '/' || !n.files[folded[:at]]); !ok {
			break
		}
	}
	if !ok {
		n.skip(rel)
		return "", false
	}
	n.files[folded] = true
	for at, c := range folded {
		if c == '/' {
			n.dirs[folded[:at]] = true
		}
	}
	return rel, true
}

// skip writes a name down that was left out, fit to print.
func (n *names) skip(name string) {
	if n.left.Count++; len(n.left.Names) < 10 {
		quoted := strconv.Quote(name[:min(len(name), 200)])
		n.left.Names = append(n.left.Names, quoted[1:len(quoted)-1])
	}
}

// err is what is to be said of those that were left out.
func (n *names) err() error {
	if n.left.Count == 0 {
		return nil
	}
	return &n.left
}

// portable reports whether a name below a directory can be kept everywhere: no empty step, nothing that climbs, no control
// characters, backslashes, or names of ours.
func portable(rel string) bool {
	if len(rel) > 1024 || !utf8.ValidString(rel) || !filepath.IsLocal(filepath.FromSlash(rel)) {
		return false
	}
	for _, step := range strings.Split(rel, "/") {
		if step == "" || step == "." || step == ".." || len(step) > 255 || strings.HasPrefix(step, partPrefix) {
			return false
		}
	}
	return !strings.ContainsFunc(rel, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
}
