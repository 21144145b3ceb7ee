//go:build linux

package runpod

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// eventually waits for something real.
func eventually(t *testing.T, cond func() bool, what string) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 5*time.Millisecond, what)
}

// newHost is a face whose containers are processes.
func newHost(t *testing.T, opt Options) *client {
	opt.Key, opt.Real = key, &Real{Dir: enginetest.Dir(t), Env: []string{"COLOR=blue"}, Grace: 300 * time.Millisecond}
	f := New(opt)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	t.Cleanup(f.Close)
	return &client{t: t, face: f, key: key, agent: "test/1", http: &http.Client{Transport: to(srv.URL)}}
}

// to sends everything to one server.
type to string

func (u to) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(string(u), "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// script is a launch whose container runs a shell script.
func script(s string) string {
	args := fmt.Sprintf(`{"entrypoint":["/bin/sh","-c"],"cmd":[%q]}`, s)
	return strings.Replace(good, `"image"`, fmt.Sprintf(`"args":%q,"image"`, args), 1)
}

// lines are what the containers have printed.
func (c *client) lines(id string) []string {
	var all []string
	c.face.with(id, func(p *pod, _ time.Time) {
		for _, e := range p.log.entries {
			if e.Source == "container" {
				all = append(all, e.Line)
			}
		}
	})
	return all
}

func (c *client) said(id, line string) {
	c.t.Helper()
	eventually(c.t, func() bool { return strings.Contains(strings.Join(c.lines(id), "\n"), line) }, line)
}

func TestAContainerIsAProcessWithItsOwnDiskAndThePodsEnvironmentAlone(t *testing.T) {
	t.Setenv("LEAKED", "yes")
	c := newHost(t, Options{})
	p := c.create(script(`pwd; env; echo err >&2; touch here; sleep 1000`))
	c.said(p.ID, "err")
	text := strings.Join(c.lines(p.ID), "\n")
	assert.Contains(t, text, "A=b")
	assert.Contains(t, text, "COLOR=blue")
	assert.Contains(t, text, "RUNPOD_POD_ID="+p.ID)
	assert.Contains(t, text, "RUNPOD_API_KEY="+c.face.PodKey(p.ID))
	assert.NotContains(t, text, "LEAKED")
	assert.NotContains(t, text, key)
	assert.True(t, strings.HasPrefix(text, c.face.opt.Real.Dir), "its disk")
	c.clean()
}

func TestTheHostStartsWhatReturnsOnAFreshDiskAndKeepsTheVolume(t *testing.T) {
	c := newHost(t, Options{})
	vol := filepath.Join(t.TempDir(), "workspace")
	id := c.face.AddVolume("US-KS-2")
	p := c.create(strings.Replace(script(`ls; echo x >> `+vol+`/n; touch here; echo run $(wc -l < `+vol+`/n); exit 3`),
		`"image"`, fmt.Sprintf(`"mounts":{"network":[{"volumeId":%q,"path":%q}]},"image"`, id, vol), 1))
	c.said(p.ID, "run 3")
	assert.NotContains(t, c.lines(p.ID), "here")
	assert.Equal(t, "RUNNING", c.status(p.ID), "whatever it returns with")
	assert.GreaterOrEqual(t, c.face.Starts(p.ID), 3)
	c.clean()
}

func TestAStopAsksAndThenKillsAllOfIt(t *testing.T) {
	c := newHost(t, Options{})
	polite := c.create(script(`trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.1; done`))
	deaf := c.create(script(`trap : TERM; setsid sh -c 'trap : TERM; while :; do sleep 0.1; done' & echo up; while :; do sleep 0.1; done`))
	c.said(polite.ID, "up")
	c.said(deaf.ID, "up")
	b := c.face.pods[1].box
	for _, id := range []string{polite.ID, deaf.ID} {
		assert.Equal(t, "RUNNING", c.pod(c.do("POST", "/v2/pods/"+id+"/action", `{"action":"stop"}`)).Status, "it takes its time")
		eventually(t, func() bool { return c.status(id) == "EXITED" }, "stopped")
	}
	c.said(polite.ID, "bye")
	assert.Empty(t, b.Processes(), "whatever session it is in")
	assert.Equal(t, 200, c.do("POST", "/v2/pods/"+polite.ID+"/action", `{"action":"start"}`).StatusCode)
	eventually(t, func() bool { return c.face.Starts(polite.ID) == 2 }, "started again")
	c.clean()
}

func TestADeletionKillsAndSoDoTheHostAndTheKernel(t *testing.T) {
	c := newHost(t, Options{})
	p := c.create(script(`trap 'echo never' TERM; echo up; (exec sleep 4321) & wait $!; echo code $?; while :; do sleep 0.1; done`))
	c.said(p.ID, "up")
	eventually(t, func() bool { return c.face.Kill(p.ID, "sleep 4321") == 1 }, "the job is out of memory")
	c.said(p.ID, "code 137")
	b := c.face.pods[0].box
	c.face.StopByPlatform(p.ID)
	eventually(t, func() bool { return c.status(p.ID) == "EXITED" }, "stopped")
	assert.NotContains(t, c.lines(p.ID), "never", "no signal before the end")
	c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"start"}`)
	eventually(t, func() bool { return c.face.Starts(p.ID) == 2 }, "started again")
	b2 := c.face.pods[0].box
	assert.Equal(t, 204, c.do("DELETE", "/v2/pods/"+p.ID, "").StatusCode)
	<-b2.Done()
	assert.Empty(t, b.Processes())
	assert.NotContains(t, c.lines(p.ID), "never")
	c.clean()
}

func TestAPodStopsItselfWithItsOwnKey(t *testing.T) {
	c := newHost(t, Options{})
	srv := httptest.NewServer(c.face)
	t.Cleanup(srv.Close)
	p := c.create(script(`printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" | curl -sS -K - -H 'Content-Type: application/json' -d '{"action":"stop"}' ` +
		srv.URL + `/v2/pods/$RUNPOD_POD_ID/action; sleep 1000`))
	eventually(t, func() bool { return c.status(p.ID) == "EXITED" }, "stopped")
	c.clean()
}

func TestACommandThatIsNotThereIsOnlySeenInTheHostsLines(t *testing.T) {
	c := newHost(t, Options{})
	p := c.create(strings.Replace(good, `"image"`, `"args":"/no/such/command","image"`, 1))
	eventually(t, func() bool { return c.face.Starts(p.ID) > 2 }, "again and again")
	assert.Equal(t, "RUNNING", c.status(p.ID))
	got, err := c.follow("/v2/pods/"+p.ID+"/logs?source=system&tail=5", "", 3, 10*time.Second)
	require.NoError(t, err)
	assert.Contains(t, strings.Join(texts(got), "\n"), "error starting container")
}

func TestAFaceThatIsClosedLeavesNothingBehindAndStartsNothing(t *testing.T) {
	c := newHost(t, Options{RestartDelay: 100 * time.Millisecond})
	returns, stays := c.create(script(`exit 0`)), c.create(script(`echo up; setsid sleep 1000 & sleep 1000`))
	c.said(stays.ID, "up")
	eventually(t, func() (between bool) {
		c.face.with(returns.ID, func(p *pod, _ time.Time) { between = p.starts > 2 && p.box == nil })
		return between
	}, "between two starts")
	b := c.face.pods[1].box
	c.face.Close()
	starts := c.face.Starts(returns.ID)
	<-time.After(400 * time.Millisecond) // four times the pause between two starts
	assert.Equal(t, starts, c.face.Starts(returns.ID))
	assert.Empty(t, b.Processes())
}
