package code

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/manifest"
)

// remember makes a cache of a directory as one that looked long after the last write, and with the sums of nothing,
// so that it can be told what was read again.
func remember(t *testing.T, src, cachefile string) {
	t.Helper()
	w, err := walkDir(src, Options{MaxFiles: 1000, MaxBytes: 1 << 30})
	require.NoError(t, err)
	for i := range w.found {
		if w.found[i].Kind != manifest.Link {
			w.found[i].Sum = [32]byte{1}
		}
	}
	(&cache{name: cachefile, dir: src}).save(w.found, time.Now().Add(time.Hour))
}

// readAgain returns the paths whose content was read.
func readAgain(tree *Tree) []string {
	all := []string{}
	for _, f := range tree.files {
		if f.Kind != manifest.Link && f.Sum != [32]byte{1} {
			all = append(all, f.Path)
		}
	}
	return all
}

func TestACacheKnowsWhatDidNotChange(t *testing.T) {
	src, name := space(t), filepath.Join(space(t), "cache")
	files{"a": "1", "b": "2", "c/d": "3", "e": "#!4", "l": "-> a"}.write(t, src)
	remember(t, src, name)
	assert.Empty(t, readAgain(dir(t, src, Options{Cache: name})))
	for what, change := range map[string]func(){
		"content": func() { put(t, src, "a", "X") },
		"content, and the old times back": func() {
			info, err := os.Stat(filepath.Join(src, "a"))
			require.NoError(t, err)
			put(t, src, "a", "Y")
			require.NoError(t, os.Chtimes(filepath.Join(src, "a"), info.ModTime(), info.ModTime()))
		},
		"another file of the same size and time": func() {
			info, err := os.Stat(filepath.Join(src, "a"))
			require.NoError(t, err)
			put(t, src, "z", "Z")
			require.NoError(t, os.Rename(filepath.Join(src, "z"), filepath.Join(src, "a")))
			require.NoError(t, os.Chtimes(filepath.Join(src, "a"), info.ModTime(), info.ModTime()))
		},
	} {
		remember(t, src, name)
		change()
		tree := dir(t, src, Options{Cache: name})
		assert.Equal(t, []string{"a"}, readAgain(tree), what)
		put(t, src, "new", "n")
		require.NoError(t, os.Remove(filepath.Join(src, "b")))
		assert.Equal(t, []string{"a", "c/d", "e", "new"}, readAgain(dir(t, src, Options{Cache: name})), "%s: what was just written is read again", what)
		put(t, src, "b", "2")
		require.NoError(t, os.Remove(filepath.Join(src, "new")))
	}
}

func TestACacheThatIsNotToBeTrustedIsNone(t *testing.T) {
	src, name := space(t), filepath.Join(space(t), "cache")
	files{"a": "1", "b": "2"}.write(t, src)
	remember(t, src, name)
	good, err := os.ReadFile(name)
	require.NoError(t, err)
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		require.NoError(t, os.WriteFile(name, bad, 0o600))
		require.Len(t, readAgain(dir(t, src, Options{Cache: name})), 2, "byte %d", i)
		require.NoError(t, os.WriteFile(name, good[:i], 0o600))
		require.Len(t, readAgain(dir(t, src, Options{Cache: name})), 2, "cut at %d", i)
	}
	other := space(t)
	files{"a": "1"}.write(t, other)
	require.NoError(t, os.WriteFile(name, good, 0o600))
	assert.Len(t, readAgain(dir(t, other, Options{Cache: name})), 1, "another directory's")
	for _, name := range []string{filepath.Join(space(t), "no/such/directory"), space(t)} {
		assert.Len(t, readAgain(dir(t, src, Options{Cache: name})), 2)
	}
}

func TestACacheKnowsTheTreeThatWasSent(t *testing.T) {
	src, name := space(t), filepath.Join(space(t), "cache")
	files{"a": "1", "b": "22", "c/d": "333", "l": "-> a", "key": someKey}.write(t, src)
	first := dir(t, src, Options{Cache: name})
	assert.Nil(t, first.before.sources)
	put(t, src, "a", "changed")
	require.NoError(t, os.Rename(filepath.Join(src, "b"), filepath.Join(src, "moved")))
	second := dir(t, src, Options{Cache: name})
	require.Equal(t, []string{first.Digest()}, second.before.sources)
	from := map[string]string{}
	for i, f := range second.files {
		if o, ok := second.before.origin(i); ok {
			from[f.Path] = o.path
		}
	}
	assert.Equal(t, map[string]string{"c/d": "c/d", "moved": "b"}, from)
	assert.False(t, strings.Contains(strings.Join(paths(second), " "), "key"))
}

func TestAFileIsLinkedOnceForATree(t *testing.T) {
	file := func(path string, c byte) found {
		return found{Entry: manifest.Entry{Path: path, Size: 1, Sum: [32]byte{c}, Kind: manifest.Plain}}
	}
	have := func(source int32, path string, c byte) candidate {
		return candidate{content{[32]byte{c}, manifest.Plain}, origin{path, source}}
	}
	empty := file("empty", 'x')
	empty.Size = 0
	exec := file("exec", 'x')
	exec.Kind = manifest.Exec
	b := plan([]found{file("a", 'x'), file("b", 'x'), file("c", 'x'), empty, exec, file("f", 'y'), file("g", 'z')}, []string{"s0", "s1"},
		[]candidate{have(0, "c", 'x'), have(1, "c", 'x'), have(1, "q", 'x'), have(0, "f", 'y'), have(1, "f", 'y'), have(0, "h", 'w')})
	assert.Equal(t, []origin{{"q", 1}, {}, {"c", 1}, {}, {}, {"f", 0}, {}}, b.from)
}
