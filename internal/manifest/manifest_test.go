package manifest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func file(path, content string, kind Kind) Entry {
	return Entry{Path: path, Size: int64(len(content)), Sum: sha256.Sum256([]byte(content)), Kind: kind}
}

func text(all ...Entry) string {
	var b bytes.Buffer
	_ = Write(&b, slices.Values(all))
	return b.String()
}

const aSum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" // printf a | sha256sum

func TestALineSaysKindSizeSumAndPath(t *testing.T) {
	assert.Equal(t, "- 1 "+aSum+" d/x y.py\n", text(file("d/x y.py", "a", Plain)))
	assert.Equal(t, "x 1 "+aSum+" run\n", text(file("run", "a", Exec)))
	assert.Equal(t, "l 1 "+aSum+" d/now\ta\n", text(NewLink("d/now", "a")))
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Digest(slices.Values([]Entry(nil))), "of an empty tree")
	want := fmt.Sprintf("%x", sha256.Sum256([]byte("- 1 "+aSum+" a\n")))
	assert.Equal(t, want, Digest(slices.Values([]Entry{file("a", "a", Plain)})))
}

func TestReadGivesWhatWasWritten(t *testing.T) {
	want := []Entry{file("A", "", Plain), file("a b/c", "x", Exec), NewLink("a b/d", "../A"), file("a-b", "y", Plain), file("ä/ü", "z", Plain)}
	got, err := Read(strings.NewReader(text(want...)))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(want, got))
	many := make([]Entry, 3000)
	for i := range many {
		many[i] = file(fmt.Sprintf("%s%0200d", strings.Repeat("long/", 150), i), "", Plain)
	}
	got, err = Read(strings.NewReader(text(many...)))
	require.NoError(t, err)
	assert.Len(t, got, 3000)
}

func TestReadRefusesWhatIsNotOneText(t *testing.T) {
	ok, sum := text(file("a", "a", Plain)), aSum
	for _, c := range []struct{ name, text, want string }{
		{"no newline at the end", strings.TrimSuffix(ok, "\n"), "EOF"},
		{"carriage return", "- 1 " + sum + " a\r\n", "control"},
		{"twice", ok + ok, "place"},
		{"unsorted", text(file("b", "", Plain), file("a", "", Plain)), "place"},
		{"file and directory", text(file("a", "", Plain), file("a-", "", Plain), file("a/b/c", "", Plain)), "directory"},
		{"file and directory behind another's", text(file("a", "", Plain), file("a-/x", "", Plain), file("a/b", "", Plain)), "directory"},
		{"link and directory", text(NewLink("a", "b"), file("a/b/c", "", Plain)), "directory"},
		{"unknown kind", "d 1 " + sum + " a\n", "kind"},
		{"long kind", "-- 1 " + sum + " a\n", "form"},
		{"empty line", "\n", "form"},
		{"two spaces", "-  1 " + sum + " a\n", "size"},
		{"negative", "- -1 " + sum + " a\n", "size"},
		{"plus", "- +1 " + sum + " a\n", "size"},
		{"zeros", "- 01 " + sum + " a\n", "size"},
		{"huge", "- 99999999999999999999 " + sum + " a\n", "size"},
		{"upper case", "- 1 " + strings.ToUpper(sum) + " a\n", "SHA"},
		{"short sum", "- 1 " + sum[1:] + " a\n", "SHA"},
		{"no hex", "- 1 " + sum[:63] + "g a\n", "SHA"},
		{"no target", "l 1 " + sum + " a\n", "target"},
		{"other target", "l 1 " + sum + " a\tb\n", "target"},
		{"tab in a name", "- 1 " + sum + " a\tb\n", "control"},
		{"too long", strings.Repeat("x", 2*maxLine) + "\n", "long"},
	} {
		_, err := Read(strings.NewReader(c.text))
		assert.ErrorContains(t, err, c.want, c.name)
	}
}

func TestAPathIsPlainEverywhere(t *testing.T) {
	for _, path := range []string{"a", "a/b", ".x", "..x", "a b ", " ", "-", "ünïcode", "$(x)", strings.Repeat("a", 255), "*", "'"} {
		assert.NoError(t, CheckPath(path), "%q", path)
	}
	for _, path := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\nb", "a\rb", "a\\b", "a\tb", "a\x00b",
		"a\x7fb", "a\x1bb", "a\u0085b", "a\xff", strings.Repeat("a", 256), strings.Repeat("a/", 512) + "a"} {
		var bad *PathError
		require.ErrorAs(t, CheckPath(path), &bad, "%q", path)
		assert.NotContains(t, bad.Error(), "\n")
	}
}

func TestALinkStaysInside(t *testing.T) {
	for _, c := range []struct {
		path, target string
		ok           bool
	}{
		{"a", "b", true}, {"a", ".", true}, {"a", "b/c/", true}, {"a", "./b", true}, {"d/a", "..", true}, {"d/a", "../b", true},
		{"d/e/a", "../../b/c", true}, {"d/e/a", "./../b", true}, {"a", "..b", true}, {"a", "b//c", true},
		{"a", "", false}, {"a", "/b", false}, {"a", "..", false}, {"a", "../b", false}, {"d/a", "../..", false}, {"d/a", "../../d/a", false},
		{"d/e/a", "b/../../../c", false}, {"d/e/a", "b/../c", false}, {"d/e/a", "../b/..", false}, {"a", "b\nc", false}, {"a", `b\c`, false},
	} {
		assert.Equal(t, c.ok, CheckTarget(c.path, c.target) == nil, "%s -> %s", c.path, c.target)
		_, err := Read(strings.NewReader(text(NewLink(c.path, c.target))))
		assert.Equal(t, c.ok, err == nil, "%s -> %s", c.path, c.target)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(text(file("a", "a", Plain), NewLink("b", "a"), file("c/d", "", Exec)))
	f.Add("- 0 " + aSum + " a")
	f.Fuzz(func(t *testing.T, s string) {
		all, err := Read(strings.NewReader(s))
		if err != nil {
			return
		}
		assert.Equal(t, s, text(all...), "there is one text for a tree")
		dirs := map[string]bool{}
		for _, e := range all {
			for dir := parent(e.Path); dir != ""; dir = parent(dir) {
				dirs[dir] = true
			}
		}
		for _, e := range all {
			assert.False(t, dirs[e.Path], "%q is a file and a directory", e.Path)
			assert.NotContains(t, strings.Split(e.Path, "/"), "..")
		}
	})
}
