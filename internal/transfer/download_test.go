package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// linkTo is a link over one machine that tries again at once, and gives up after twenty failures in a row.
func linkTo(m job.Machine) Link {
	return Link{Run: "r", Do: func(ctx context.Context, f func(context.Context, job.Machine) error) error { return f(ctx, m) },
		Again: func(ctx context.Context, err error, failed int) error {
			var refused *job.Refused
			if failed >= 20 || errors.As(err, &refused) || errors.Is(err, job.ErrNoRun) {
				return err
			}
			return ctx.Err()
		}}
}

func pull(t testing.TB, m job.Machine, from, to string, o Options) (Outcome, error) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o755))
	root, err := os.OpenRoot(to)
	require.NoError(t, err)
	defer root.Close()
	return Download(t.Context(), linkTo(m), from, root, o)
}

// contents is what lies below a directory: names, and of files a mark for executable and what is in them.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		name, _ := filepath.Rel(dir, path)
		switch {
		case name == ".":
		case d.IsDir():
			all[name+"/"] = ""
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			info, err := d.Info()
			require.NoError(t, err)
			text := string(b)
			if len(text) > 64 {
				text = fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
			}
			if info.Mode()&0o111 != 0 {
				text = "*" + text
			}
			require.Contains(t, []fs.FileMode{0o644, 0o755}, info.Mode(), name)
			all[name] = text
		default:
			all[name] = d.Type().String()
		}
		return nil
	}))
	return all
}

func TestATreeArrivesAsItIs(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `cd ../outputs; mkdir -p 'a b/c' empty/er deep; printf 1 >"a b/it's"; printf 2 >'a b/c/q"x'; printf 3 >ünï; printf '' >none; printf 4 >-n; printf 5 >'$(id)'; `+
			`printf '#!' >tool; chmod 6755 tool; d=deep; for i in 1 2 3 4 5 6 7 8 9; do d=$d/$i; mkdir $d; echo $i >$d/f; done; ln tool twice; ln tool thrice; `+
			`head -c 3000000 /dev/urandom >big`)
		big, err := os.ReadFile(filepath.Join(m.outputs(), "big"))
		require.NoError(t, err)
		to := t.TempDir()
		var last Progress
		out, err := pull(t, m, ".", to, Options{Progress: func(p Progress) {
			assert.GreaterOrEqual(t, p.Bytes, last.Bytes)
			assert.GreaterOrEqual(t, p.Files, last.Files)
			last = p
		}})
		require.NoError(t, err)
		assert.Zero(t, out)
		want := map[string]string{"a b/": "", "a b/c/": "", "empty/": "", "empty/er/": "", "deep/": "", "a b/it's": "1", "a b/c/q\"x": "2", "ünï": "3", "none": "", "-n": "4",
			"$(id)": "5", "tool": "*#!", "twice": "*#!", "thrice": "*#!", "big": fmt.Sprintf("%d bytes %x", len(big), sha256.Sum256(big))}
		for d, i := "deep", 1; i < 10; i++ {
			d += fmt.Sprint("/", i)
			want[d+"/"], want[d+"/f"] = "", fmt.Sprintln(i)
		}
		assert.Equal(t, want, contents(t, to))
		assert.Equal(t, Progress{Files: 19, TotalFiles: 19, Bytes: last.TotalBytes, TotalBytes: last.TotalBytes}, last)

		counted := &counter{Machine: m}
		_, err = pull(t, counted, ".", to, Options{})
		require.NoError(t, err)
		assert.Less(t, counted.out.Load(), int64(20_000), "what is there is not sent again")
		require.NoError(t, os.WriteFile(filepath.Join(to, "tool"), []byte("!#"), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(to, "big"), 0o755))
		_, err = pull(t, m, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, contents(t, to), "content and mode are seen to")
	})
}

// counter counts what goes over the line.
type counter struct {
	job.Machine
	out   atomic.Int64
	execs atomic.Int32
}

