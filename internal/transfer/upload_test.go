package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

func push(t testing.TB, m job.Machine, from, to string, o Options) (Outcome, error) {
	t.Helper()
	return Upload(t.Context(), linkTo(m), from, to, o)
}

// tree makes files below a new directory: of a name that ends in a slash a directory, of a text that begins with a star
// an executable.
func tree(t testing.TB, files map[string]string) string {
	dir := filepath.Join(t.TempDir(), "tree")
	require.NoError(t, os.Mkdir(dir, 0o755))
	grow(t, dir, files)
	return dir
}

func grow(t testing.TB, dir string, files map[string]string) {
	for name, text := range files {
		at := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(at, 0o755))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		text, exec := strings.CutPrefix(text, "*")
		require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
		require.NoError(t, os.Chmod(at, mode(exec)))
	}
}

// noise is n bytes that do not compress.
func noise(t testing.TB, n int) string {
	b, seed := make([]byte, n), [32]byte{}
	seed[0] = byte(seeded(t).Uint32())
	_, _ = rand.NewChaCha8(seed).Read(b)
	return string(b)
}

var mixed = map[string]string{"a b/it's": "1", "a b/c/q\"x": "2", "ünï": "3", "none": "", "-n": "4", "$(id)": "5", "tool": "*#!", "empty/er/": "", "* ?[a]": "6",
	" lead": "7", "trail ": "8", "deep/1/2/3/4/5/6/7/8/9/f": "9", ".hidden/.too": "10", "..dots/...more": "11"}

// as is how contents shows a tree.
func as(files map[string]string, below string) map[string]string {
	all := map[string]string{}
	for name, text := range files {
		if below != "." {
			name = below + "/" + name
		}
		for dir := filepath.Dir(strings.TrimSuffix(name, "/")); dir != "."; dir = filepath.Dir(dir) {
			all[dir+"/"] = ""
		}
		if len(text) > 64 {
			text = fmt.Sprintf("%d bytes %x", len(text), sha256.Sum256([]byte(text)))
		}
		all[name] = text
	}
	return all
}

func TestAnUploadArrivesAsItIs(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `mkdir -p in/tree/deep; echo keep >in/tree/keep; echo old >in/tree/none; ln -s in link`)
		files := maps.Clone(mixed)
		files["big"] = noise(t, 3_000_000)
		from := tree(t, files)
		require.NoError(t, os.Symlink("big", filepath.Join(from, "link")))
		require.NoError(t, syscall.Mkfifo(filepath.Join(from, "fifo"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(from, "n\nl"), nil, 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(from, "o\\dd"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(from, "o\\dd", "f"), nil, 0o600))
		var last Progress
		out, err := push(t, m, from, "in", Options{Progress: func(p Progress) {
			assert.GreaterOrEqual(t, p.Bytes, last.Bytes)
			assert.GreaterOrEqual(t, p.Files, last.Files)
			last = p
		}})
		require.NoError(t, err)
		slices.Sort(out.Skipped.First)
		assert.Equal(t, Outcome{Skipped: Names{[]string{"fifo", "link", "n?l", "o\\dd"}, 4}}, out)
		want := as(files, "in/tree")
		want["in/tree/keep"], want["link"] = "keep\n", "L---------"
		assert.Equal(t, want, contents(t, m.work()))
		assert.Equal(t, Progress{Files: 14, TotalFiles: 14, Bytes: last.TotalBytes, TotalBytes: last.TotalBytes}, last)
		assert.Empty(t, waiting(m), "nothing of the transfer's own stays")

		c := &cutting{Machine: m}
		_, err = push(t, c, from, "in", Options{})
		require.NoError(t, err)
		assert.Less(t, c.in.Load(), int64(20_000), "what is there is not sent again")
		_, err = push(t, m, filepath.Join(from, "tool"), "link/deep/er", Options{})
		require.NoError(t, err)
		assert.Equal(t, "*#!", contents(t, m.work())["in/deep/er/tool"], "through a link that stays inside")
	})
}

