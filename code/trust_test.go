package code

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/execfile"
	"runctl/internal/job"
)

func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	var r *job.Refused
	if assert.ErrorAs(t, err, &r) {
		assert.Equal(t, code, r.Code, r.Reason)
		assert.Contains(t, r.Reason, text)
	}
}

// TestATreeThatWasTamperedWithStartsNothing changes a tree on the machine in every way, and expects the start refused
// with the path, and the next send to heal it.
func TestATreeThatWasTamperedWithStartsNothing(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		src := space(t)
		files{"a": "1", "d/b": "22", "d/x.sh": "#!/bin/sh\necho hi\n", "l": "-> d/b", "z z": "3"}.write(t, src)
		tree := dir(t, src, Options{})
		on := filepath.Join(m.root, "code", "d."+tree.Digest())
		at := func(name string) string { return filepath.Join(on, "t", name) }
		for i, c := range []struct {
			name, path string
			change     func() error
		}{
			{"content", "a", func() error { return os.WriteFile(at("a"), []byte("2"), 0o644) }},
			{"longer", "d/b", func() error { return os.WriteFile(at("d/b"), []byte("223"), 0o644) }},
			{"empty", "z z", func() error { return os.Truncate(at("z z"), 0) }},
			{"mode off", "d/x.sh", func() error { return os.Chmod(at("d/x.sh"), 0o644) }},
			{"mode on", "a", func() error { return os.Chmod(at("a"), 0o755) }},
			{"missing", "d/b", func() error { return os.Remove(at("d/b")) }},
			{"extra", "d/new", func() error { return os.WriteFile(at("d/new"), nil, 0o644) }},
			{"extra with a newline", "a", func() error { _ = os.Mkdir(at("a\n."), 0o755); return os.WriteFile(at("a\n./a"), []byte("1"), 0o644) }},
			{"extra link", "ll", func() error { return os.Symlink("a", at("ll")) }},
			{"other target", "l", func() error { _ = os.Remove(at("l")); return os.Symlink("a", at("l")) }},
			{"target and a newline", "l", func() error { _ = os.Remove(at("l")); return os.Symlink("d/b\n", at("l")) }},
			{"link for a file", "a", func() error { _ = os.Remove(at("a")); return os.Symlink("d/b", at("a")) }},
			{"file for a link", "l", func() error { _ = os.Remove(at("l")); return os.WriteFile(at("l"), []byte("22"), 0o644) }},
			{"file for a directory", "d", func() error { _ = os.RemoveAll(at("d")); return os.WriteFile(at("d"), nil, 0o644) }},
			{"swapped names", "a", func() error { return os.Rename(at("a"), at("z z")) }},
			{"manifest of another tree", "", func() error {
				return os.WriteFile(filepath.Join(on, "m"), []byte("- 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 a\n"), 0o644)
			}},
			{"manifest of these files, but not this one", "its manifest", func() error {
				b, err := os.ReadFile(filepath.Join(on, "m"))
				if err == nil {
					err = os.WriteFile(filepath.Join(on, "m"), []byte(strings.Replace(string(b), "- 1 ", "- 2 ", 1)), 0o644)
				}
				return err
			}},
		} {
			require.NoError(t, tree.Send(t.Context(), m))
			require.NoError(t, c.change(), c.name)
			run := "r" + strings.Repeat("x", i)
			_, err := runOn(t, m, run, tree.Digest(), "true")
			refused(t, err, job.RefusedSpec, "does not verify: "+c.path)
			s, err := job.Inspect(t.Context(), m, run)
			require.NoError(t, err)
			assert.Equal(t, job.PhaseNone, s.Phase, c.name)
			if i == 0 {
				_, err = runOn(t, m, run, tree.Digest(), "true")
				refused(t, err, job.RefusedDir, "send it again")
			}
		}
		require.NoError(t, tree.Send(t.Context(), m))
		require.NoError(t, os.MkdirAll(at("empty/dir"), 0o755), "no file: nothing that a tree knows")
		log, err := runOn(t, m, "last", tree.Digest(), "./d/x.sh; ls")
		require.NoError(t, err)
		assert.Equal(t, "hi\na\nd\nl\nz z\n", log)
	})
}

