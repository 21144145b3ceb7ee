package job

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// listens has the machine's guard ask there for the cloud's notice.
func (m *shellMachine) listens(t *testing.T, url string) {
	t.Helper()
	m.withSteps(t, map[string]string{"10-off": ""})
	require.NoError(t, os.Symlink(url, filepath.Join(m.root, "guard", "imds")))
	require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: time.Hour}))
}

// heard waits until the machine says that of the cloud's notice.
func heard(t *testing.T, m Machine, word string) {
	t.Helper()
	last := ""
	require.Eventually(t, func() bool {
		h, err := Greet(t.Context(), m)
		last = h.Notice
		return err == nil && last == word
	}, patience, 200*time.Millisecond, "not %s", word)
}

// training commits a checkpoint when it is asked to end.
const training = `trap 'echo 41 >"$RUNCTL_CHECKPOINT_DIR/step-41"; echo step-41 >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 0' TERM; while :; do sleep 1; done`

// imds is a metadata service of version 2 that answers after a token with a status and a body.
type imds struct {
	token, action atomic.Pointer[[2]any]
}

func (s *imds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := s.action.Load()
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		answer = s.token.Load()
	case r.Header.Get("X-aws-ec2-metadata-token") != "AQAEAtoken==" || r.URL.Path != "/latest/meta-data/spot/instance-action":
		answer = &[2]any{401, "Unauthorized"}
	}
	w.WriteHeader(answer[0].(int))
	_, _ = fmt.Fprint(w, answer[1])
}

func newIMDS(t *testing.T) (*imds, string) {
	s := &imds{}
	s.token.Store(&[2]any{200, "AQAEAtoken=="})
	s.action.Store(&[2]any{404, "<?xml version=\"1.0\"?>\n<html>404 - Not Found</html>"})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

var notice = &[2]any{200, `{"action": "terminate", "time": "2026-11-23T14:05:00Z"}`}

func TestWhenTheCloudTakesTheMachineBackACheckpointIsCommittedAndAnotherMachineGoesOnFromIt(t *testing.T) {
	ofTheScript(t)
	t.Parallel()
	m := hostMachine(t)
	ready := fifo(t)
	start(t, m, sh("train", strings.Replace(training, "while", "echo up >"+ready+"; while", 1)))
	hear(t, ready)
	m.listens(t, enginetest.SpotNotice(t, 2*time.Second))
	got := done(t, m, "train")
	assert.Equal(t, []any{"preempted", 0, "step-41", EndTerm}, []any{got.Cause, got.Code, got.Checkpoint, got.End})
	heard(t, m, "taken")
	refusedWith(t, RefusedBusy, Start(t.Context(), m, sh("late", "echo never")))

	next := m.another(t)
	kept := filepath.Join(m.root, "run", "train", "job", "checkpoints")
	s := sh("again", `cat "$RUNCTL_RESUME/$(cat "$RUNCTL_RESUME/latest")"; echo "attempt $RUNCTL_ATTEMPT"`)
	s.Attempt, s.Resume = 2, kept
	start(t, next, s)
	assert.Equal(t, "exit", done(t, next, "again").Cause)
	assert.Equal(t, "41\nattempt 2\n", text(t, next, "again"))
}

func TestOnlyA404IsNoNoticeAndWhateverElseIsAnErrorThatTheMachineTells(t *testing.T) {
	ofTheScript(t)
	t.Parallel()
	for name, row := range map[string]struct{ token, action *[2]any }{
		"401 for the notice":       {nil, &[2]any{401, "Unauthorized"}},
		"401 for the token":        {&[2]any{401, "Unauthorized"}, nil},
		"404 for the token":        {&[2]any{404, "Not Found"}, nil},
		"a page in its place":      {nil, &[2]any{200, "<html>log in</html>"}},
		"a page instead of tokens": {&[2]any{200, "<html>log in</html>"}, nil},
		"an error of its own":      {nil, &[2]any{500, `{"action": "terminate"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := hostMachine(t)
			service, url := newIMDS(t)
			good := [2]*[2]any{service.token.Load(), service.action.Load()}
			if row.token != nil {
				service.token.Store(row.token)
			}
			if row.action != nil {
				service.action.Store(row.action)
			}
			m.listens(t, url)
			start(t, m, sh("train", training))
			heard(t, m, "deaf")
			s, err := Inspect(t.Context(), m, "train")
			require.NoError(t, err)
			assert.Equal(t, PhaseRunning, s.Phase, "it is no notice either")
			service.token.Store(good[0])
			service.action.Store(good[1])
			heard(t, m, "watched")
			service.action.Store(notice)
			assert.Equal(t, "preempted", done(t, m, "train").Cause)
		})
	}
}

func TestTheNoticeIsHeardByWhateverToolTheMachineHas(t *testing.T) {
	ofTheScript(t)
	for _, tool := range []string{"curl", "python3", "wget"} {
		t.Run(tool, func(t *testing.T) {
			path, err := exec.LookPath(tool)
			if err != nil {
				t.Skip("needs " + tool + ": apt-get install " + tool)
			}
			if tool == "python3" { // what PATH has may be a shim that needs more than itself
				out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
				require.NoError(t, err)
				path = strings.TrimSpace(string(out))
			}
			onEveryLinux(t, func(t *testing.T, m *shellMachine) {
				dir, _, _ := strings.Cut(strings.TrimPrefix(m.env[0], "PATH="), ":")
				for _, other := range []string{"curl", "python3", "wget"} {
					_ = os.Remove(filepath.Join(dir, other)) // busybox has a wget of its own
					if other == tool {
						require.NoError(t, os.Symlink(path, filepath.Join(dir, other)))
					}
				}
				if !strings.Contains(m.env[0], ":") {
					m.env[0] = "PATH=" + dir
				} else {
					m.env[0] = "PATH=" + dir + ":" + without(t, "curl", "python3", "wget")
				}
				service, url := newIMDS(t)
				m.listens(t, url)
				start(t, m, sh("train", training))
				heard(t, m, "watched")
				service.action.Store(notice)
				assert.Equal(t, "preempted", done(t, m, "train").Cause)
			})
		})
	}
}

// without is a directory with the programs of /usr/bin and /bin, but for some.
func without(t *testing.T, some ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"/bin", "/usr/bin"} {
		all, err := os.ReadDir(from)
		require.NoError(t, err)
		for _, f := range all {
			_ = os.Symlink(filepath.Join(from, f.Name()), filepath.Join(dir, f.Name()))
		}
	}
	for _, name := range some {
		_ = os.Remove(filepath.Join(dir, name))
	}
	return dir
}

// hostMachine is a machine with this computer's own shell.
func hostMachine(t *testing.T) *shellMachine {
	t.Helper()
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	m := &shellMachine{root: enginetest.Dir(t)}
	m.env = []string{"PATH=" + filepath.Dir(sh) + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "RUNCTL_ROOT=" + m.root, "LC_ALL=C"}
	t.Cleanup(func() { m.killEverything(t) })
	return m
}
