package code

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// odd has names that shells and tools stumble over.
var odd = files{
	"train.py": "print('hi')\n", "run.sh": "#!/bin/sh\necho ran\n", "empty": "", "pkg/__init__.py": "", "pkg/a b.txt": "a b",
	" lead": "1", "trail ": "2", "-n": "3", "$(id)": "4", "'q'": "5", `"dq"`: "6", "*": "7", "[x]": "8", "a;b&c|d": "9", "ünï/çödé": "10",
	"#c": "11", "~": "12", "a: OK": "13", "pkg/now": "-> a b.txt", "up": "-> pkg/../pkg", "same1": "same", "same2": "same", "pkg/same3": "same",
	"pkg/sub/back": "-> ../../train.py", "dangling": "-> nowhere/at all", "in pkg": "-> pkg", "{}": "14", "a=b": "15", "@x": "16", "./-/-": "17",
	strings.Repeat("long/", 60) + strings.Repeat("n", 250): "18", "bin.dat": strings.Repeat("\x00\xff\n", 5000), "../..dots": "19",
}

func oddTree() files {
	f := files{}
	for name, content := range odd {
		if name = filepath.Clean("/" + name)[1:]; name != "up" {
			f[name] = content
		}
	}
	return f
}

func TestWhatIsSentIsThereAsItWas(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		src := space(t)
		want := oddTree()
		want.write(t, src)
		tree := dir(t, src, Options{})
		require.NoError(t, tree.Send(t.Context(), m))
		assert.Equal(t, want, treeOn(t, m, tree.Digest()))
		first := m.taken()

		require.NoError(t, tree.Send(t.Context(), m), "again")
		assert.Zero(t, m.taken(), "nothing is sent again")

		log, err := runOn(t, m, "r1", tree.Digest(), `./run.sh; cat pkg/now; echo gone >train.py; rm -r pkg; echo x >>same1; cat same2`)
		require.NoError(t, err)
		assert.Equal(t, "ran\na bsame", log)
		assert.Equal(t, want, treeOn(t, m, tree.Digest()), "what a job does to its copy is its own")

		put(t, src, "train.py", "print('other')\n")
		require.NoError(t, os.Remove(filepath.Join(src, "bin.dat")))
		require.NoError(t, os.Rename(filepath.Join(src, "pkg/a b.txt"), filepath.Join(src, "pkg/c.txt")))
		want["train.py"], want["pkg/c.txt"] = "print('other')\n", want["pkg/a b.txt"]
		delete(want, "bin.dat")
		delete(want, "pkg/a b.txt")
		next := dir(t, src, Options{})
		require.NoError(t, next.Send(t.Context(), m))
		assert.Equal(t, want, treeOn(t, m, next.Digest()))
		t.Logf("first %d bytes, second %d", first, m.taken())
		assert.Equal(t, oddTree(), treeOn(t, m, tree.Digest()), "the tree before is as it was")
		_, err = runOn(t, m, "r2", next.Digest(), "./run.sh")
		require.NoError(t, err)
	})
}

func TestOnlyMissingContentIsSent(t *testing.T) {
	for name, cached := range map[string]bool{"asking the machine": false, "from the cache": true} {
		t.Run(name, func(t *testing.T) {
			onEveryShell(t, func(t *testing.T, m *shellMachine) {
				src, o := space(t), Options{}
				if cached {
					o.Cache = filepath.Join(space(t), "cache")
				}
				big := func(i int) string { return noise(uint64(i), 300_000) }
				files{"a": big(1), "b": big(2), "c/d": big(3), "c/e": big(3), "x.sh": "#!" + big(4)}.write(t, src)
				send := func(change string) int64 {
					tree := dir(t, src, o)
					m.taken()
					require.NoError(t, tree.Send(t.Context(), m))
					assert.Equal(t, filesOf(t, src), treeOn(t, m, tree.Digest()), change)
					return m.taken()
				}
				assert.Greater(t, send("first"), int64(1_400_000))
				put(t, src, "new", noise(10, 1000))
				assert.Less(t, send("one small file"), int64(30_000))
				require.NoError(t, os.Rename(filepath.Join(src, "a"), filepath.Join(src, "c/moved")))
				put(t, src, "copy", big(1))
				assert.Less(t, send("moved, and a copy"), int64(330_000), "the copy is a file of its own")
				require.NoError(t, os.Remove(filepath.Join(src, "copy")))
				require.NoError(t, os.Chmod(filepath.Join(src, "x.sh"), 0o644))
				put(t, src, "x.sh", strings.TrimPrefix("#!"+big(4), "#!"))
				assert.Less(t, send("no program any more"), int64(330_000))
			})
		})
	}
}

func TestAMachineWithoutTheToolsSaysSo(t *testing.T) {
	m := newMachine(t, 0)
	src := space(t)
	put(t, src, "a", "b")
	tree := dir(t, src, Options{})
	require.NoError(t, os.Remove(filepath.Join(m.bin, "sha256sum")))
	_ = os.Remove(filepath.Join(m.bin, "shasum"))
	var refused *job.Refused
	require.ErrorAs(t, tree.Send(t.Context(), m), &refused)
	assert.Equal(t, job.RefusedMachine, refused.Code)
}