// TestADamagedFileIsNotHandedOn damages a file that the next tree has too: it is linked, and found at the start.
func TestADamagedFileIsNotHandedOn(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		src := space(t)
		files{"a": "old", "same": "same"}.write(t, src)
		one := dir(t, src, Options{})
		require.NoError(t, one.Send(t.Context(), m))
		require.NoError(t, os.WriteFile(filepath.Join(m.root, "code", "d."+one.Digest(), "t/same"), []byte("evil"), 0o644))
		put(t, src, "a", "new")
		two := dir(t, src, Options{})
		require.NoError(t, two.Send(t.Context(), m))
		_, err := runOn(t, m, "r", two.Digest(), "cat same")
		refused(t, err, job.RefusedSpec, "same")
		require.NoError(t, two.Send(t.Context(), m))
		log, err := runOn(t, m, "r", two.Digest(), "cat a same")
		require.NoError(t, err)
		assert.Equal(t, "newsame", log)
	})
}

func TestASourceThatIsGoneIsSentInstead(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		src := space(t)
		files{"a": "old", "same": "same"}.write(t, src)
		one := dir(t, src, Options{})
		require.NoError(t, one.Send(t.Context(), m))
		require.NoError(t, os.Remove(filepath.Join(m.root, "code", "d."+one.Digest(), "t/same")))
		put(t, src, "a", "new")
		two := dir(t, src, Options{})
		m.puts = 0
		require.NoError(t, two.Send(t.Context(), m))
		assert.Equal(t, 2, m.puts)
		assert.Equal(t, files{"a": "new", "same": "same"}, treeOn(t, m, two.Digest()))
	})
}

// TestWhatIsNotWhatItsSumSaysIsNotTakenIn lies about a sum, as a cache could that was wrong; in a large tree too, whose
// files are verified while more come.
func TestWhatIsNotWhatItsSumSaysIsNotTakenIn(t *testing.T) {
	for name, more := range map[string]files{"small": {}, "large": {"big": noise(1, besideFrom), "z": "last"}} {
		t.Run(name, func(t *testing.T) {
			onEveryShell(t, func(t *testing.T, m *shellMachine) {
				src, cache := space(t), filepath.Join(t.TempDir(), "cache")
				files{"a": "1", "b b": "2"}.write(t, src)
				more.write(t, src)
				remember(t, src, cache)
				tree := dir(t, src, Options{Cache: cache})
				refused(t, tree.Send(t.Context(), m), job.RefusedSpec, "as it was sent: a")
				assert.NoDirExists(t, filepath.Join(m.root, "code", "d."+tree.Digest()))
				require.NoError(t, dir(t, src, Options{Cache: cache}).Send(t.Context(), m), "the cache is not believed again")
			})
		})
	}
}

// TestALargeTreeIsVerifiedWhileItComes looks at what the machine had summed, and how often.
func TestALargeTreeIsVerifiedWhileItComes(t *testing.T) {
	t.Parallel()
	m, src, log := newMachine(t, 0), space(t), filepath.Join(t.TempDir(), "log")
	tool := filepath.Join(m.bin, "openssl")
	real, err := filepath.EvalSymlinks(tool)
	require.NoError(t, err)
	require.NoError(t, os.Remove(tool))
	require.NoError(t, execfile.Write(tool, "#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+log+"\nexec "+real+" \"$@\"\n"))
	want := oddTree()
	want["big"] = noise(1, besideFrom)
	want.write(t, src)
	tree := dir(t, src, Options{})
	require.NoError(t, tree.Send(t.Context(), m))
	assert.Equal(t, want, treeOn(t, m, tree.Digest()))
	summed, err := os.ReadFile(log)
	require.NoError(t, err)
	for name, content := range want {
		if !strings.HasPrefix(content, "-> ") {
			assert.Equal(t, 1, strings.Count("\n"+string(summed), "\nt/"+name+"\n"), name)
			assert.NotContains(t, string(summed), "./"+name+"\n", "all of them had been looked at")
		}
	}
}

