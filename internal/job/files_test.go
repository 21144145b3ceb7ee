package job

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed is a tree as text, sorted: "name size perm", "name/" for directories, "?name" for what is neither or odd.
func listed(t *testing.T, m Machine, run, place, path string) (all []string, info TreeInfo) {
	t.Helper()
	info, err := Tree(t.Context(), m, run, place, path, func(e Entry) error {
		switch e.Kind {
		case EntryFile:
			all = append(all, fmt.Sprintf("%s %d %o", e.Name, e.Size, e.Perm))
		case EntryDir:
			all = append(all, e.Name+"/")
		default:
			all = append(all, "?"+e.Name)
		}
		return nil
	})
	require.NoError(t, err, path)
	slices.Sort(all)
	return all, info
}

// fetched is what Get brings of the names.
func fetched(t *testing.T, m Machine, run, place string, zip bool, names ...string) map[string]string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Get(t.Context(), m, run, place, zip, names, &b))
	var r io.Reader = &b
	if zip {
		z, err := gzip.NewReader(&b)
		require.NoError(t, err)
		r = z
	}
	got := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return got
		}
		require.NoError(t, err)
		content, err := io.ReadAll(tr)
		require.NoError(t, err)
		got[h.Name] = string(content)
	}
}

// tarOf is a tar of files, and of directories where a name ends in a slash.
func tarOf(t *testing.T, files map[string]string) *bytes.Buffer {
	t.Helper()
	return bytes.NewBufferString(tarText(files))
}

func tarText(files map[string]string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Mode: 0o644, Size: int64(len(files[name]))}
		if strings.HasSuffix(name, "/") {
			h = &tar.Header{Typeflag: tar.TypeDir, Name: "./" + name, Mode: 0o755}
		}
		_ = w.WriteHeader(h)
		_, _ = io.WriteString(w, files[name])
	}
	_ = w.Close()
	return b.String()
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func reads(b []byte) func() io.Reader { return func() io.Reader { return bytes.NewReader(b) } }

const oddNames = `cd ../outputs; mkdir -p 'a b/c' e; for n in 'a b/c/it'"'"'s' 'q"x' ünï ' lead' 'trail ' -n '$(id)' '*'; do echo x >"$n"; done; ` +
	`chmod +x ünï; ln -s /etc/passwd link; mkfifo fifo; printf y >'a\b'; printf z >"$(printf 'n\nl')"; mkdir "$(printf 'd\tir')"; echo w >"$(printf 'd\tir')/in"`

func TestATreeHasEveryNameAndSaysWhatItCannotCarry(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", oddNames))
		done(t, m, "r")
		all, info := listed(t, m, "r", PlaceAny, ".")
		assert.Equal(t, []string{" lead 2 644", "$(id) 2 644", "* 2 644", "-n 2 644", "./", "?a\\b", "?d?ir", "?fifo", "?link", "?n?l", "a b/", "a b/c/",
			"a b/c/it's 2 644", "e/", "q\"x 2 644", "trail  2 644", "ünï 2 755"}, withTabs(all))
		assert.Equal(t, PlaceOutputs, info.Place)
		assert.True(t, info.Gzip)
		assert.Positive(t, info.Trip)
		assert.Less(t, info.Trip, knockLimit)
		names := []string{" lead", "$(id)", "*", "-n", "a b/c/it's", "q\"x", "trail ", "ünï"}
		got := map[string]string{}
		require.NoError(t, Sums(t.Context(), m, "r", PlaceOutputs, append(names, "missing"), func(name string, sum [32]byte) error {
			got[name] = fmt.Sprintf("%x", sum)
			return nil
		}))
		assert.Len(t, got, len(names))
		for _, zip := range []bool{false, true} {
			files := fetched(t, m, "r", PlaceOutputs, zip, append(names, "missing")...)
			for _, n := range names {
				assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte("x\n"))), got[n], n)
				assert.Equal(t, "x\n", files["./"+n], n)
			}
		}
		all, _ = listed(t, m, "r", PlaceOutputs, "a b/c/")
		assert.Equal(t, []string{"a b/c/", "a b/c/it's 2 644"}, all)
	})
}