func waiting(m *shellMachine) []string {
	all, _ := filepath.Glob(filepath.Join(m.root, "run/r/put.*"))
	return all
}

func TestWhereAnUploadGoes(t *testing.T) {
	from := tree(t, map[string]string{"a": "1", "b/c": "2"})
	for _, c := range []struct {
		from, to, as string
		want         []string
	}{{"", ".", "", []string{"tree/a", "tree/b/c"}}, {"", "in", "", []string{"in/tree/a", "in/tree/b/c"}}, {"", "in", "x", []string{"in/x/a", "in/x/b/c"}},
		{"", ".", ".", []string{"a", "b/c"}}, {"", "in", ".", []string{"in/a", "in/b/c"}}, {"a", ".", "", []string{"a"}}, {"a", "in", "", []string{"in/a"}},
		{"a", "in", "x/y", []string{"in/x/y"}}, {"a", "in", ".", []string{"in/a"}}, {"b", "x/y", "z", []string{"x/y/z/c"}}} {
		m := emulated(t, nil)
		_, err := push(t, m, filepath.Join(from, c.from), c.to, Options{As: c.as})
		require.NoError(t, err)
		var got []string
		_, err = job.Tree(t.Context(), m, "r", job.PlaceWork, ".", func(e job.Entry) error {
			if e.Kind == job.EntryFile {
				got = append(got, e.Name)
			}
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, c.want, got, "%q to %q as %q", c.from, c.to, c.as)
		to := t.TempDir()
		_, err = pull(t, m, got[0], to, Options{As: "back"})
		require.NoError(t, err)
		assert.Contains(t, []string{"1", "2"}, contents(t, to)["back"], "and back")
	}
}

func TestAnUploadOfALongFileSurvivesTwentyCuts(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, ``)
		from := tree(t, map[string]string{"big": noise(t, 64<<20), "small": "s\n"})
		c := &cutting{Machine: m, rnd: seeded(t), cuts: 20, least: 256 << 10, most: 4 << 20, verbs: []string{"put", "patch"}}
		_, err := push(t, c, from, ".", Options{As: "."})
		require.NoError(t, err)
		assert.Equal(t, contents(t, from), contents(t, m.work()))
		assert.Zero(t, c.cuts)
		t.Logf("64 MiB, cut 20 times: %.3f of its size was sent", float64(c.in.Load())/(64<<20))
		assert.Less(t, c.in.Load(), int64(64<<20)*3/2)
	})
}

func TestCutsAnywhereLoseNothingOfAnUpload(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, ``)
		files, text := map[string]string{}, noise(t, 300_000)
		for i := range 9 {
			for j := range 5 {
				files[fmt.Sprintf("d%d/f%d", i, j)] = text[:(i+1)*(j+1)*7001%len(text)]
			}
		}
		from := tree(t, files)
		c := &cutting{Machine: m, rnd: seeded(t), cuts: 30, least: 0, most: 300 << 10, verbs: []string{"tree", "sums", "put", "patch", "move"}}
		_, err := push(t, c, from, ".", Options{As: "."})
		require.NoError(t, err)
		assert.Equal(t, contents(t, from), contents(t, m.work()))
	})
}

func TestAnUploadGoesOnWhereAKilledOneStopped(t *testing.T) {
	m := newShell(t, "/bin/sh")
	m.begin(t, ``)
	from := tree(t, map[string]string{"big": noise(t, 32<<20), "small": "s"})
	c := &cutting{Machine: m, rnd: seeded(t), cuts: 1000, least: 20 << 20, most: 21 << 20, verbs: []string{"put"}}
	link := linkTo(c)
	link.Again = func(_ context.Context, err error, _ int) error { return err } // as if the process ended with the cut
	_, err := Upload(t.Context(), link, from, ".", Options{As: "."})
	require.ErrorIs(t, err, errCut)
	require.Len(t, waiting(m), 1)
	assert.Empty(t, contents(t, m.work()), "nothing has its name before all of it is there")
	again := &cutting{Machine: m}
	_, err = push(t, again, from, ".", Options{As: "."})
	require.NoError(t, err)
	assert.Equal(t, contents(t, from), contents(t, m.work()))
	assert.Less(t, again.in.Load(), int64(16<<20), "only the rest is sent")
}

