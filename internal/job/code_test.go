package job

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/manifest"
)

// tree is a small tree of code: content by path; one of a link begins with "-> ", of an executable with "#!".
type tree map[string]string

func (files tree) entries() []manifest.Entry {
	var all []manifest.Entry
	for name, content := range files {
		e := manifest.Entry{Path: name, Size: int64(len(content)), Sum: sha256.Sum256([]byte(content)), Kind: manifest.Plain}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			e = manifest.NewLink(name, target)
		} else if strings.HasPrefix(content, "#!") {
			e.Kind = manifest.Exec
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b manifest.Entry) int { return strings.Compare(a.Path, b.Path) })
	return all
}

func (files tree) digest() string { return manifest.Digest(slices.Values(files.entries())) }

// stream is the tar of a codeput. What links names is sent as a link into the source's file of that path.
func (files tree) stream(links ...string) string {
	var b, m bytes.Buffer
	var n strings.Builder
	_ = manifest.Write(&m, slices.Values(files.entries()))
	for _, e := range files.entries() {
		if e.Kind != manifest.Link && !slices.Contains(links, e.Path) {
			fmt.Fprintf(&n, "%x  ./%s\n", e.Sum, e.Path)
		}
	}
	w := tar.NewWriter(&b)
	write := func(h tar.Header, content string) {
		h.Size, h.Format = int64(len(content)), tar.FormatGNU
		_ = w.WriteHeader(&h)
		_, _ = w.Write([]byte(content))
	}
	write(tar.Header{Name: "m", Mode: 0o644}, m.String())
	write(tar.Header{Name: "n", Mode: 0o644}, n.String())
	for _, e := range files.entries() {
		switch h := (tar.Header{Name: "t/" + e.Path, Mode: 0o644}); {
		case e.Kind == manifest.Link:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
			write(h, "")
		case slices.Contains(links, e.Path):
			h.Typeflag, h.Linkname = tar.TypeLink, "b0/"+e.Path
			write(h, "")
		}
	}
	write(tar.Header{Name: "f", Mode: 0o644}, "")
	for _, e := range files.entries() {
		if h := (tar.Header{Name: "t/" + e.Path, Mode: 0o644}); e.Kind != manifest.Link && !slices.Contains(links, e.Path) {
			if e.Kind == manifest.Exec {
				h.Mode = 0o755
			}
			write(h, files[e.Path])
		}
	}
	_ = w.Close()
	return b.String()
}

var (
	oneTree = tree{"a": "one", "bin/run": "#!/bin/sh\nexit 0\n", "now": "-> bin/run", "p q/$x": "", "data": strings.Repeat("0123456789abcdef", 4096)}
	twoTree = tree{"a": "two", "bin/run": oneTree["bin/run"], "data": oneTree["data"], "d/-n": "-> ../data"}
)

// put sends a whole tree.
func put(t *testing.T, m Machine, files tree) {
	t.Helper()
	require.NoError(t, PutCode(t.Context(), m, files.digest(), "put1", FormatPlain, nil, strings.NewReader(files.stream())))
}

func ask1(t *testing.T, m Machine, digest string) CodeState {
	t.Helper()
	s, err := AskCode(t.Context(), m, digest)
	require.NoError(t, err)
	return s
}

func coded(run, code, dir string, shared bool) conversation {
	spec := string(formatSpec(Spec{Run: run, Digest: "c", Argv: []string{"sh", "-c", "exit 0"}, Code: code, Dir: dir, Shared: shared}))
	return conversation{verb: []string{"start", run, "c", fmt.Sprint(len(spec))}, stdin: spec}
}

func (c conversation) gives(want string) conversation { c.want = want; return c }