func (c *counter) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	c.execs.Add(1)
	return c.Machine.Exec(ctx, argv, stdin, writerFunc(func(b []byte) (int, error) { c.out.Add(int64(len(b))); return stdout.Write(b) }), stderr)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestTenThousandSmallFiles(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `mkdir ../outputs/a ../outputs/b`)
		for i := range 5000 {
			for _, name := range []string{"a/file-with-a-name-%d", "b/%d some name"} {
				require.NoError(t, os.WriteFile(filepath.Join(m.outputs(), fmt.Sprintf(name, i)), fmt.Appendln(nil, i), 0o644))
			}
		}
		to := t.TempDir()
		t0 := time.Now()
		counted := &counter{Machine: m}
		_, err := pull(t, counted, ".", to, Options{})
		require.NoError(t, err)
		t.Logf("10,000 files in %s, %d calls", time.Since(t0), counted.execs.Load())
		assert.LessOrEqual(t, counted.execs.Load(), int32(3))
		all := contents(t, to)
		assert.Len(t, all, 10_002)
		assert.Equal(t, "4321\n", all["b/4321 some name"])
		t0, counted = time.Now(), &counter{Machine: m}
		_, err = push(t, counted, to, ".", Options{As: "back"})
		require.NoError(t, err)
		t.Logf("and back in %s, %d calls", time.Since(t0), counted.execs.Load())
		assert.LessOrEqual(t, counted.execs.Load(), int32(5))
		assert.Len(t, contents(t, m.work()), 10_003)
	})
}

func TestWhereAPathGoes(t *testing.T) {
	m := emulated(t, map[string]string{"out/a": "1", "out/b/c": "2"})
	for _, c := range []struct {
		from, as string
		want     []string
	}{{"out", "", []string{"out/", "out/a", "out/b/", "out/b/c"}}, {"out/a", "", []string{"out/", "out/a"}}, {"out/a", "x", []string{"x"}}, {"out/a", "y/x", []string{"y/", "y/x"}},
		{"out", ".", []string{"a", "b/", "b/c"}}, {"out", "n", []string{"n/", "n/a", "n/b/", "n/b/c"}}, {".", "", []string{"out/", "out/a", "out/b/", "out/b/c"}},
		{".", "n", []string{"n/", "n/out/", "n/out/a", "n/out/b/", "n/out/b/c"}}, {"out/a", ".", []string{"a"}}, {"out/b/", "", []string{"out/", "out/b/", "out/b/c"}}} {
		to := t.TempDir()
		_, err := pull(t, m, c.from, to, Options{As: c.as})
		require.NoError(t, err)
		var got []string
		for name := range contents(t, to) {
			got = append(got, name)
		}
		slices.Sort(got)
		assert.Equal(t, c.want, got, "%s as %q", c.from, c.as)
	}
}

// emulated is an emulated machine with a run that has these files as its outputs, and goes on.
func emulated(t testing.TB, files map[string]string) *job.Emulator {
	e := job.NewEmulator(func(job.Spec) job.Script { return job.Script{Hold: true, Outputs: files} })
	require.NoError(t, e.Start(job.Spec{Run: "r", Digest: "d", Argv: []string{"x"}}))
	return e
}

func TestLinksDevicesAndOddNamesAreLeftOutAndNamed(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `cd ../outputs; echo x >a; ln -s a link; ln -s /etc out; mkfifo fifo; printf y >'b\s'; printf z >"$(printf 'n\nl')"; mkdir .runctl-part-x; echo 1 >.runctl-part-x/f; echo y >z`)
		to := t.TempDir()
		out, err := pull(t, m, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"a": "x\n", "z": "y\n"}, contents(t, to))
		slices.Sort(out.Skipped.First)
		assert.Equal(t, Names{Count: 7, First: []string{".runctl-part-x", ".runctl-part-x/f", "b\\s", "fifo", "link", "n?l", "out"}}, out.Skipped)
	})
}

// cutting loses the connection after a random number of bytes of output or input, a number of times.
type cutting struct {
	job.Machine
	rnd         *rand.Rand
	cuts        int
	least, most int64 // bytes until a cut
	verbs       []string

	mu      sync.Mutex
	out, in atomic.Int64 // bytes that went over the line
}

var errCut = errors.New("connection cut")

