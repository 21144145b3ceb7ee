package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// runningWith is a world with a run, named x, that goes on and has these outputs.
func runningWith(t *testing.T, outputs map[string]string) *world {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Script("", fake.Script{Hold: true, Outputs: outputs})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	return w
}

func TestCopyFromARun(t *testing.T) {
	w := runningWith(t, map[string]string{"m/w.bin": "weights", "m/deep/c": "c", "log.txt": "l"})
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "work", "here"), 0o755))
	for _, c := range []struct{ src, dst, file string }{
		{"x:m/w.bin", ".", "w.bin"}, {"x:m/w.bin", "named", "named"}, {"x:m/w.bin", "here", "here/w.bin"}, {":m/w.bin", "new/dir/", "new/dir/w.bin"},
		{"x:m", "tree", "tree/deep/c"}, {"x:m/", "here", "here/m/deep/c"}, {"x:", "all", "all/m/deep/c"}, {"x:.", "all2/", "all2/log.txt"},
		{w.record("x").Ref.String() + ":m/w.bin", "byref", "byref"}, {"x:m/w.bin", filepath.Join(w.dir, "abs"), "../abs"},
	} {
		r := w.run("cp", c.src, c.dst)
		require.Equal(t, 0, r.code, "%s %s: %s", c.src, c.dst, r.stderr)
		assert.FileExists(t, filepath.Join(w.dir, "work", c.file))
		assert.Empty(t, r.stdout)
	}
	w.golden("cp", w.run("cp", "x:", "again").stderr)
	r := w.run("cp", "--json", "x:m", "js")
	require.Equal(t, 0, r.code, r.stderr)
	var said map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &said))
	assert.Equal(t, []any{"x", "from", 2.0, 8.0, 0.0}, []any{said["run"], said["direction"], said["files"], said["bytes"], said["skipped"]})
	assert.Empty(t, r.stderr)
}

func TestCopyToARun(t *testing.T) {
	w := runningWith(t, nil)
	for name, text := range map[string]string{"f": "1", "d/a": "2", "d/deep/b": "3"} {
		at := filepath.Join(w.dir, "work", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	require.NoError(t, os.Symlink("f", filepath.Join(w.dir, "work", "d", "link")))
	for _, c := range []struct{ src, dst, there string }{
		{"f", "x:", "f"}, {"f", "x:g", "g"}, {"f", "x:in/", "in/f"}, {"f", "x:in/deep/h", "in/deep/h"}, {"f", ":.", "f"},
		{"d", "x:", "d/deep/b"}, {"d", "x:e", "e/deep/b"}, {"d/", "x:into/", "into/d/deep/b"}, {"d/.", "x:flat", "flat/deep/b"}, {filepath.Join(w.dir, "work", "d"), "x:e/f/g", "e/f/g/a"},
	} {
		r := w.run("cp", c.src, c.dst)
		require.Equal(t, 0, r.code, "%s %s: %s", c.src, c.dst, r.stderr)
		require.Equal(t, 0, w.run("cp", "x:"+c.there, "back").code, c.there)
	}
	r := w.run("cp", "d", "x:once/more")
	assert.Equal(t, 0, r.code)
	w.golden("cp-skipped", r.stderr)
	r = w.run("cp", "--json", "-q", "d", "x:once/more")
	assert.Contains(t, r.stdout, `"skipped": 1`)
	assert.Contains(t, r.stderr, `{"warning":`)
}

func TestCopyRefusals(t *testing.T) {
	w := runningWith(t, map[string]string{"a": "1", "b": "2", "A": "3"})
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"cp-no-run":       {[]string{"cp", "a", "b"}, 2},
		"cp-two-runs":     {[]string{"cp", "x:a", "y:b"}, 2},
		"cp-arguments":    {[]string{"cp", "x:a"}, 2},
		"cp-unknown":      {[]string{"cp", "nobody:a", "."}, 1},
		"cp-missing":      {[]string{"cp", "x:missing", "."}, 1},
		"cp-outside":      {[]string{"cp", "x:../ctl", "."}, 1},
		"cp-too-many":     {[]string{"cp", "--max-files", "2", "x:", "."}, 1},
		"cp-twins":        {[]string{"cp", "x:", "."}, 1},
		"cp-nothing-here": {[]string{"cp", "nothing", "x:"}, 1},
		"cp-out-there":    {[]string{"cp", ".", "x:/etc"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			r := w.run(c.args...)
			assert.Equal(t, c.code, r.code, r.stderr)
			w.golden("messages/"+name, r.stderr)
		})
	}
	w = runningWith(t, nil)
	w.cloud.Finish("x", 0)
	r := w.run("cp", w.dir+"/work", "x:")
	assert.Equal(t, 1, r.code, "nothing is taken any more: %s", r.stderr)
	require.Equal(t, 0, w.run("attach", "x").code)
	r = w.run("cp", "x:a", ".")
	assert.Equal(t, 1, r.code)
	w.golden("messages/cp-ended", r.stderr)
}

func TestAnInterruptStopsACopyThatCanGoOn(t *testing.T) {
	w := runningWith(t, map[string]string{"a": "1"})
	w.cloud.Inject(fake.Fault{Op: fake.OpExec, Hang: true})
	s := w.start("cp", "x:a", ".")
	for w.cloud.Calls(fake.OpExec) < 2 { // the start of the job was the first
		<-time.After(time.Millisecond)
	}
	w.signals <- syscall.SIGINT
	assert.Equal(t, 130, s.wait(t))
	assert.Contains(t, s.stderr.String(), "the same command goes on from there")
}

func TestHowFarACopyIsIsShown(t *testing.T) {
	now := time.Unix(0, 0)
	for _, json := range []bool{false, true} {
		var out syncBuffer
		var events []runctl.TransferProgress
		a := &app{say: &speaker{w: &out}, now: func() time.Time { return now }}
		a.opt.json, a.say.json = json, json
		b := a.newBar("x  fetching")
		b.event = func(p runctl.TransferProgress) { events = append(events, p) }
		for i := range int64(200) { // a second each
			now = now.Add(time.Second)
			b.progress(runctl.TransferProgress{Files: int(i / 100), TotalFiles: 2, Bytes: i << 20, TotalBytes: 400 << 20})
		}
		if json {
			assert.Empty(t, out.String())
			assert.Len(t, events, 4)
			continue
		}
		assert.Empty(t, events)
		assert.Equal(t, []string{"· x  fetching: 10%, 40 MiB of 400 MiB, 0 of 2 files", "· x  fetching: 20%, 80 MiB of 400 MiB, 0 of 2 files",
			"· x  fetching: 30%, 120 MiB of 400 MiB, 1 of 2 files", "· x  fetching: 40%, 160 MiB of 400 MiB, 1 of 2 files"}, strings.Split(strings.TrimSpace(out.String()), "\n"))
	}
	var out syncBuffer
	a := &app{say: &speaker{w: &out, tty: true}, now: time.Now}
	b := a.newBar("x  fetching")
	b.progress(runctl.TransferProgress{TotalFiles: 1})
	b.progress(runctl.TransferProgress{TotalFiles: 1, Bytes: 50 << 20, TotalBytes: 100 << 20})
	assert.Contains(t, out.String(), "x  fetching  50% [")
	assert.Contains(t, out.String(), "MiB")
	b.progress(runctl.TransferProgress{TotalFiles: 1, Bytes: 100 << 20, TotalBytes: 100 << 20})
	assert.Contains(t, out.String(), "100%")
}
