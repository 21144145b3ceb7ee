//go:build unix

package carry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

// shelf is a store of objects by path, behind addresses with a query that must be there.
type shelf struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]string
	fail    int // so many requests yet are cut in the middle
}

func newShelf(t *testing.T, objects map[string]string) *shelf {
	s := &shelf{objects: objects}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.RawQuery != "X-Amz-Signature=c0ffee&a=%5B1%5D" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	cut := s.fail > 0
	if cut {
		s.fail--
	}
	switch text, ok := s.objects[r.URL.Path]; {
	case r.Method == "PUT":
		body, err := io.ReadAll(r.Body)
		if cut || err != nil || r.ContentLength != int64(len(body)) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		s.objects[r.URL.Path] = string(body)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != `"v1"`:
		w.WriteHeader(http.StatusPreconditionFailed)
	case cut:
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = io.WriteString(w, text[:len(text)/2])
	default:
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}
}

func (s *shelf) url(path string) string { return s.URL + path + "?X-Amz-Signature=c0ffee&a=%5B1%5D" }

func (s *shelf) object(path string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.objects[path]
	return text, ok
}

// tools is a PATH with a shell's usual company, and of those that fetch only the ones named.
func tools(t *testing.T, fetchers ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"sh", "rm", "mv", "cp", "mkdir", "cat", "wc", "tr", "tar", "dirname", "sleep", "sed", "env", "true", "ls", "kill", "head", "ps"}, fetchers...) {
		at, err := exec.LookPath(name)
		if name == "python3" { // what PATH has may be a script that looks for it in its turn
			out, found := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
			at, err = strings.TrimSpace(string(out)), found
		}
		require.NoError(t, err, name)
		require.NoError(t, execfile.Write(filepath.Join(dir, name), "#!/bin/sh\necho \"$*\" >>"+dir+"/args\nexec "+at+" \"$@\"\n"))
	}
	return dir
}

// job is one job with what is carried for it, in a directory of its own.
type job struct {
	shell          []string // empty: sh
	path           string
	fetch, deliver []Row
	env            []string
	argv           []string
	user           int // whose the directories are; 0: ours

	dir, log string
}