func (c *cutting) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	left, cuts := c.next(argv[4])
	if !cuts {
		return c.Machine.Exec(ctx, argv, c.counted(stdin), writerFunc(func(b []byte) (int, error) { c.out.Add(int64(len(b))); return stdout.Write(b) }), stderr)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	cut := func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		if left -= int64(n); left < 0 {
			cancel(errCut)
			return errCut
		}
		return nil
	}
	w := writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		keep := b[:min(int64(len(b)), max(left, 0))]
		mu.Unlock()
		c.out.Add(int64(len(keep)))
		if _, err := stdout.Write(keep); err != nil {
			return 0, err
		}
		if err := cut(len(b)); err != nil {
			return 0, err
		}
		return len(b), nil
	})
	if stdin != nil {
		stdin = &cutReader{c.counted(stdin), cut}
	}
	code, err := c.Machine.Exec(ctx, argv, stdin, w, stderr)
	if left < 0 {
		return -1, errCut
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts++ // it ended before
	return code, err
}

// next is after how many bytes a call is cut.
func (c *cutting) next(verb string) (left int64, cuts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.verbs, verb) || c.cuts == 0 {
		return 0, false
	}
	c.cuts--
	return c.least + c.rnd.Int64N(c.most-c.least), true
}

func (c *cutting) counted(r io.Reader) io.Reader {
	if r == nil {
		return nil
	}
	return readerFunc(func(b []byte) (int, error) { n, err := r.Read(b); c.in.Add(int64(n)); return n, err })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type cutReader struct {
	io.Reader
	cut func(int) error
}

func (c *cutReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b[:min(len(b), 32<<10)])
	if cut := c.cut(n); cut != nil {
		return 0, cut
	}
	return n, err
}

// seeded is a generator whose seed is in the test's log.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RUNCTL_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		require.NoError(t, err)
	}
	t.Logf("seed %d (RUNCTL_SEED)", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func TestALongFileSurvivesTwentyCuts(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `head -c 67108864 /dev/urandom >../outputs/big; echo s >../outputs/small`)
		want := contents(t, m.outputs())
		c := &cutting{Machine: m, rnd: seeded(t), cuts: 20, least: 256 << 10, most: 4 << 20, verbs: []string{"get", "tail"}}
		to := t.TempDir()
		_, err := pull(t, c, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, contents(t, to))
		assert.Zero(t, c.cuts)
		t.Logf("64 MiB, cut 20 times: %.3f of its size was sent", float64(c.out.Load())/(64<<20))
		assert.Less(t, c.out.Load(), int64(64<<20)*3/2)
	})
}

func TestCutsAnywhereLoseNothing(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `cd ../outputs; for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i; for j in 1 2 3 4 5; do head -c $((i*j*7001)) /dev/urandom >d$i/f$j; done; done`)
		want := contents(t, m.outputs())
		c := &cutting{Machine: m, rnd: seeded(t), cuts: 30, least: 0, most: 300 << 10, verbs: []string{"tree", "sums", "get", "tail"}}
		to := t.TempDir()
		_, err := pull(t, c, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, contents(t, to))
	})
}

func TestADownloadGoesOnWhereAKilledOneStopped(t *testing.T) {
	m := newShell(t, lookDash(t))
	m.begin(t, `head -c 33554432 /dev/urandom >../outputs/big; for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/urandom >../outputs/$i; done`)
	want := contents(t, m.outputs())
	to := t.TempDir()
	gone := &cutting{Machine: m, rnd: seeded(t), cuts: 1000, least: 20 << 20, most: 21 << 20, verbs: []string{"get", "tail"}}
	root, err := os.OpenRoot(to)
	require.NoError(t, err)
	defer root.Close()
	link := linkTo(gone)
	link.Again = func(_ context.Context, err error, _ int) error { return err } // as if the process ended with the cut
	_, err = Download(t.Context(), link, ".", root, Options{})
	require.ErrorIs(t, err, errCut)
	left, err := filepath.Glob(filepath.Join(to, partPrefix+"*"))
	require.NoError(t, err)
	require.Len(t, left, 1, "what came is kept")
	c := &counter{Machine: m}
	_, err = pull(t, c, ".", to, Options{})
	require.NoError(t, err)
	assert.Equal(t, want, contents(t, to))
	assert.Less(t, c.out.Load(), int64(16<<20), "only the rest is sent")
}

func lookDash(t testing.TB) string {
	t.Helper()
	return "/bin/sh"
}