func TestAFileThatChangedIsNotSent(t *testing.T) {
	m := newMachine(t, 0)
	for name, change := range map[string]func(src string){
		"content": func(src string) { put(t, src, "b", "X") },
		"size":    func(src string) { put(t, src, "b", "longer") },
		"gone":    func(src string) { require.NoError(t, os.Remove(filepath.Join(src, "b"))) },
		"a link": func(src string) {
			require.NoError(t, os.Remove(filepath.Join(src, "b")))
			put(t, src, "b", "-> a")
		},
	} {
		src := space(t)
		files{"a": "1", "b": "2"}.write(t, src)
		tree := dir(t, src, Options{})
		change(src)
		err := tree.Send(t.Context(), m)
		assert.ErrorIs(t, err, errChanged, name)
		assert.ErrorIs(t, err, runctl.ErrInvalid, name+": another try fails the same way")
		assert.ErrorContains(t, err, "b: ", name)
		assert.NoDirExists(t, filepath.Join(m.root, "code", "d."+tree.Digest()))
	}
}

func TestManyMaySendAtOnce(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		var trees []*Tree
		for i := range 2 {
			src := space(t)
			for k := range 20 {
				put(t, src, "f"+strings.Repeat("x", k), noise(uint64(k+100*i*(k%2)), 20_000))
			}
			trees = append(trees, dir(t, src, Options{}))
		}
		var wait sync.WaitGroup
		for i := range 6 {
			wait.Go(func() { assert.NoError(t, trees[i%2].Send(t.Context(), m)) })
		}
		wait.Wait()
		for _, tree := range trees {
			assert.Equal(t, filesOf(t, tree.dir), treeOn(t, m, tree.Digest()))
			all, err := os.ReadDir(filepath.Join(m.root, "code", "d."+tree.Digest()))
			require.NoError(t, err)
			assert.Len(t, all, 2, "%v", all)
		}
		left, _ := filepath.Glob(filepath.Join(m.root, "code", "[^i]*")) // who lost a race may leave a part
		assert.Len(t, left, 2, "%v", left)
	})
}

func TestOldTreesGoAndRunsKeepTheirs(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		src := space(t)
		gate := filepath.Join(t.TempDir(), "gate")
		var trees []*Tree
		for i := range 8 {
			put(t, src, "a", strings.Repeat("x", i))
			trees = append(trees, dir(t, src, Options{}))
			require.NoError(t, trees[i].Send(t.Context(), m))
			if i == 0 {
				require.NoError(t, job.Start(t.Context(), m, job.Spec{Run: "r", Digest: "d", Code: trees[0].Digest(), Shared: true,
					Argv: []string{"sh", "-c", "until [ -e " + gate + " ]; do sleep 0.05; done; wc -c <a"}}))
			}
		}
		left, _ := filepath.Glob(filepath.Join(m.root, "code", "*"))
		assert.Len(t, left, 5, "%v", left)
		assert.Equal(t, files{"a": "xxxxxxx"}, treeOn(t, m, trees[7].Digest()), "the newest is there")
		require.NoError(t, os.WriteFile(gate, nil, 0o644))
		s, err := job.Wait(t.Context(), m, "r", waitLong)
		require.NoError(t, err)
		require.NotNil(t, s.Receipt)
		var log strings.Builder
		_, err = job.Log(t.Context(), m, "r", 0, false, &log)
		require.NoError(t, err)
		assert.Equal(t, "0", strings.TrimSpace(log.String()))
	})
}

func TestProgressIsToldInOrder(t *testing.T) {
	m := newMachine(t, 0)
	src := space(t)
	files{"a": noise(1, 500_000), "b": noise(2, 500_000), "empty": "", "l": "-> a"}.write(t, src)
	var all []Progress // written by this goroutine alone: the race detector would tell
	tree := dir(t, src, Options{Progress: func(p Progress) { all = append(all, p) }})
	m.wrap = func(r io.Reader) io.Reader { return r }
	require.NoError(t, tree.Send(t.Context(), m))
	require.NotEmpty(t, all)
	for i, p := range all {
		assert.Equal(t, 3, p.TotalFiles)
		assert.Equal(t, int64(1_000_000), p.TotalBytes)
		if i > 0 {
			assert.GreaterOrEqual(t, p.Bytes, all[i-1].Bytes)
			assert.GreaterOrEqual(t, p.Sent, all[i-1].Sent)
		}
	}
	last := all[len(all)-1]
	assert.Equal(t, 3, last.Files)
	assert.Equal(t, int64(1_000_000), last.Bytes)
	assert.Greater(t, last.Sent, int64(900_000))
	all = nil
	require.NoError(t, tree.Send(t.Context(), m))
	assert.Empty(t, all, "nothing was sent")
}