func (j *job) run(t *testing.T) int {
	t.Helper()
	j.dir = t.TempDir()
	for _, d := range []string{"work", "outputs", "checkpoints"} {
		require.NoError(t, os.Mkdir(filepath.Join(j.dir, d), 0o755))
		if j.user != 0 {
			require.NoError(t, os.Chown(filepath.Join(j.dir, d), j.user, j.user))
		}
	}
	argv, rows, err := Command(j.argv, j.fetch, j.deliver)
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(argv, " "), "c0ffee", "no address is an argument")
	if len(j.shell) > 0 {
		argv = append(j.shell[:len(j.shell):len(j.shell)], argv[1:]...)
	} else {
		argv[0] = "/bin/sh"
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = filepath.Join(j.dir, "work")
	cmd.Env = append([]string{"PATH=" + j.path, Env + "=" + rows, "RUNCTL_OUTPUT_DIR=" + j.dir + "/outputs", "RUNCTL_CHECKPOINT_DIR=" + j.dir + "/checkpoints"}, j.env...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err = cmd.Run()
	j.log = log.String()
	assert.NotContains(t, j.log, "c0ffee")
	if args, err := os.ReadFile(filepath.Join(strings.Split(j.path, ":")[0], "args")); assert.NoError(t, err) {
		assert.NotContains(t, string(args), "c0ffee", "no address is an argument of any program")
	}
	require.NoFileExists(t, filepath.Join(j.dir, ".runctl-carry"))
	require.NoFileExists(t, filepath.Join(j.dir, "work", ".runctl-carry"))
	if err == nil {
		return 0
	}
	var code *exec.ExitError
	require.ErrorAs(t, err, &code, "%s", j.log)
	return code.ExitCode()
}

// tarOf is a tar with one file.
func tarOf(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	out, err := exec.Command("tar", "-cf", "-", "-C", dir, ".").Output()
	require.NoError(t, err)
	return string(out)
}

// inTar is a file of a tar's.
func inTar(t *testing.T, text, name string) string {
	t.Helper()
	cmd := exec.Command("tar", "-xOf", "-", name)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

func TestEveryShellAndEveryToolCarries(t *testing.T) {
	for _, shell := range [][]string{{"dash"}, {"bash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		for _, tool := range []string{"curl", "python3", "wget"} {
			t.Run(strings.Join(shell, " ")+" and "+tool, func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(shell[0]); err != nil {
					t.Skip("needs " + shell[0])
				}
				at, err := exec.LookPath(shell[0])
				require.NoError(t, err)
				s := newShelf(t, map[string]string{"/in": "input", "/tree": tarOf(t, "a/b", "in a tree"), "/ckpt": tarOf(t, "latest", "step-7")})
				j := &job{shell: append([]string{at}, shell[1:]...), path: tools(t, tool),
					fetch: []Row{{File, "deep/er/f", 5, `"v1"`, s.url("/in")}, {Tree, "t", -1, "", s.url("/tree")}, {Resume, "the checkpoint", -1, "", s.url("/ckpt")}},
					deliver: []Row{{Result, "run", 0, "", s.url("/run")}, {Result, ".", 0, "", s.url("/all")}, {Checkpoint, "the checkpoint", 0, "", s.url("/ckpt")},
						{Result, "o", 0, "", s.url("/o")}},
					env: []string{"url=mine", "rows=mine", "tmp=mine", "what=mine"},
					argv: []string{"sh", "-c", `cat deep/er/f t/a/b "$RUNCTL_RESUME/latest" && echo " $url $rows $tmp $what $1" && env | sed 's/=.*//' >names &&
						echo result >run && echo out >"$RUNCTL_OUTPUT_DIR/o" && cd "$RUNCTL_CHECKPOINT_DIR" && mkdir step-8 && echo state >step-8/s && echo step-8 >latest`, "sh", "an argument"}}
				require.Equal(t, 0, j.run(t), "%s", j.log)
				assert.Equal(t, "inputin a treestep-7 mine mine mine mine an argument\n", j.log)
				run, _ := s.object("/run")
				assert.Equal(t, "result\n", run)
				all, _ := s.object("/all")
				assert.Equal(t, "out\n", inTar(t, all, "./o"))
				o, _ := s.object("/o")
				assert.Equal(t, "out\n", o)
				ckpt, _ := s.object("/ckpt")
				assert.Equal(t, "step-8\n", inTar(t, ckpt, "latest"))
				assert.Equal(t, "state\n", inTar(t, ckpt, "step-8/s"))
				names, err := os.ReadFile(filepath.Join(j.dir, "work", "names"))
				require.NoError(t, err)
				assert.NotContains(t, string(names), "_RUNCTL", "the job gets no address")
			})
		}
	}
}

func TestAnEndHasTheJobsCodeAndAFailedCarryItsOwn(t *testing.T) {
	t.Parallel()
	s := newShelf(t, map[string]string{"/in": "input"})
	path := tools(t, "curl")
	put := []Row{{Result, "r", 0, "", s.url("/r")}}
	for name, c := range map[string]struct {
		j    job
		code int
		says string
	}{
		"the job's success":                {job{argv: []string{"sh", "-c", "echo x >r"}, deliver: put}, 0, ""},
		"the job's failure":                {job{argv: []string{"sh", "-c", "echo x >r; exit 3"}, deliver: put}, 3, ""},
		"a failure without its result":     {job{argv: []string{"sh", "-c", "exit 3"}, deliver: put}, 3, "r was not delivered: it is not there"},
		"a success without its result":     {job{argv: []string{"true"}, deliver: put}, Failed, "r was not delivered: it is not there"},
		"a job that a signal ended":        {job{argv: []string{"sh", "-c", "echo x >r; kill -9 $$"}, deliver: put}, 137, ""},
		"no such program":                  {job{argv: []string{"nothing-of-that-name"}}, 127, ""},
		"a program with a function's name": {job{argv: []string{"deliver"}}, 127, ""},
		"an input that is not there":       {job{argv: []string{"sh", "-c", "echo ran"}, fetch: []Row{{File, "f", -1, "", s.url("/no")}}}, Failed, "f was not fetched: the store refused it"},
		"an input that has changed":        {job{argv: []string{"sh", "-c", "echo ran"}, fetch: []Row{{File, "f", -1, `"v0"`, s.url("/in")}}}, Failed, "f was not fetched: the store refused it"},
		"an input of another size":         {job{argv: []string{"sh", "-c", "echo ran"}, fetch: []Row{{File, "f", 6, "", s.url("/in")}}}, Failed, "other than the 6 bytes"},
		"a tree that is none":              {job{argv: []string{"sh", "-c", "echo ran"}, fetch: []Row{{Tree, "f", -1, "", s.url("/in")}}}, Failed, "cannot be put in its place"},
		"an address that no longer holds":  {job{argv: []string{"sh", "-c", "echo x >r"}, deliver: []Row{{Result, "r", 0, "", s.URL + "/r?X-Amz-Signature=old-c0ffee"}}}, Failed, "the store refused it"},
		"nothing to fetch with":            {job{path: tools(t), argv: []string{"sh", "-c", "echo ran"}, fetch: []Row{{File, "f", -1, "", s.url("/in")}}}, Failed, "neither curl, python3 nor wget"},
		"no checkpoint to be delivered":    {job{argv: []string{"true"}, deliver: []Row{{Checkpoint, "the checkpoint", 0, "", s.url("/c")}}}, 0, ""},
		"a checkpoint that climbs out":     {job{argv: []string{"sh", "-c", `echo ../../x >"$RUNCTL_CHECKPOINT_DIR/latest"`}, deliver: []Row{{Checkpoint, "the checkpoint", 0, "", s.url("/c")}}}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := c.j
			if j.path == "" {
				j.path = path
			}
			assert.Equal(t, c.code, j.run(t), "%s", j.log)
			assert.Contains(t, j.log, c.says)
			if c.says != "" && len(j.fetch) > 0 {
				assert.NotContains(t, j.log, "ran")
			}
		})
	}
	_, ok := s.object("/c")
	assert.False(t, ok)
}