func TestAFileHereThatChangesAllTheTimeIsNamedAndTheRestArrives(t *testing.T) {
	m := newShell(t, "/bin/sh")
	m.begin(t, ``)
	from := tree(t, map[string]string{"a": "1", "grows": "", "z": "2", "gone": "3"})
	require.NoError(t, os.WriteFile(filepath.Join(from, "grows"), bytes.Repeat([]byte("x"), 1<<20), 0o644))
	n := 0
	c := &changing{Machine: m, verb: "sums", do: func() { // between what was sent and what is asked
		n++
		require.NoError(t, os.WriteFile(filepath.Join(from, "grows"), bytes.Repeat([]byte("x"), 1<<20+n), 0o644))
		_ = os.Remove(filepath.Join(from, "gone"))
	}}
	moving := &changing{Machine: c, verb: "put", do: func() {
		require.NoError(t, os.WriteFile(filepath.Join(from, "grows"), nil, 0o644))
		require.NoError(t, os.Truncate(filepath.Join(from, "grows"), 1<<20))
	}}
	out, err := push(t, moving, from, ".", Options{As: "."})
	require.NoError(t, err)
	assert.Equal(t, []string{"gone"}, out.Changed.First, "what is sent whole is taken as it was then")
	got := contents(t, m.work())
	assert.Equal(t, []string{"1", "2"}, []string{got["a"], got["z"]})
	assert.NotContains(t, got, "gone")
}

func TestAMachineThatDoesNotKeepWhatItGetsIsNotBelieved(t *testing.T) {
	m := newShell(t, "/bin/sh")
	m.begin(t, ``)
	from := tree(t, map[string]string{"a": "right", "b": "1"})
	c := &changing{Machine: m, verb: "sums", do: func() {
		for _, dir := range waiting(m) {
			_ = os.WriteFile(filepath.Join(dir, "a"), []byte("wrong"), 0o644)
		}
	}}
	out, err := push(t, c, from, ".", Options{As: "."})
	require.NoError(t, err)
	assert.Equal(t, Names{[]string{"a"}, 1}, out.Changed)
	assert.Equal(t, map[string]string{"b": "1"}, contents(t, m.work()))
	c = &changing{Machine: m, verb: "sums", nth: 2, do: c.do} // the sums of what waits, once
	_, err = push(t, c, from, ".", Options{As: "."})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "right", "b": "1"}, contents(t, m.work()))
}

func TestAnUploadIsRefused(t *testing.T) {
	from := tree(t, map[string]string{"a": "1", "b": "22"})
	m := emulated(t, nil)
	var refused *Refused
	for text, o := range map[string]Options{"more than 1 files": {MaxFiles: 1}, "more than 2 B in all": {MaxBytes: 2}} {
		_, err := push(t, m, from, ".", o)
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, text)
	}
	_, err := push(t, m, filepath.Join(from, "nothing"), ".", Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = push(t, m, "/dev/null", ".", Options{})
	require.ErrorContains(t, err, "neither a file nor a directory")
	m.Finish("r", 0)
	_, err = push(t, m, from, ".", Options{})
	var over *job.Refused
	require.ErrorAs(t, err, &over)
	assert.Equal(t, job.RefusedOver, over.Code)

	shell := newShell(t, "/bin/sh")
	outside := t.TempDir()
	shell.begin(t, `ln -s `+outside+` out; echo x >file`)
	for to, text := range map[string]string{"out": "leads out of the run", "file": "file"} {
		_, err := push(t, shell, from, to, Options{})
		require.ErrorAs(t, err, &over)
		assert.Contains(t, over.Reason, text)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)
}
