package runpod

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/memnet"
)

const key = "rpa_TEST"

// client talks to a face as any program would.
type client struct {
	t     *testing.T
	face  *Face
	http  *http.Client
	key   string
	agent string
}

func newClient(t *testing.T, opt Options) *client {
	opt.Key = key
	f := New(opt)
	t.Cleanup(f.Close)
	return &client{t: t, face: f, http: &http.Client{Transport: new(memnet.Net).Serve(t, "runpod.test", f)}, key: key, agent: "test/1"}
}

type reply struct {
	*http.Response
	text string
	err  error
}

func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://runpod.test"+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.agent)
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp, string(b), err}
}

// good is a launch that a correct client sends.
const good = `{"name":"rc1-a","image":"busybox:1.36","gpu":{"id":"NVIDIA GeForce RTX 4090","count":2},"cloud":"SECURE","env":{"A":"b"},"ports":["22/tcp"]}`

func (c *client) create(body string) Pod {
	c.t.Helper()
	r := c.do("POST", "/v2/pods", body)
	require.NoError(c.t, r.err)
	require.Equal(c.t, 201, r.StatusCode, r.text)
	return c.pod(r)
}

func (c *client) pod(r reply) (p Pod) {
	c.t.Helper()
	require.NoError(c.t, json.Unmarshal([]byte(r.text), &p), r.text)
	return p
}

func (c *client) status(id string) string {
	r := c.do("GET", "/v2/pods/"+id, "")
	if r.StatusCode != 200 {
		return fmt.Sprint(r.StatusCode)
	}
	return c.pod(r).Status
}

func (c *client) clean() {
	c.t.Helper()
	assert.Empty(c.t, c.face.Violations())
}

func TestTheDocumentIsTheOneWhoseSumIsWrittenDown(t *testing.T) {
	note, err := os.ReadFile("testdata/PROVENANCE.md")
	require.NoError(t, err)
	sum := sha256.Sum256(openapi)
	assert.Contains(t, string(note), hex.EncodeToString(sum[:]))
}

func TestAPodGoesThroughItsLifeAndOnlyWhatRunsCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Provisioning: 20 * time.Second, Starting: 40 * time.Second, Tombstone: time.Minute})
		p := c.create(good)
		assert.Equal(t, "PROVISIONING", p.Status)
		assert.Equal(t, 1.18, p.Cost, "the price of two")
		pass(20 * time.Second)
		assert.Equal(t, "STARTING", c.status(p.ID))
		pass(40 * time.Second)
		got := c.pod(c.do("GET", "/v2/pods/"+p.ID, ""))
		assert.Equal(t, "RUNNING", got.Status)
		require.NotNil(t, got.SSH.Direct)
		pass(time.Hour - time.Minute)
		assert.Equal(t, 3540, c.pod(c.do("GET", "/v2/pods/"+p.ID, "")).Runtime.Uptime)

		r := c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"stop"}`)
		assert.Equal(t, "EXITED", c.pod(r).Status)
		assert.Zero(t, c.pod(r).Cost)
		pass(time.Hour)
		assert.InDelta(t, 1.18, c.face.Spent(p.ID), 1e-9, "the hour that it ran")
		assert.Equal(t, []string{p.ID}, c.face.Billing(), "its disk bills")
		assert.Equal(t, 409, c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"stop"}`).StatusCode, "stopped already")

		assert.Equal(t, 204, c.do("DELETE", "/v2/pods/"+p.ID, "").StatusCode)
		assert.Equal(t, "TERMINATED", c.status(p.ID))
		assert.Equal(t, `{"pods":[]}`, strings.TrimSpace(c.do("GET", "/v2/pods", "").text))
		pass(time.Minute)
		assert.Equal(t, "404", c.status(p.ID))
		assert.Equal(t, 404, c.do("DELETE", "/v2/pods/"+p.ID, "").StatusCode)
		assert.Empty(t, c.face.Billing())
		c.clean()
	})
}

func TestTheEdgeAndTheKeyAreLookedAtFirst(t *testing.T) {
	c := newClient(t, Options{PerMinute: 3})
	r := c.do("GET", "/v2/pods", "")
	assert.Equal(t, 200, r.StatusCode)
	assert.NotEmpty(t, r.Header.Get("X-Request-Id"))
	assert.Regexp(t, `^"minute";r=2;t=\d+$`, r.Header.Get("RateLimit"))
	c.key = ""
	assert.Equal(t, 401, c.do("GET", "/v2/pods", "").StatusCode)
	c.key = "other"
	assert.Equal(t, 401, c.do("GET", "/v2/pods", "").StatusCode)
	c.key = key
	c.do("GET", "/v2/pods", "")
	c.do("GET", "/v2/pods", "")
	r = c.do("GET", "/v2/pods", "")
	assert.Equal(t, 429, r.StatusCode)
	assert.Regexp(t, `^\d+$`, r.Header.Get("Retry-After"))
	c.clean()
	for _, agent := range []string{"", "Go-http-client/1.1", "Python-urllib/3.12"} {
		c.agent = agent
		r = c.do("GET", "/v2/pods", "")
		assert.Equal(t, 403, r.StatusCode)
		assert.Equal(t, "error code: 1010", r.text)
	}
	assert.Len(t, c.face.Violations(), 3)
}