// withTabs makes one of a tab and a question mark, as which some tr show it.
func withTabs(all []string) []string {
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "\t", "?")
	}
	slices.Sort(all)
	return all
}

func TestFilesAreThoseOfTheRunOnly(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", `mkdir -p model; echo w >model/weights; echo o >../outputs/only; ln -s / out; ln -s model link; echo d >-dash`))
		done(t, m, "r")
		for path, want := range map[string][]string{"model": {"model/", "model/weights 2 644"}, "model/": {"model/", "model/weights 2 644"},
			"model/weights": {"model/weights 2 644"}, "link/weights": {"link/weights 2 644"}, "only": {"only 2 644"}, "-dash": {"-dash 2 644"}, "out": {"?out"}} {
			all, info := listed(t, m, "r", PlaceAny, path)
			assert.Equal(t, want, all)
			assert.Equal(t, path == "only", info.Place == PlaceOutputs)
		}
		none := func(Entry) error { return nil }
		var refused *Refused
		for _, path := range []string{"out/etc/passwd", "missing", "out/etc"} {
			_, err := Tree(t.Context(), m, "r", PlaceAny, path, none)
			require.ErrorAs(t, err, &refused, path)
			assert.Equal(t, RefusedNotFound, refused.Code)
		}
		var field *FieldError
		for _, path := range []string{"", "/etc/passwd", "../ctl/exit", "a/../../x", ".."} {
			_, err := Tree(t.Context(), m, "r", PlaceAny, path, none)
			require.ErrorAs(t, err, &field, path)
		}
		_, err := Tree(t.Context(), m, "nobody", PlaceAny, "x", none)
		assert.ErrorIs(t, err, ErrNoRun)
	})
}

func TestATailBeginsAtItsByte(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", `printf 0123456789 >'../outputs/a b'`))
		done(t, m, "r")
		for _, zip := range []bool{false, true} {
			for offset := range int64(12) {
				var b bytes.Buffer
				require.NoError(t, Tail(t.Context(), m, "r", PlaceOutputs, "a b", zip, offset, &b))
				var r io.Reader = &b
				if zip {
					z, err := gzip.NewReader(&b)
					require.NoError(t, err)
					r = z
				}
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				assert.Equal(t, "0123456789"[min(offset, 10):], string(got))
			}
		}
		var refused *Refused
		require.ErrorAs(t, Tail(t.Context(), m, "r", PlaceOutputs, "b", false, 0, io.Discard), &refused)
	})
}

func TestWhatIsPutWaitsUntilItIsMoved(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		start(t, m, sh("r", `mkdir old; echo old >old/f; echo keep >old/keep; read x <`+gate+`; cat old/f old/keep "new dir/x y" top`))
		content := tarOf(t, map[string]string{"old/f": "new\n", "new dir/x y": "deep\n", "new dir/sub/": "", "top": "t\n"}).Bytes()
		work := filepath.Join(m.root, "run/r/job/work")
		for _, zip := range []bool{false, true} {
			packed := content
			if zip {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_, _ = z.Write(content)
				require.NoError(t, z.Close())
				packed = b.Bytes()
			}
			said, err := Put(t.Context(), m, "r", "abc0", zip, reads(packed))
			require.NoError(t, err)
			assert.Empty(t, said)
		}
		_, err := os.Stat(filepath.Join(work, "top"))
		require.ErrorIs(t, err, os.ErrNotExist)
		all, _ := listed(t, m, "r", Waiting("abc0"), ".")
		assert.Equal(t, []string{"./", "new dir/", "new dir/sub/", "new dir/x y 5 644", "old/", "old/f 4 644", "top 2 644"}, all)
		said, err := Put(t.Context(), m, "r", "abc1", false, reads(content[:1026]))
		require.NoError(t, err)
		assert.NotEmpty(t, said, "a cut tar is told")

		require.NoError(t, Move(t.Context(), m, "r", "abc0"))
		tell(t, gate, "go")
		done(t, m, "r")
		assert.Equal(t, "new\nkeep\ndeep\nt\n", text(t, m, "r"))
		assert.DirExists(t, filepath.Join(work, "new dir/sub"))
		_, err = os.Stat(filepath.Join(m.root, "run/r/put.abc0"))
		require.ErrorIs(t, err, os.ErrNotExist)
		var refused *Refused
		_, err = Put(t.Context(), m, "r", "abc0", false, reads(content))
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, RefusedOver, refused.Code)
		require.ErrorAs(t, Move(t.Context(), m, "r", "abc1"), &refused)
	})
}

