//go:build linux

package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
)

// TestMain lets the test binary be another process that launches.
func TestMain(m *testing.M) {
	if dir := os.Getenv("RUNCTL_LOCAL_TEST_LAUNCH"); dir != "" {
		os.Exit(launchOnce(dir))
	}
	os.Exit(m.Run())
}

// launchOnce launches when its stdin ends, and prints the instance.
func launchOnce(dir string) int {
	p, err := New(Config{Dir: dir})
	if err == nil {
		_, _ = io.Copy(io.Discard, os.Stdin)
		var i runctl.Instance
		if i, err = p.Launch(context.Background(), request("shared")); err == nil {
			fmt.Println(i.ID, i.Label, i.State, i.Launched.UnixNano())
			return 0
		}
	}
	fmt.Println(err)
	return 1
}

// newProvider is a provider with a state directory of its own that does not exist yet.
func newProvider(t *testing.T) *Provider {
	p, err := New(Config{Dir: filepath.Join(enginetest.Dir(t), "state")})
	require.NoError(t, err)
	return p
}

func request(token string) runctl.LaunchRequest {
	return runctl.LaunchRequest{Label: "rc1-me-" + token + "-x", Token: token, Offer: runctl.Offer{ID: OfferID}, Lifetime: time.Hour}
}

func launch(t *testing.T, p *Provider, token string) runctl.Instance {
	i, err := p.Launch(t.Context(), request(token))
	require.NoError(t, err)
	return i
}

// at makes the provider's clock stand still at the given time.
func at(p *Provider, when time.Time) { p.now = func() time.Time { return when } }

// pidOn reads one line from r, which holds a process id.
func pidOn(t *testing.T, r io.Reader) int {
	var line []byte
	for b := make([]byte, 1); len(line) == 0 || line[len(line)-1] != '\n'; line = append(line, b[0]) {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line)))
	require.NoError(t, err)
	return pid
}

// alive reports whether the process runs, and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	return !strings.HasPrefix(rest, " Z") && !strings.HasPrefix(rest, " X")
}

// endProcess ends a process that a test left running; a flooding one ends by itself with its pipe.
func endProcess(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

func TestSettingsComeThroughGetAlone(t *testing.T) {
	t.Setenv("RUNCTL_STATE_DIR", "/not/through/get")
	for want, env := range map[string]map[string]string{
		"/r/local":                     {"RUNCTL_STATE_DIR": "/r", "XDG_STATE_HOME": "/x", "HOME": "/h"},
		"/x/runctl/local":              {"XDG_STATE_HOME": "/x", "HOME": "/h"},
		"/h/.local/state/runctl/local": {"XDG_STATE_HOME": "relative", "HOME": "/h"},
	} {
		p, err := Factory.Open(t.Context(), func(k string) string { return env[k] })
		require.NoError(t, err)
		assert.Equal(t, want, p.(*Provider).dir)
	}
	_, err := Factory.Open(t.Context(), func(string) string { return "" })
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.ErrorContains(t, err, "RUNCTL_STATE_DIR")

	p, err := New(Config{Name: "desk"})
	require.NoError(t, err)
	assert.Equal(t, "/not/through/get/local", p.dir)
	assert.Equal(t, "desk", p.Info().Name)
	assert.Equal(t, "local", p.Info().Kind)
}

func TestALaunchedInstanceIsListedAtOnceAndOnlyOursCanReadIt(t *testing.T) {
	p := newProvider(t)
	none, err := p.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	assert.Empty(t, none)

	i := launch(t, p, "a")
	assert.Equal(t, runctl.StateRunning, i.State)
	assert.Equal(t, "rc1-me-a-x", i.Label)
	assert.WithinDuration(t, time.Now(), i.Launched, time.Minute)
	assert.GreaterOrEqual(t, i.Age(), time.Duration(0))
	launch(t, p, "b")
	all, err := p.List(t.Context(), runctl.ListQuery{Owner: "me"})
	require.NoError(t, err)
	assert.Len(t, all, 2)
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	assert.Equal(t, i.Launched, got.Launched)

	require.NoError(t, filepath.Walk(p.dir, func(path string, fi os.FileInfo, err error) error {
		assert.NoError(t, err)
		assert.Zero(t, fi.Mode()&0o077, path)
		return nil
	}))
}

func TestTheSameTokenIsTheSameInstance(t *testing.T) {
	p := newProvider(t)
	i, again := launch(t, p, "a"), launch(t, p, "a")
	assert.Equal(t, i.ID, again.ID)
	assert.Equal(t, i.Launched, again.Launched)

	other := request("a")
	other.Label = "rc1-me-other-x"
	_, err := p.Launch(t.Context(), other)
	assert.ErrorIs(t, err, runctl.ErrConflict)
	assertNotStarted(t, err)
}

func TestProcessesThatLaunchOneTokenAtOnceGetOneInstance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var outs []*bufio.Scanner
	var gates []io.Closer
	for range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "RUNCTL_LOCAL_TEST_LAUNCH="+dir)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { assert.NoError(t, cmd.Wait()) })
		outs, gates = append(outs, bufio.NewScanner(out)), append(gates, in)
	}
	for _, g := range gates {
		require.NoError(t, g.Close())
	}
	seen := map[string]bool{}
	for _, o := range outs {
		require.True(t, o.Scan())
		seen[o.Text()] = true
	}
	assert.Len(t, seen, 1, "%v", seen)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "and nothing else is left behind")
}