func TestThePodsKeyReadsAndStopsItsOwnPodAlone(t *testing.T) {
	for rights, want := range map[Rights][]int{MayStop: {200, 200}, MayRead: {200, 403}, MayNothing: {403, 403}} {
		c := newClient(t, Options{PodKey: rights})
		p, other := c.create(good), c.create(good)
		c.key = c.face.PodKey(p.ID)
		assert.Equal(t, want[0], c.do("GET", "/v2/pods/"+p.ID, "").StatusCode)
		assert.Equal(t, 403, c.do("GET", "/v2/pods", "").StatusCode)
		assert.Equal(t, 403, c.do("GET", "/v2/pods/"+other.ID, "").StatusCode)
		assert.Equal(t, 403, c.do("DELETE", "/v2/pods/"+p.ID, "").StatusCode)
		assert.Equal(t, 403, c.do("POST", "/v2/pods/"+other.ID+"/action", `{"action":"stop"}`).StatusCode)
		assert.Equal(t, 403, c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"terminate"}`).StatusCode)
		assert.Equal(t, want[1], c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"stop"}`).StatusCode)
		c.clean()
	}
}

func TestFaultsAreWhatTheySayAndLeaveBehindWhatTheySay(t *testing.T) {
	for _, x := range []struct {
		name   string
		fault  Fault
		pods   int // left behind
		status int // 0: no reply, or none that is whole
	}{
		{"lost request", LostRequest, 0, 0}, {"lost reply", LostReply, 1, 0}, {"error after", ErrorAfter, 1, 500}, {"unreadable", Unreadable, 1, 201},
		{"half a reply", HalfReply, 1, 0}, {"no capacity", NoCapacity, 0, 400}, {"no balance", NoBalance, 0, 402}, {"throttled", Throttled, 0, 429},
		{"the edge", EdgeRefuses, 0, 403}, {"a gateway", BadGateway, 0, 502}, {"only slow", Fault{Hold: time.Minute}, 1, 201},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, Options{})
				x.fault.On = "createPod"
				c.face.Inject(x.fault)
				r := c.do("POST", "/v2/pods", good)
				if x.status == 0 {
					assert.Error(t, r.err)
				} else if assert.NoError(t, r.err) {
					assert.Equal(t, x.status, r.StatusCode)
				}
				assert.Len(t, c.face.Pods(), x.pods)
				c.create(good) // once, and then all is well
				c.clean()
			})
		})
	}
}

func TestAClientThatLeavesDuringALaunchHasLaunched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{})
		c.face.Inject(Fault{On: "createPod", Acts: true, Hold: time.Hour, Cut: NoReply})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://runpod.test/v2/pods", bytes.NewReader([]byte(good)))
		req.Header = http.Header{"Authorization": {"Bearer " + key}, "User-Agent": {"t"}, "Content-Type": {"application/json"}}
		_, err := c.http.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Len(t, c.face.Pods(), 1)
	})
}

func TestAPodMayBeUnknownForSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{ListLag: time.Minute, GetLag: 5 * time.Second, NameMax: 3, Extra: true})
		p := c.create(good)
		assert.Equal(t, "rc1", p.Name)
		assert.Equal(t, "404", c.status(p.ID))
		assert.Equal(t, 404, c.do("DELETE", "/v2/pods/"+p.ID, "").StatusCode)
		pass(5 * time.Second)
		assert.Equal(t, "RUNNING", c.status(p.ID))
		assert.NotContains(t, c.do("GET", "/v2/pods", "").text, p.ID)
		pass(55 * time.Second)
		assert.Contains(t, c.do("GET", "/v2/pods", "").text, p.ID)
		c.face.Hide(p.ID, time.Second)
		assert.NotContains(t, c.do("GET", "/v2/pods", "").text, p.ID)
		c.clean()
	})
}

func TestNewerServersSayMoreAndSayItInPages(t *testing.T) {
	c := newClient(t, Options{Extra: true, PageSize: 2, Word: func(s string) string { return "RE" + s }})
	for range 5 {
		assert.Equal(t, "RERUNNING", c.create(good).Status)
	}
	seen, cursor := 0, ""
	for range 3 {
		var page struct {
			Pods       []Pod
			Pagination struct{ NextCursor string }
		}
		require.NoError(t, json.Unmarshal([]byte(c.do("GET", "/v2/pods?cursor="+cursor, "").text), &page))
		seen, cursor = seen+len(page.Pods), page.Pagination.NextCursor
	}
	assert.Equal(t, 5, seen)
	assert.Empty(t, cursor)
	c.clean()
}

func TestWhatOthersDoIsSeen(t *testing.T) {
	c := newClient(t, Options{})
	vol := c.face.AddVolume("US-KS-2")
	kept := c.create(strings.Replace(good, `"image"`, `"mounts":{"network":[{"volumeId":"`+vol+`","path":"/w"}]},"image"`, 1))
	lost, member := c.create(good), c.create(good)
	c.face.Join(member.ID, "c1")
	assert.Equal(t, 409, c.do("DELETE", "/v2/pods/"+member.ID, "").StatusCode)
	assert.NotContains(t, c.do("GET", "/v2/pods", "").text, member.ID)
	assert.Contains(t, c.do("GET", "/v2/pods?includeClusterPods=true", "").text, member.ID)
	c.face.Deaf(true)
	assert.Equal(t, 200, c.do("POST", "/v2/pods/"+kept.ID+"/action", `{"action":"stop"}`).StatusCode)
	assert.Equal(t, "RUNNING", c.status(kept.ID))
	c.face.Broke()
	assert.Equal(t, []string{"EXITED", "404"}, []string{c.status(kept.ID), c.status(lost.ID)})
	assert.Equal(t, 402, c.do("POST", "/v2/pods", good).StatusCode)
	assert.Equal(t, 200, c.do("PATCH", "/v2/pods/"+kept.ID, `{"name":"copy"}`).StatusCode)
	assert.Contains(t, c.do("GET", "/v2/pods", "").text, `"copy"`)
	assert.NotEmpty(t, c.face.Add("stranger", nil))
	c.clean()
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