func TestAFileThatChangesAllTheTimeIsNamedAndTheRestArrives(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		m.begin(t, `cd ../outputs; echo x >a; echo y >z; echo 0 >grows`)
		c := &changing{Machine: m, verb: "get", do: func() {
			f, err := os.OpenFile(filepath.Join(m.outputs(), "grows"), os.O_APPEND|os.O_WRONLY, 0)
			if assert.NoError(t, err) {
				_, _ = f.WriteString("more\n")
				assert.NoError(t, f.Close())
			}
		}}
		to := t.TempDir()
		out, err := pull(t, c, ".", to, Options{})
		require.NoError(t, err)
		assert.Equal(t, Names{Count: 1, First: []string{"grows"}}, out.Changed)
		assert.Equal(t, map[string]string{"a": "x\n", "z": "y\n"}, contents(t, to))
	})
}

// changing does something when a verb is called for the nth time, 0: each time.
type changing struct {
	job.Machine
	verb string
	nth  int
	do   func()

	called atomic.Int32
}

func (c *changing) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if argv[4] == c.verb {
		if n := c.called.Add(1); c.nth == 0 || c.nth == int(n) {
			c.do()
		}
	}
	return c.Machine.Exec(ctx, argv, stdin, stdout, stderr)
}

func TestAFileThatChangesOnceIsTakenAsItIsThen(t *testing.T) {
	for _, verb := range []string{"sums", "get"} {
		for what, text := range map[string]string{"longer": "now a long text\n", "shorter": "", "as long": "Y\n", "gone": "-"} {
			t.Run(verb+" "+what, func(t *testing.T) {
				t.Parallel()
				m := newShell(t, lookDash(t))
				m.begin(t, `cd ../outputs; echo x >a; echo y >b`)
				name := filepath.Join(m.outputs(), "b")
				c := &changing{Machine: m, verb: verb, nth: 1, do: func() {
					if text == "-" {
						assert.NoError(t, os.Remove(name))
					} else {
						assert.NoError(t, os.WriteFile(name, []byte(text), 0o644))
					}
				}}
				to := t.TempDir()
				out, err := pull(t, c, ".", to, Options{})
				require.NoError(t, err)
				want := map[string]string{"a": "x\n", "b": text}
				if text == "-" {
					delete(want, "b")
					assert.Equal(t, []string{"b"}, out.Changed.First)
				} else {
					assert.Zero(t, out)
				}
				assert.Equal(t, want, contents(t, to))
			})
		}
	}
}

func TestADownloadRefusesWhatHasNoPlaceHere(t *testing.T) {
	m := emulated(t, map[string]string{"d/f": "1", "e": "2"})
	to := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(to, "e"), 0o755))
	_, err := pull(t, m, ".", to, Options{})
	require.ErrorContains(t, err, `"e" is a directory here and a file there`)
	require.NoError(t, os.Remove(filepath.Join(to, "e")))
	require.NoError(t, os.WriteFile(filepath.Join(to, "d"), nil, 0o644))
	_, err = pull(t, m, ".", to, Options{})
	require.ErrorContains(t, err, `"d" is a file here and a directory there`)
	assert.Equal(t, map[string]string{"d": ""}, contents(t, to))
	_, err = pull(t, m, "nothing", to, Options{})
	require.ErrorContains(t, err, "no such file or directory")
}

func TestBoundsHoldBeforeAByteIsWritten(t *testing.T) {
	m := emulated(t, map[string]string{"a": strings.Repeat("x", 1000), "b": "y"})
	for text, o := range map[string]Options{"more than 2 files and directories; allow more": {MaxFiles: 2}, "more than 1000 B in all; allow more": {MaxBytes: 1000}} {
		to := t.TempDir()
		_, err := pull(t, m, ".", to, o)
		require.ErrorContains(t, err, text)
		var refused *Refused
		require.ErrorAs(t, err, &refused)
		assert.True(t, refused.Limit)
		assert.Empty(t, contents(t, to))
	}
	to := t.TempDir()
	_, err := pull(t, m, ".", to, Options{MaxFiles: 3, MaxBytes: 1001})
	require.NoError(t, err)
	assert.Len(t, contents(t, to), 2)
}
