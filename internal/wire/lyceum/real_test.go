//go:build linux

package lyceum

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// newHost is a face whose runs are processes.
func newHost(t *testing.T) *client {
	f := New(Options{Key: key, Real: &Real{Dir: enginetest.Dir(t)}})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	t.Cleanup(f.Close)
	return &client{t: t, face: f, key: key, head: http.Header{}, http: &http.Client{Transport: to(srv.URL)}}
}

// to sends everything to one server.
type to string

func (u to) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(string(u), "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// command is a submission of a shell script.
func command(script string, timeout string) string {
	s := strings.Replace(imageRun, "exit 3", script, 1)
	return strings.Replace(s, `"timeout":60`, `"timeout":`+timeout+`,"graceful_timeout":1`, 1)
}

func (c *client) becomes(id, state string) map[string]any {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.runState(id) == state }, 30*time.Second, 5*time.Millisecond, state)
	return c.do("GET", "/execution/"+id, "").json(c.t)
}

func TestARunIsAProcessWithItsEnvironmentAlone(t *testing.T) {
	t.Setenv("LEAKED", "yes")
	c := newHost(t)
	id := c.start(command(`env; pwd; echo no end >&2; printf 'half a line'; exit 4`, "60"))
	r := c.becomes(id, "failed")
	assert.Equal(t, 4.0, r["return_code"])
	text := r["combined_output"].(string)
	for _, want := range []string{"A=b\n", "C=d=e\n", "LYCEUM_RUN=" + id, "no end\n", "half a line"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "LEAKED")
	frames, err := c.stream("POST", id)
	require.NoError(t, err)
	assert.Contains(t, strings.Join(frames, ""), "half a line")
	c.clean()
}

func TestPythonRunsWithItsFilesBesideIt(t *testing.T) {
	c := newHost(t)
	body := strings.Replace(pythonRun, `"print(1)"`, `"import aside, sys\nprint(aside.x)\nsys.exit(5)"`, 1)
	body = strings.Replace(body, `"import_files":null`, `"import_files":"{\"aside.py\":\"x = 42\"}"`, 1)
	r := c.becomes(c.start(body), "failed")
	assert.Equal(t, []any{"42\n", 5.0}, []any{r["stdout"], r["return_code"]})
	c.clean()
}

func TestARunThatTakesTooLongOrIsAbortedLeavesNothing(t *testing.T) {
	c := newHost(t)
	long := c.start(command(`setsid sleep 1000 & sleep 1000`, "1"))
	deaf := c.start(command(`trap : TERM; echo up; while :; do sleep 0.1; done`, "600"))
	polite := c.start(command(`trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.1; done`, "600"))
	gone := c.start(command(`sleep 1000`, "600"))
	none := c.start(strings.Replace(command("", "60"), `"sh","-c",""`, `"/no/such/program"`, 1))
	for _, id := range []string{deaf, polite} {
		require.Eventually(t, func() bool { return strings.Contains(c.do("GET", "/execution/"+id, "").text, "up") }, 30*time.Second, 5*time.Millisecond)
		assert.Equal(t, 200, c.do("POST", "/workloads/abort/"+id, "").StatusCode)
		c.becomes(id, "aborted")
	}
	assert.Contains(t, c.do("GET", "/execution/"+polite, "").text, "bye")
	c.face.FailRun(gone, "node lost")
	c.becomes(gone, "system_failure")
	c.becomes(long, "timeout")
	assert.Equal(t, 127.0, c.becomes(none, "failed")["return_code"])
	c.face.Close()
	for _, r := range c.face.runs {
		assert.Empty(t, r.box.Processes())
	}
	assert.Empty(t, c.face.Billing())
	c.clean()
}
