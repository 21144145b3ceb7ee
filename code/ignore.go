package code

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rule is one line of an ignore file.
type rule struct {
	negate   bool
	dirOnly  bool
	anywhere bool // the pattern has no slash, and is about a name at any depth
	prefix   string
	glob     glob // of what follows prefix
	explicit bool // it is the user's own for this: not a .gitignore's
}

// rules are the lines of one ignore file, and the directory that they are about: empty, or with a slash at its end.
type rules struct {
	base string
	list []rule
}

// parseRules reads an ignore file as git does.
func parseRules(base, text string, explicit bool) rules {
	r := rules{base: base}
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.SplitSeq(text, "\n") {
		line = trimSpaces(strings.TrimSuffix(line, "\r"))
		if line == "" || line[0] == '#' {
			continue
		}
		u := rule{explicit: explicit}
		line, u.negate = strings.CutPrefix(line, "!")
		line, u.dirOnly = strings.CutSuffix(line, "/")
		u.anywhere = !strings.Contains(line, "/")
		line = strings.TrimPrefix(line, "/")
		if line == "" {
			continue
		}
		n := strings.IndexAny(line, `*?[\`)
		if n < 0 {
			n = len(line)
		}
		u.prefix, u.glob = line[:n], compileGlob(line[n:])
		r.list = append(r.list, u)
	}
	return r
}

// trimSpaces cuts spaces off the end that no backslash quotes.
func trimSpaces(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == ' ' {
			continue
		}
		end = min(i+1, len(s))
	}
	return s[:end]
}

// match finds the last rule about a path; nil: there is none.
func (r rules) match(path string, dir bool) *rule {
	rel, inside := strings.CutPrefix(path, r.base)
	if !inside {
		return nil
	}
	name := rel[strings.LastIndexByte(rel, '/')+1:]
	for i := range slices.Backward(r.list) {
		u := &r.list[i]
		text := rel
		if u.anywhere {
			text = name
		}
		rest, ok := strings.CutPrefix(text, u.prefix)
		if ok && (dir || !u.dirOnly) && u.glob.match(rest) {
			return u
		}
	}
	return nil
}

// ignores are the rules in force in a directory, the strongest last.
type ignores []rules

// decide finds the rule that decides about a path; nil: none does.
func (all ignores) decide(path string, dir bool) *rule {
	for _, r := range slices.Backward(all) {
		if u := r.match(path, dir); u != nil {
			return u
		}
	}
	return nil
}

// ignoreFiles are read in every directory, the stronger last.
var ignoreFiles = []struct {
	name     string
	explicit bool
}{{".gitignore", false}, {".runctlignore", true}}

// enter adds the ignore files of a directory, whose name is relative and ends in a slash, or is empty.
func (all ignores) enter(dir, base string) (ignores, error) {
	all = slices.Clip(all)
	for _, f := range ignoreFiles {
		text, err := readRegular(filepath.Join(dir, f.name))
		if err != nil {
			return nil, err
		}
		if text != "" {
			all = append(all, parseRules(base, text, f.explicit))
		}
	}
	return all, nil
}

// readRegular reads a file that is none of a link's, as git does; one that is not there is empty.
func readRegular(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", nil
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// outside returns the rules of the git work tree that a directory lies in, above it, and what the names of files in
// the directory begin with there.
func outside(dir string) (all ignores, prefix string, err error) {
	top := dir
	for !isWorkTree(top) {
		if filepath.Dir(top) == top {
			return nil, "", nil
		}
		top = filepath.Dir(top)
	}
	text, err := readRegular(filepath.Join(top, ".git", "info", "exclude"))
	if err != nil {
		return nil, "", err
	}
	all = append(all, parseRules("", text, false))
	rel, err := filepath.Rel(top, dir)
	if err != nil || rel == "." {
		return all, "", err
	}
	base := ""
	for part := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		if all, err = all.enter(filepath.Join(top, filepath.FromSlash(base)), base); err != nil {
			return nil, "", err
		}
		base += part + "/"
	}
	return all, base, nil
}

func isWorkTree(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}