// TestAShellThatTracesShowsNoAddress has a machine whose environment tells shells to trace, as SHELLOPTS does to bash.
func TestAShellThatTracesShowsNoAddress(t *testing.T) {
	t.Parallel()
	at, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash: apt-get install bash")
	}
	s := newShelf(t, map[string]string{"/in": "input"})
	j := &job{shell: []string{at}, path: tools(t, "curl"), env: []string{"SHELLOPTS=xtrace:verbose"}, argv: []string{"cp", "f", "g"},
		fetch: []Row{{File, "f", 5, "", s.url("/in")}}, deliver: []Row{{Result, "g", 0, "", s.url("/out")}}}
	require.Equal(t, 0, j.run(t), "%s", j.log)
	assert.Contains(t, j.log, "set +vx", "it did trace")
	out, _ := s.object("/out")
	assert.Equal(t, "input", out)
}

// TestAJobOfAnotherUserCarriesToo has a supervisor who is root, and a job that is not: only its own directories are the job's.
func TestAJobOfAnotherUserCarriesToo(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv: apt-get install util-linux")
	}
	s := newShelf(t, map[string]string{"/in": "input", "/ckpt": tarOf(t, "latest", "step-7")})
	const nobody = 65534
	path := tools(t, "curl")
	require.NoError(t, os.WriteFile(filepath.Join(path, "args"), nil, 0o600))
	require.NoError(t, os.Chown(filepath.Join(path, "args"), nobody, nobody))
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	j := &job{user: nobody, shell: []string{setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/bin/sh"}, path: path,
		argv:    []string{"sh", "-c", `cat in "$RUNCTL_RESUME/latest" >out; echo 8 >"$RUNCTL_CHECKPOINT_DIR/step-8"; echo step-8 >"$RUNCTL_CHECKPOINT_DIR/latest"`},
		fetch:   []Row{{File, "in", 5, "", s.url("/in")}, {Resume, "the checkpoint", -1, "", s.url("/ckpt")}},
		deliver: []Row{{Result, "out", 0, "", s.url("/out")}, {Checkpoint, "the checkpoint", 0, "", s.url("/ckpt")}}}
	require.Equal(t, 0, j.run(t), "%s", j.log)
	out, _ := s.object("/out")
	assert.Equal(t, "inputstep-7", out)
	ckpt, _ := s.object("/ckpt")
	assert.Equal(t, "step-8\n", inTar(t, ckpt, "latest"))
}

func TestWhatIsCutIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "python3", "wget"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, map[string]string{"/in": strings.Repeat("0123456789", 100)})
			s.fail = 1
			j := &job{path: tools(t, tool), argv: []string{"cp", "f", "g"}, fetch: []Row{{File, "f", 1000, "", s.url("/in")}}, deliver: []Row{{Result, "g", 0, "", s.url("/out")}}}
			require.Equal(t, 0, j.run(t), "%s", j.log)
			out, _ := s.object("/out")
			assert.Equal(t, s.objects["/in"], out)
		})
	}
}

func TestAnAskedEndLeavesItsResults(t *testing.T) {
	t.Parallel()
	s := newShelf(t, map[string]string{})
	j := &job{path: tools(t, "curl"), deliver: []Row{{Result, "r", 0, "", s.url("/r")}},
		argv: []string{"sh", "-c", `trap 'echo saved >r; exit 7' TERM; kill -s TERM 0; sleep 5 & wait`}}
	// the group is the job's alone, as a supervisor makes it
	j.shell = []string{"/usr/bin/env", "setsid", "-w", "sh"}
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("needs setsid: apt-get install util-linux")
	}
	j.path += ":" + os.Getenv("PATH")
	require.Equal(t, 7, j.run(t), "%s", j.log)
	r, _ := s.object("/r")
	assert.Equal(t, "saved\n", r)
}

func TestWhatTheRowsCannotHoldIsRefused(t *testing.T) {
	for name, r := range map[string]Row{
		"a newline in a path":   {Result, "a\nb", 0, "", "http://x/"},
		"a newline in an ETag":  {File, "a", 0, "v\n1", "http://x/"},
		"a quote in an address": {File, "a", 0, "", `http://x/"`},
		"no address":            {File, "a", 0, "", ""},
	} {
		_, _, err := Command([]string{"true"}, []Row{r}, nil)
		assert.Error(t, err, name)
		_, _, err = Command([]string{"true"}, nil, []Row{r})
		assert.Error(t, err, name)
	}
	_, _, err := Command([]string{"true"}, make([]Row, Max+1), nil)
	assert.Error(t, err)
}
