package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// liar is a machine that has one file, "good", and edits the lines of what it answers to one verb, or sends something
// else from the line "RUNCTL1 raw" on.
type liar struct {
	job.Machine
	verb string
	line func(line string, w io.Writer) error // nil: as it is
	raw  func(w io.Writer) error              // nil: as it is
}

func (l liar) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(argv) < 5 || argv[4] != l.verb {
		return l.Machine.Exec(ctx, argv, stdin, stdout, stderr)
	}
	var held []byte
	done := false
	return l.Machine.Exec(ctx, argv, stdin, writerFunc(func(b []byte) (int, error) {
		held = append(held, b...)
		for !done {
			line, rest, whole := bytes.Cut(held, []byte("\n"))
			if !whole {
				break
			}
			held = rest
			if l.line != nil {
				if err := l.line(string(line)+"\n", stdout); err != nil {
					return 0, err
				}
			} else if _, err := stdout.Write(append(bytes.Clone(line), '\n')); err != nil {
				return 0, err
			}
			if l.raw != nil && string(line) == "RUNCTL1 raw" {
				done = true
				if err := l.raw(stdout); err != nil {
					return 0, err
				}
			}
		}
		return len(b), nil
	}), stderr)
}

// instead writes other rows where the file's row is.
func instead(rows ...string) func(string, io.Writer) error {
	return func(line string, w io.Writer) error {
		if strings.HasSuffix(line, " ./good\n") {
			line = strings.Join(rows, "\n") + "\n"
		}
		_, err := io.WriteString(w, line)
		return err
	}
}

func TestATreeThatLiesWritesNothingWhereItShouldNot(t *testing.T) {
	const file, setuid, device, link = "81a4", "89ed", "61b0", "a1ff"
	for name, rows := range map[string][]string{
		"climbs":             {file + " 4 ./../evil"},
		"climbs in between":  {file + " 4 ./a/../../evil"},
		"absolute":           {file + " 4 .//evil"},
		"the directory":      {file + " 4 ./."},
		"twins":              {file + " 4 ./good", file + " 4 ./GOOD"},
		"twice":              {file + " 4 ./good", file + " 4 ./good"},
		"more than there is": {file + " 4611686018427387904 ./good"},
		"a negative size":    {file + " -4 ./good"},
		"no row":             {"good"},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			to := filepath.Join(above, "to")
			_, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "tree", line: instead(rows...)}, ".", to, Options{})
			require.Error(t, err)
			assert.Equal(t, map[string]string{"to/": ""}, contents(t, above))
		})
	}
	for name, rows := range map[string][]string{"below a file": {file + " 4 ./good", file + " 4 ./good/evil"}, "our own directory": {file + " 4 ./.runctl-part-1/good"}} {
		t.Run(name, func(t *testing.T) { // the rest may arrive; what is left out is said
			to := t.TempDir()
			out, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "tree", line: instead(rows...)}, ".", to, Options{})
			assert.True(t, err != nil || out.Skipped.Count+out.Changed.Count > 0)
			for got := range contents(t, to) {
				assert.Equal(t, "good", got)
			}
		})
	}
	t.Run("setuid", func(t *testing.T) {
		to := t.TempDir()
		_, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "tree", line: instead(setuid + " 4 ./good")}, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"good": "*fine"}, contents(t, to), "of a mode only executable is taken over")
	})
	for name, mode := range map[string]string{"a device": device, "a link": link} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			out, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "tree", line: instead(mode + " 4 ./good")}, ".", to, Options{})
			require.NoError(t, err)
			assert.Equal(t, []string{"good"}, out.Skipped.First)
			assert.Empty(t, contents(t, to))
		})
	}
}

func TestATreeOfTenMillionEndsAtTheBound(t *testing.T) {
	sent := 0
	m := liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "tree", line: func(line string, w io.Writer) error {
		if !strings.HasSuffix(line, " ./good\n") {
			_, err := io.WriteString(w, line)
			return err
		}
		for ; sent < 10_000_000; sent++ {
			if _, err := io.WriteString(w, "81a4 0 ./"+strconv.Itoa(sent)+"\n"); err != nil {
				return err
			}
		}
		return nil
	}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	to := t.TempDir()
	_, err := pull(t, m, ".", to, Options{})
	runtime.ReadMemStats(&after)
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	assert.True(t, refused.Limit)
	assert.Less(t, sent, 1_000_000, "the call was ended")
	assert.Empty(t, contents(t, to))
	t.Logf("%d rows were sent, %d MiB more heap", sent, int64(after.HeapSys-before.HeapSys)>>20)
	assert.Less(t, int64(after.HeapSys)-int64(before.HeapSys), int64(64<<20))
}

// tarOf is an archive of one entry.
func tarOf(h tar.Header, content string) func(io.Writer) error {
	return func(w io.Writer) error {
		tw := tar.NewWriter(w)
		if h.Size == 0 {
			h.Size = int64(len(content))
		}
		if err := tw.WriteHeader(&h); err != nil {
			return err
		}
		_, _ = io.WriteString(tw, content)
		_ = tw.Close()
		return nil
	}
}

