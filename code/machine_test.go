package code

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/job"
)

// shellMachine runs argument lists on this computer, with the shell under test as its sh and a root of its own.
type shellMachine struct {
	root string
	env  []string
	bin  string

	mu   sync.Mutex
	in   int64                     // bytes that codeput read
	puts int                       // calls of codeput
	wrap func(io.Reader) io.Reader // of a codeput's stdin; nil: none
}

var _ runctl.Machine = (*shellMachine)(nil)

func (m *shellMachine) Close() error { return nil }

func (m *shellMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	verb := ""
	if len(argv) > 4 {
		verb = argv[4]
	}
	m.mu.Lock()
	var broken error
	if verb == "codeput" {
		m.puts++
		if m.wrap != nil {
			stdin = m.wrap(stdin)
		}
		stdin = &tap{m: m, r: stdin, broken: &broken}
	}
	m.mu.Unlock()
	cmd := exec.CommandContext(ctx, filepath.Join(m.bin, argv[0]), argv[1:]...)
	cmd.Args[0], cmd.Env = argv[0], m.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case broken != nil:
		return 0, broken
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}

// tap counts what a machine reads, and keeps why its stdin broke: what the command says then is of no interest.
type tap struct {
	m      *shellMachine
	r      io.Reader
	broken *error
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.in += int64(n)
	if err != nil && err != io.EOF {
		*t.broken = err
		err = io.EOF // as the shell's end of a cut connection sees it
	}
	return n, err
}

// taken returns how many bytes were sent since it was last asked.
func (m *shellMachine) taken() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.in
	m.in = 0
	return n
}

// shells are the machines under test: what their sh is, whether there is nothing but its own tools, and which tools
// are missing.
var shells = []struct {
	name, program string
	only          bool
	without       []string
}{
	{name: "dash", program: "dash"},
	{name: "bash", program: "bash", without: []string{"zstd"}},
	{name: "busybox", program: "busybox", only: true},
}

func newMachine(t testing.TB, shell int) *shellMachine {
	t.Helper()
	s := shells[shell]
	program, err := exec.LookPath(s.program)
	if err != nil {
		t.Skipf("no %s here", s.program)
	}
	m := &shellMachine{root: filepath.Join(space(t), "root with spaces"), bin: t.TempDir()}
	if s.only {
		list, err := exec.Command(program, "--list").Output()
		require.NoError(t, err)
		for _, name := range strings.Fields(string(list)) {
			require.NoError(t, os.Symlink(program, filepath.Join(m.bin, name)))
		}
	} else {
		for _, dir := range []string{"/bin", "/usr/bin"} { // a PATH of links, so that tools can be missing
			list, _ := os.ReadDir(dir)
			for _, d := range list {
				_ = os.Symlink(filepath.Join(dir, d.Name()), filepath.Join(m.bin, d.Name())) // the first one stays
			}
		}
		_ = os.Remove(filepath.Join(m.bin, "sh"))
		require.NoError(t, os.Symlink(program, filepath.Join(m.bin, "sh")))
	}
	for _, name := range s.without {
		require.NoError(t, os.Remove(filepath.Join(m.bin, name)))
	}
	m.env = []string{"PATH=" + m.bin, "HOME=" + t.TempDir(), "RUNCTL_ROOT=" + m.root}
	return m
}

// space is a directory of the test's, in memory where there is such a place: tests here make many files.
func space(t testing.TB) string {
	t.Helper()
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "runctl-code-test-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// onEveryShell runs the test on a fresh machine of each kind.
func onEveryShell(t *testing.T, test func(t *testing.T, m *shellMachine)) {
	t.Helper()
	t.Parallel()
	for i, s := range shells {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, newMachine(t, i))
		})
	}
}

// files is a tree by path: a content, or one that begins with "-> " for a link; "#!" makes it executable.
type files map[string]string

// write makes the files below dir.
func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range f {
		put(t, dir, name, content)
	}
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		require.NoError(t, os.Symlink(target, path))
		return
	}
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	require.NoError(t, os.Chmod(path, mode))
}

// filesOf reads them back; an executable's content without "#!" gets a mark in front.
func filesOf(t testing.TB, dir string) files {
	t.Helper()
	got := files{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			got[rel] = "-> " + target
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&0o100 != 0 != bytes.HasPrefix(b, []byte("#!")) {
			b = append([]byte("mode is wrong: "), b...)
		}
		got[rel] = string(b)
		return err
	}))
	return got
}

func dir(t testing.TB, path string, o Options) *Tree {
	t.Helper()
	tree, err := Dir(path, o)
	require.NoError(t, err)
	return tree
}

// treeOn returns the files of a tree as the machine has it.
func treeOn(t testing.TB, m *shellMachine, digest string) files {
	t.Helper()
	return filesOf(t, filepath.Join(m.root, "code", "d."+digest, "t"))
}

const waitLong = time.Minute

// runOn starts a script in a copy of the code, and returns its log once it has ended with code 0.
func runOn(t testing.TB, m job.Machine, name, digest, script string) (string, error) {
	t.Helper()
	err := job.Start(t.Context(), m, job.Spec{Run: name, Digest: "d", Argv: []string{"sh", "-c", script}, Code: digest, Shared: true})
	if err != nil {
		return "", err
	}
	s, err := job.Wait(t.Context(), m, name, waitLong)
	require.NoError(t, err)
	require.Equal(t, job.PhaseDone, s.Phase)
	assert.Zero(t, s.Receipt.Code)
	var log bytes.Buffer
	_, err = job.Log(t.Context(), m, name, 0, false, &log)
	require.NoError(t, err)
	return log.String(), nil
}
