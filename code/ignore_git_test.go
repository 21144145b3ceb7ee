package code

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var (
	treeNames = []string{"a", "b", "ab", "aab", "foo", "foo.o", "data", "x y", "x ", "[a]", "a#", "#a", "!a", "build", "f-o", "9", "b]", "b^"}
	globParts = []string{"a", "b", "*", "?", "a*", "*.o", "*o", "foo", "[!a]", "[^b]*", "[a-f]oo", "**", "foo*", "\\!a", "\\#a", "build", "data", "x y",
		"a\\ ", "[[:alpha:]]", "f**", "**o", "a**b", "*a*b", "[]a]", "[a-]*", "b[]^]", "[^]]", "[", "[a", "\\", "x\\", "[[:nope:]]*", "[[:digit:][:upper:]]",
		"[!", "[\\]b]*", "\\a", "\\*", "??", "***", "#a", "!a", "x\\ ", "[b-a]", "[--f]*", "[+--]", "f[!/]o", "f[a-z/]o", "*\\", "a\\b", "[[:alpha:]", "[[.a.]]"}
)

func randomPattern(r *rand.Rand) string {
	var s strings.Builder
	if r.IntN(4) == 0 {
		s.WriteByte('!')
	}
	if r.IntN(4) == 0 {
		s.WriteByte('/')
	}
	for i := range 1 + r.IntN(3) {
		if i > 0 {
			s.WriteByte('/')
		}
		s.WriteString(globParts[r.IntN(len(globParts))])
	}
	s.WriteString([]string{"", "", "", "/", "/", "//", " ", "  ", "\r", "/ ", "/**", "\t"}[r.IntN(12)])
	return s.String()
}

func randomIgnores(r *rand.Rand) string {
	var s strings.Builder
	if r.IntN(8) == 0 {
		s.WriteString("\ufeff")
	}
	for range 1 + r.IntN(6) {
		s.WriteString([]string{"", "", "", "# comment\n", "\n"}[r.IntN(5)] + randomPattern(r) + "\n")
	}
	return strings.TrimSuffix(s.String(), []string{"", "\n"}[r.IntN(2)])
}

func randomTree(t *testing.T, r *rand.Rand, dir string, depth int) {
	require.NoError(t, os.MkdirAll(dir, 0o755))
	if depth == 0 || r.IntN(3) == 0 {
		put(t, dir, ".gitignore", randomIgnores(r))
	}
	for _, name := range treeNames {
		switch r.IntN(5) {
		case 0, 1:
			put(t, dir, name, "x")
		case 2:
			if depth < 2 {
				randomTree(t, r, filepath.Join(dir, name), depth+1)
			}
		case 3:
			if r.IntN(4) == 0 {
				put(t, dir, name, "-> a")
			}
		}
	}
}

// git runs it with nobody's settings.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "core.excludesFile=/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C")
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

// TestWhatGitLeavesOutIsLeftOut compares with git on random trees and random ignore files, half of them from a
// directory inside the work tree.
func TestWhatGitLeavesOutIsLeftOut(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	trees, listed := 40, 0
	if n, err := strconv.Atoi(os.Getenv("CODE_IGNORE_TREES")); err == nil {
		trees = n
	}
	for i := range uint64(trees) {
		r := rand.New(rand.NewPCG(seed, i))
		top := space(t)
		randomTree(t, r, top, 0)
		git(t, top, "init", "-q")
		if r.IntN(3) == 0 {
			put(t, top, ".git/info/exclude", randomIgnores(r))
		}
		at := top
		var dirs []string
		_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && !strings.Contains(path, "/.git") {
				dirs = append(dirs, path)
			}
			return err
		})
		if i%2 == 1 {
			at = dirs[r.IntN(len(dirs))]
			if git(t, at, "ls-files", "-o", "--exclude-standard") == "" {
				at = top // git enters no directory that is left out itself
			}
		}
		want := strings.FieldsFunc(git(t, at, "ls-files", "-o", "--exclude-standard", "-z"), func(c rune) bool { return c == 0 })
		slices.Sort(want)
		tree, err := Dir(at, Options{AllowSecrets: true})
		require.NoError(t, err)
		got := []string{}
		for _, f := range tree.files {
			got = append(got, f.Path)
		}
		listed += len(got)
		if diff := cmp.Diff(want, got); diff != "" {
			var ignores strings.Builder
			_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
				if d.Name() == ".gitignore" || d.Name() == "exclude" {
					b, _ := os.ReadFile(path)
					fmt.Fprintf(&ignores, "%s: %q\n", path, b)
				}
				return err
			})
			t.Fatalf("seed %d, tree %d, in %s: - git, + here\n%s\n%s", seed, i, at, diff, ignores.String())
		}
	}
	t.Logf("%d files of %d trees", listed, trees)
}
