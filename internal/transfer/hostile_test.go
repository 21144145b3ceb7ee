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
		"no archive":   func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("nonsense", 1000)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			to := filepath.Join(above, "to")
			out, err := pull(t, liar{Machine: emulated(t, map[string]string{"good": "fine"}), verb: "get", raw: raw}, ".", to, Options{})
			assert.True(t, err != nil || out.Changed.Count > 0, "it is not passed for a whole download")
			for _, evil := range []string{filepath.Join(above, "evil"), filepath.Join(to, "evil"), filepath.Join(to, "good"), "/evil"} {
				_, err := os.Lstat(evil)
				assert.ErrorIs(t, err, os.ErrNotExist, evil)
			}
		})
	}
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