// codeTable comes after verbTable; formats but none are left open, for a machine may have zstd.
var codeTable = func() []conversation {
	one, two := oneTree.digest(), twoTree.digest()
	none := `ping\npong\ncode have=0 formats=none,gzip(,zstd)?`
	return []conversation{
		{verb: []string{"codeask", one}, stdin: "\n", want: none},
		coded("coded", one, "", false).gives(`refused code=66 text=.*` + one + `.*send it again`),
		{verb: []string{"codeput", one, "x1", "none"}, stdin: oneTree.stream()[:20<<10], want: `refused code=65 text=.+`},
		{verb: []string{"codeask", one}, stdin: "\n", want: none + `\npart id=x1`},
		{verb: []string{"codeput", one, "x2", "none", "in.x1"}, stdin: oneTree.stream("a", "bin/run"), want: `code have=1`},
		{verb: []string{"codeask", one}, stdin: "\n", want: `ping\npong\ncode have=1`},
		{verb: []string{"codeask", two}, stdin: "\n", want: none + `\ntree digest=` + one},
		{verb: []string{"codeput", two, "x3", "none", "d." + one}, stdin: oneTree.stream(), want: `refused code=65 text=.+`},
		{verb: []string{"codeput", two, "x4", "none", "d." + one}, stdin: twoTree.stream("nothing", "bin/run", "data"), want: `code have=1`},
		coded("coded", two, "e", false).gives(`refused code=66 text=no directory e in the code`),
		coded("coded", two, "d", false).gives(`started already=0`),
		{verb: []string{"wait", "coded", "30"}, want: `status run=coded phase=done .*\nreceipt .*`},
		{verb: []string{"codeask", strings.Repeat("f", 64)}, stdin: "", want: none + `\ntree digest=` + two + `\ntree digest=` + one},
		{verb: []string{"codeask", "../x"}, want: `refused code=64 text=.+`},
		{verb: []string{"codeask", strings.ToUpper(one)}, want: `refused code=64 text=.+`},
		{verb: []string{"codeput", one, "../x", "none"}, want: `refused code=64 text=.+`},
		{verb: []string{"codeput", "x", "x", "none"}, want: `refused code=64 text=.+`},
		{verb: []string{"codeput", one, "x", "rar"}, want: `refused code=64 text=.+`},
		{verb: []string{"codeput", one, "x", "none", "d.../.."}, want: `refused code=64 text=.+`},
		{verb: []string{"codetree", strings.Repeat("f", 64)}, want: `refused code=76 text=.+`},
		{verb: []string{"codepart", "nobody"}, want: `refused code=76 text=.+`},
	}
}()

// workFiles is what a run's working directory has.
func workFiles(t *testing.T, m *shellMachine, run string) tree {
	t.Helper()
	return filesOf(t, filepath.Join(m.root, "run", run, "job", "work"))
}

func filesOf(t *testing.T, dir string) tree {
	t.Helper()
	got := tree{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if d.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			got[rel] = "-> " + target
			return err
		}
		b, err := os.ReadFile(name)
		got[rel] = string(b)
		return err
	}))
	return got
}

func TestACodedRunWorksInItsOwnCopy(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ask1(t, m, oneTree.digest())
		put(t, m, oneTree)
		for i, run := range []string{"r1", "r2"} {
			s := sh(run, `cat a; ./now && echo ran; echo changed >a; echo more >>data; rm "p q/\$x"; mkdir bin/new; chmod 600 bin/run; pwd -P >../outputs/pwd`)
			s.Code, s.Shared = oneTree.digest(), true
			start(t, m, s)
			require.Zero(t, done(t, m, run).Code, i)
			assert.Equal(t, "oneran\n", text(t, m, run))
		}
		assert.Equal(t, oneTree, filesOf(t, filepath.Join(m.root, "code", "d."+oneTree.digest(), "t")), "no job touches the tree")
		got := workFiles(t, m, "r1")
		assert.Equal(t, "changed\n", got["a"])
		s := sh("in", "pwd -P")
		s.Code, s.Dir = oneTree.digest(), "p q"
		start(t, m, s)
		done(t, m, "in")
		assert.Equal(t, filepath.Join(m.root, "run/in/job/work/p q")+"\n", text(t, m, "in"))
	})
}