func TestNothingIsPutThroughALinkOrOverAnotherKind(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate, outside := fifo(t), t.TempDir()
		start(t, m, sh("r", `ln -s `+outside+` out; mkdir real dir; ln -s real in; ln -s nowhere broken; echo f >file; echo ready; read x <`+gate))
		for _, c := range []struct {
			files map[string]string
			fails string
		}{{map[string]string{"out/evil": "x"}, "leads out"}, {map[string]string{"file/x": "x"}, "file"}, {map[string]string{"broken/x": "x"}, "broken"},
			{map[string]string{"dir": "x"}, "dir"}, {map[string]string{"in/good": "x"}, ""}, {map[string]string{"out": "a file now"}, "out"}} {
			token := hexOf(fmt.Sprint(c.files))
			_, err := Put(t.Context(), m, "r", token, false, reads(tarOf(t, c.files).Bytes()))
			require.NoError(t, err)
			err = Move(t.Context(), m, "r", token)
			if c.fails == "" {
				require.NoError(t, err)
				continue
			}
			var refused *Refused
			if sortedKeys(c.files)[0] == "out" { // a file may take the place of a link, or not: never what it leads to
				continue
			}
			require.ErrorAs(t, err, &refused, c.files)
			assert.Contains(t, refused.Reason, c.fails)
		}
		left, err := os.ReadDir(outside)
		require.NoError(t, err)
		for _, f := range left {
			assert.Equal(t, "out", f.Name(), "only where the shell's mv takes a link to a directory for it")
		}
		assert.FileExists(t, filepath.Join(m.root, "run/r/job/work/real/good"))
		tell(t, gate, "go")
		done(t, m, "r")
	})
}

func TestAPatchGoesOnWhereAFileWasCut(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		start(t, m, sh("r", `read x <`+gate))
		whole := bytes.Repeat([]byte("0123456789abcdef"), 3*PatchUnit/16+5)
		_, err := Put(t.Context(), m, "r", "aa", false, reads(tarOf(t, map[string]string{"f x": string(whole[:2*PatchUnit+77])}).Bytes()))
		require.NoError(t, err)
		_, err = Patch(t.Context(), m, "r", "aa", "f x", false, 2*PatchUnit, 0o755, reads(whole[2*PatchUnit:]))
		require.NoError(t, err)
		require.NoError(t, Move(t.Context(), m, "r", "aa"))
		got, err := os.ReadFile(filepath.Join(m.root, "run/r/job/work/f x"))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(whole, got))
		info, err := os.Stat(filepath.Join(m.root, "run/r/job/work/f x"))
		require.NoError(t, err)
		assert.EqualValues(t, 0o755, info.Mode().Perm())
		tell(t, gate, "go")
		done(t, m, "r")
	})
}

func TestAJobInPlaceTakesNoFiles(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		s := sh("r", `read x <`+gate)
		s.Dir = t.TempDir()
		start(t, m, s)
		var refused *Refused
		_, err := Put(t.Context(), m, "r", "aa", false, reads(nil))
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, RefusedOver, refused.Code)
		tell(t, gate, "go")
		done(t, m, "r")
	})
}
