package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// write makes files below the working directory; a name that ends in a slash is a directory.
func (w *world) write(files map[string]string) {
	w.t.Helper()
	for name, text := range files {
		path := filepath.Join(w.dir, "work", name)
		if strings.HasSuffix(name, "/") {
			require.NoError(w.t, os.MkdirAll(path, 0o755))
		} else {
			require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(w.t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
}

// workTree makes the working directory a small git work tree.
func (w *world) workTree() {
	w.write(map[string]string{".git/": "", ".gitignore": "data/\n*.bin\n", "train.py": "print(1)\n", "pkg/model.py": "x = 1\n",
		"data/big.txt": strings.Repeat("x", 3<<20), "w.bin": "0", "notes/.env": "TOKEN=1"})
}

func TestAWorkTreeIsSent(t *testing.T) {
	w := newWorld(t)
	w.workTree()
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	w.golden("sync", r.stderr)
	assert.Contains(t, w.cloud.Log(), "launched")

	// The second time its hashes are known, and the words are the same.
	again := w.run("run", "-p", "fake", "--name", "y", "prog")
	require.Equal(t, 0, again.code, again.stderr)
	assert.Equal(t, strings.Split(r.stderr, "\n")[0], strings.Split(again.stderr, "\n")[0])
	assert.DirExists(t, filepath.Join(w.dir, "state", "sync"))

	// Quiet leaves the report out, and not the warning.
	quiet := w.run("-q", "run", "-p", "fake", "--name", "z", "prog")
	assert.Equal(t, 1, strings.Count(quiet.stderr, "\n"), quiet.stderr)
	assert.Contains(t, quiet.stderr, "notes/.env looks like a secret, not sent")
}

func TestTheSentCodeIsPartOfTheJob(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.workTree()
	w.cloud.Script("", fake.Script{Hold: true})
	id := strings.TrimSpace(w.run("launch", "-p", "fake", "--name", "box").stdout)
	r := w.run("submit", "-p", "fake", id, "--name", "x", "--", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "sync .  3 files")
}

func TestWhatIsNoWorkTreeIsSentOnlyWhenItIsNamed(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"train.py": "print(1)\n", "sub/one.py": "1\n"})
	r := w.run("run", "-p", "fake", "--name", "a", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "· sync: nothing is sent, since . is in no git work tree; --workdir . sends it all the same\n")
	r = w.run("run", "-p", "fake", "--name", "b", "--workdir", ".", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "· sync .  2 files, 11 B\n")
	r = w.run("run", "-p", "fake", "--name", "c", "--workdir", "sub", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "· sync sub  1 file, 2 B\n")
	r = w.run("run", "-p", "fake", "--name", "d", "--no-sync", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.NotContains(t, r.stderr, "sync")
}

func TestWhatIsNoCodeIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.workTree()
	refused := func(text string, args ...string) {
		t.Helper()
		r := w.run(append([]string{"run", "-p", "fake", "--name", "x"}, append(args, "prog")...)...)
		assert.Equal(t, 125, r.code, r.stderr)
		assert.Contains(t, r.stderr, text)
		assert.Contains(t, r.stderr, "Nothing was launched")
	}
	w.env["HOME"] = filepath.Join(w.dir, "work")
	refused("your home directory is not sent as a job's code")
	assert.Equal(t, 0, w.run("run", "-p", "fake", "--workdir", ".", "prog").code, "it was named")
	w.env["HOME"] = w.dir
	refused("it is no directory", "--workdir", "missing")
	refused("it is no directory", "--workdir", "train.py")
	refused("--no-sync sends nothing", "--workdir", ".", "--no-sync")
	big := filepath.Join(w.dir, "work", "sparse")
	require.NoError(t, os.WriteFile(big, nil, 0o644))
	require.NoError(t, os.Truncate(big, 1<<30))
	refused("--workdir . allows more")
	assert.Zero(t, w.cloud.Launched()-1)
}

func TestMachinesThatTakeNoCodeGetNone(t *testing.T) {
	w := newWorld(t, fake.JobOnly())
	w.workTree()
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "nothing is sent after all")
	r = w.run("run", "-p", "fake", "--name", "y", "--workdir", ".", "prog")
	assert.Equal(t, 125, r.code, "it was asked for")
	assert.Contains(t, r.stderr, "needs the shell road")
}

func TestSyncAsJSON(t *testing.T) {
	w := newWorld(t)
	w.workTree()
	r := w.run("run", "--json", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	var sync map[string]any
	var phases []string
	for line := range strings.Lines(r.stdout) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		switch e["event"] {
		case "sync":
			sync = e
		case "phase":
			phases = append(phases, e["phase"].(string))
		}
	}
	assert.EqualValues(t, 3, sync["files"])
	assert.Equal(t, []any{"notes/.env"}, sync["secrets"])
	assert.Equal(t, []string{"launching", "launched", "running", "connected", "synced", "started", "ended", "terminating", "terminated"}, phases)
}

func TestTheLineOfProgressHasThePhaseOfTheCode(t *testing.T) {
	w := newWorld(t)
	w.workTree()
	w.tty = true
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "x  syncing")
	assert.Contains(t, r.stderr, "x  submitting")
}

// Without a terminal a long transfer says now and then how far it is.
func TestALongTransferIsToldOf(t *testing.T) {
	var out syncBuffer
	now := time.Unix(0, 0)
	a := &app{say: &speaker{w: &out}, now: func() time.Time { return now }}
	track := a.newTracker("x")
	defer track.close()
	for _, far := range []string{"1 MiB of 9 MiB", "2 MiB of 9 MiB", "3 MiB of 9 MiB", "4 MiB of 9 MiB"} {
		now = now.Add(6 * time.Second)
		track.sync(far)
	}
	assert.Equal(t, "· x: syncing 1 MiB of 9 MiB\n· x: syncing 3 MiB of 9 MiB\n", out.String())
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3250586: "3.1 MiB", 44023414784: "41 GiB"} {
		assert.Equal(t, want, bytesText(n))
	}
}

func TestTheRootIsNoCode(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, "the root directory", w.app(nil, nil).tooWide("/"))
	assert.Equal(t, "your home directory", w.app(nil, nil).tooWide(w.dir))
	assert.Empty(t, w.app(nil, nil).tooWide(filepath.Join(w.dir, "work")))
}

func TestCodeGoesToAMachineWithAShellThoughAnotherOfferIsFirst(t *testing.T) {
	vessel, machine := freeOffer, freeOffer
	vessel.ID, vessel.Roads = "a-vessel", runctl.RoadJob
	machine.ID, machine.Roads, machine.EndsItself = "b-machine", runctl.RoadShell, false
	w := newWorld(t, fake.Offers(vessel, machine))
	w.workTree()
	r := w.run("run", "-p", "fake", "--name", "x", "-y", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, w.cloud.Log(), "b-machine")
	r = w.run("run", "-p", "fake", "--name", "y", "--no-sync", "-y", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, w.cloud.Log(), "a-vessel")
}