func TestAStreamThatLiesWritesNothingWhereItShouldNot(t *testing.T) {
	for name, raw := range map[string]func(io.Writer) error{
		"another name": tarOf(tar.Header{Name: "./evil", Mode: 0o644}, "evil"),
		"climbs":       tarOf(tar.Header{Name: "../evil", Mode: 0o644}, "evil"),
		"absolute":     tarOf(tar.Header{Name: "/evil", Mode: 0o644}, "evil"),
		"a link out":   tarOf(tar.Header{Name: "./good", Typeflag: tar.TypeSymlink, Linkname: "../evil"}, ""),
		"a device":     tarOf(tar.Header{Name: "./good", Typeflag: tar.TypeBlock, Devmajor: 8}, ""),
		"more bytes":   tarOf(tar.Header{Name: "./good", Mode: 0o644}, strings.Repeat("x", 100_000)),
		"other bytes":  tarOf(tar.Header{Name: "./good", Mode: 0o644}, "evil"),
		"cut":          tarOf(tar.Header{Name: "./good", Mode: 0o644, Size: 4}, "f"),
		"sparse bomb":  func(w io.Writer) error { _, err := w.Write(sparseBomb()); return err },
		"no archive":   func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("nonsense", 1000)); return err },
		"zeros for ever": func(w io.Writer) error {
			for zero := make([]byte, 1<<20); ; {
				if _, err := w.Write(zero); err != nil {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			to := filepath.Join(above, "to")
			out, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "get", raw: raw}, ".", to, Options{hurry: true})
			assert.True(t, err != nil || out.Changed.Count > 0, "it is not passed for a whole download")
			for _, evil := range []string{filepath.Join(above, "evil"), filepath.Join(to, "evil"), filepath.Join(to, "good"), "/evil"} {
				_, err := os.Lstat(evil)
				assert.ErrorIs(t, err, os.ErrNotExist, evil)
			}
		})
	}
}

// sparseBomb is a stream of a few blocks whose one file is 64 MiB of holes.
func sparseBomb() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./good", Size: 512, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{
		"XNU.sparse.major": "1", "XNU.sparse.minor": "0", "XNU.sparse.name": "./good", "XNU.sparse.realsize": "67108864"}})
	block := make([]byte, 512)
	copy(block, "1\n67108864\n0\n") // one empty piece at the end
	_, _ = w.Write(block)
	_ = w.Close()
	return bytes.ReplaceAll(b.Bytes(), []byte("XNU.sparse"), []byte("GNU.sparse"))
}

// FuzzDownload has a machine send any bytes for the one file it has, to a directory with links that lead out of it.
func FuzzDownload(f *testing.F) {
	for _, entries := range [][]tar.Header{
		{{Name: "./good", Mode: 0o6777}},
		{{Name: "../escape"}},
		{{Name: "/escape"}},
		{{Name: "a/../../escape"}},
		{{Typeflag: tar.TypeSymlink, Name: "./good", Linkname: ".."}, {Name: "./good/escape"}},
		{{Typeflag: tar.TypeLink, Name: "./good", Linkname: "../outside"}, {Name: "./good"}},
		{{Typeflag: tar.TypeChar, Name: "./good", Devmajor: 1, Devminor: 3}},
		{{Typeflag: tar.TypeDir, Name: ".."}},
		{{Name: "inner"}},
		{{Name: "outer/escape"}},
	} {
		var b bytes.Buffer
		for _, h := range entries {
			_ = tarOf(h, "fine")(&b)
		}
		f.Add(b.Bytes())
	}
	f.Add(sparseBomb())
	f.Fuzz(func(t *testing.T, stream []byte) {
		outside := t.TempDir()
		inside := filepath.Join(outside, "in")
		require.NoError(t, os.Mkdir(inside, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "outside"), []byte("untouched"), 0o644))
		require.NoError(t, os.Symlink("..", filepath.Join(inside, "outer")))
		require.NoError(t, os.Symlink("../outside", filepath.Join(inside, "inner")))
		root, err := os.OpenRoot(inside)
		require.NoError(t, err)
		defer root.Close()
		link := linkTo(liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "get",
			raw: func(w io.Writer) error { _, err := w.Write(stream); return err }})
		link.Again = func(_ context.Context, err error, _ int) error { return err }
		_, _ = Download(t.Context(), link, ".", root, Options{hurry: true})
		require.NoError(t, os.Remove(filepath.Join(inside, "outer")))
		require.NoError(t, os.Remove(filepath.Join(inside, "inner")))
		begun, err := filepath.Glob(filepath.Join(inside, partPrefix+"*"))
		require.NoError(t, err)
		for _, dir := range begun {
			require.NoError(t, os.RemoveAll(dir))
		}
		for name, text := range contents(t, outside) { // which wants plain files of plain modes
			switch name {
			case "in/":
			case "outside":
				require.Equal(t, "untouched", text)
			case "in/good":
				require.Equal(t, "fine", strings.TrimPrefix(text, "*"))
			default:
				t.Fatalf("%q was written", name)
			}
		}
	})
}

// FuzzUnpack reads any bytes as archives: no panic, and never more content than there are bytes.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	_ = tarOf(tar.Header{Name: "./good", Mode: 0o644}, "fine")(&b)
	f.Add(b.Bytes())
	f.Add(append(b.Bytes(), b.Bytes()...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		_ = unpack(bytes.NewReader(stream), func(h *tar.Header, content io.Reader) error {
			if h.Size > 1<<20 {
				return errLong
			}
			_, err := io.Copy(io.Discard, content)
			return err
		})
	})
}