func assertNotStarted(t *testing.T, err error) {
	var e *runctl.Error
	if assert.ErrorAs(t, err, &e) {
		assert.True(t, e.NotStarted)
	}
}

func TestARequestThatCannotWorkStartsNothing(t *testing.T) {
	p := newProvider(t)
	for name, spoil := range map[string]func(*runctl.LaunchRequest){
		"offer":    func(r *runctl.LaunchRequest) { r.Offer.ID = "p5.48xlarge" },
		"job":      func(r *runctl.LaunchRequest) { r.Job = &runctl.Job{Args: []string{"true"}} },
		"image":    func(r *runctl.LaunchRequest) { r.Image = "ubuntu" },
		"lifetime": func(r *runctl.LaunchRequest) { r.Lifetime = 0 },
		"keep":     func(r *runctl.LaunchRequest) { r.Keep = -1 },
		"token":    func(r *runctl.LaunchRequest) { r.Token = "" },
		"label":    func(r *runctl.LaunchRequest) { r.Label = "" },
	} {
		t.Run(name, func(t *testing.T) {
			req := request("a")
			spoil(&req)
			_, err := p.Launch(t.Context(), req)
			require.Error(t, err)
			assertNotStarted(t, err)
			assert.NoDirExists(t, p.dir)
		})
	}
	req := request("a")
	req.Job = &runctl.Job{}
	_, err := p.Launch(t.Context(), req)
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	assert.ErrorContains(t, err, "job road")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Launch(ctx, request("a"))
	assert.ErrorIs(t, err, context.Canceled)
	assertNotStarted(t, err)
}

func TestAnUnknownIDIsNotFoundAndNeverAPath(t *testing.T) {
	p := newProvider(t)
	launch(t, p, "a")
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "x"), 0o700))
	for _, id := range []string{"", ".", "..", "x", "l-", "l-aaaaaaaaaa", "l-../aaaaaa", "../state", "l-AAAAAAAAAA", idOf("a") + "/."} {
		_, err := p.Get(t.Context(), id)
		assert.ErrorIs(t, err, runctl.ErrNotFound, id)
		assert.ErrorIs(t, p.Terminate(t.Context(), id), runctl.ErrNotFound, id)
		_, err = p.Connect(t.Context(), runctl.Instance{ID: id}, runctl.Access{})
		assert.ErrorIs(t, err, runctl.ErrNotFound, id)
	}
}

func TestARecordThatCannotBeTrustedFailsTheList(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir, file string){
		"missing": func(t *testing.T, _, file string) { require.NoError(t, os.Remove(file)) },
		"empty":   func(t *testing.T, _, file string) { require.NoError(t, os.Truncate(file, 0)) },
		"torn":    func(t *testing.T, _, file string) { require.NoError(t, os.Truncate(file, 60)) },
		"foreign": rewrite(`runctl-local-instance`, `somebody-else`),
		"newer":   rewrite(`"version":1`, `"version":2`),
		"moved":   rewrite(`"id":"l-`, `"id":"l-x`),
		"trailed": rewrite("}\n", "}{}\n"),
		"link": func(t *testing.T, _, file string) {
			require.NoError(t, os.Rename(file, file+"2"))
			require.NoError(t, os.Symlink(file+"2", file))
		},
		"linked directory": func(t *testing.T, dir, _ string) {
			require.NoError(t, os.Rename(dir, dir+"2"))
			require.NoError(t, os.Symlink(dir+"2", dir))
		},
		"pipe": func(t *testing.T, _, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, syscall.Mkfifo(file, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			dir := p.path(launch(t, p, "a").ID)
			file := filepath.Join(dir, recordFile)
			launch(t, p, "b")
			spoil(t, dir, file)
			all, err := p.List(t.Context(), runctl.ListQuery{})
			require.Error(t, err)
			assert.Empty(t, all, "all or nothing")
			assert.NotErrorIs(t, err, runctl.ErrNotFound)
			assert.ErrorContains(t, err, file)
			assert.ErrorContains(t, err, "remove the directory "+dir)
			_, err = p.Get(t.Context(), filepath.Base(dir))
			assert.Error(t, err)
			assert.NotErrorIs(t, err, runctl.ErrNotFound)
			_, err = p.Launch(t.Context(), request("a"))
			assert.Error(t, err, "a launch neither replaces it nor passes it by")
		})
	}
}

func rewrite(from, to string) func(*testing.T, string, string) {
	return func(t *testing.T, _, file string) {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(b), from)
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(b), from, to, 1)), 0o600))
	}
}
