package manifest

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPath = 1024 // bytes: what every system can open below some root
	maxName = 255  // of one part of it
)

// PathError says why a path can be in no tree.
type PathError struct{ Path, Problem string }

// Error names the path, quoted.
func (e *PathError) Error() string { return fmt.Sprintf("%.200q %s", e.Path, e.Problem) }

// CheckPath returns a *PathError for a path that is not clean, slash-separated and relative, or that not every
// system and tool can take: with control characters, a backslash or text that is not UTF-8, or over 1024 bytes.
func CheckPath(path string) error {
	problem := badText(path)
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case problem != "":
		case part == "" || part == "." || part == "..":
			problem = "is not a clean relative path"
		case len(part) > maxName:
			problem = fmt.Sprintf("has a name of over %d bytes", maxName)
		}
	}
	if problem != "" {
		return &PathError{path, problem}
	}
	return nil
}

func badText(s string) string {
	switch {
	case len(s) > maxPath:
		return fmt.Sprintf("is over %d bytes long", maxPath)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.ContainsRune(s, '\\'):
		return "has a backslash"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "has a control character, such as a newline"
	}
	return ""
}

// CheckTarget returns a *PathError for a link that does not stay inside its tree. Its target is relative, and goes
// up only at its beginning, so that no other link on the way can lead it out.
func CheckTarget(path, target string) error {
	problem := badText(target)
	up, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case problem != "":
		case target == "" || strings.HasPrefix(target, "/"):
			problem = "is a link to an absolute path"
		case part != "..":
			down = down || part != "" && part != "."
		case down:
			problem = "is a link whose target goes up after it went down"
		default:
			up++
		}
	}
	if problem == "" && up > strings.Count(path, "/") {
		problem = "is a link that leads out of the tree"
	}
	if problem != "" {
		return &PathError{path, fmt.Sprintf("%s (%.200q)", problem, target)}
	}
	return nil
}

// checkPlaces returns an error when a file or link is in the place of a directory of others. all is sorted.
func checkPlaces(all []Entry) error {
	seen := "" // the directory of the entry before: its own parents were looked at
	for _, e := range all {
		for dir := parent(e.Path); dir != "" && dir != seen && !strings.HasPrefix(seen, dir+"/"); dir = parent(dir) {
			if _, found := slices.BinarySearchFunc(all, dir, func(e Entry, p string) int { return strings.Compare(e.Path, p) }); found {
				return fmt.Errorf("manifest: %w", &PathError{dir, "is a file and a directory"})
			}
		}
		seen = parent(e.Path)
	}
	return nil
}

// parent returns the directory that a path is in; empty: the tree itself.
func parent(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }
