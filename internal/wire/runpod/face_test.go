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

func TestAWrongRequestIsCaught(t *testing.T) {
	gpu := func(with string) string { return strings.Replace(good, `"image"`, with+`,"image"`, 1) }
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		violation                string // of it in Violations; empty: the API's own refusal is enough
	}{
		{"an unknown field", "POST", "/v2/pods", gpu(`"interruptible":true`), 422, "interruptible"},
		{"an unknown field of gpu", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"bogus":1`, 1), 422, "bogus"},
		{"no name", "POST", "/v2/pods", `{"image":"a","gpu":{"id":"x","count":1},"cloud":"SECURE"}`, 422, "name"},
		{"no image", "POST", "/v2/pods", `{"name":"a","gpu":{"id":"x","count":1},"cloud":"SECURE"}`, 422, "image"},
		{"a wrong type", "POST", "/v2/pods", gpu(`"disk":"big"`), 422, "disk"},
		{"a wrong word", "POST", "/v2/pods", strings.Replace(good, `"SECURE"`, `"CLOUDY"`, 1), 422, "cloud"},
		{"half a CUDA version", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"minCudaVersion":"12"`, 1), 422, "minCudaVersion"},
		{"malformed JSON", "POST", "/v2/pods", `{"name":`, 422, "createPod"},
		{"an unknown action", "POST", "/v2/pods/x/action", `{"action":"reset"}`, 422, "action"},
		{"a tail that is too long", "GET", "/v2/pods/x/logs?tail=5001", "", 422, "tail"},
		{"both sources", "GET", "/v2/pods/x/logs?source=both", "", 422, "source"},
		{"an undeclared query key", "GET", "/v2/pods?owner=me", "", 200, "owner"},
		{"an API that is gone", "POST", "/v1/pods", good, 410, "gone"},
		{"no such path", "GET", "/v2/podz", "", 404, "path"},
		{"no such method", "PUT", "/v2/pods", good, 405, "method"},
		{"the count left out", "POST", "/v2/pods", strings.Replace(good, `,"count":2`, ``, 1), 201, "gpu.count"},
		{"the cloud left out", "POST", "/v2/pods", strings.Replace(good, `"cloud":"SECURE",`, ``, 1), 201, "cloud"},
		{"a data center in lower case", "POST", "/v2/pods", gpu(`"dataCenterIds":["us-ks-2"]`), 201, "lower case"},
		{"the key in the environment", "POST", "/v2/pods", strings.Replace(good, `"A":"b"`, `"A":"`+key+`"`, 1), 201, "key"},

		{"gpu and cpu", "POST", "/v2/pods", gpu(`"cpu":{"id":"cpu3c","vcpuCount":2}`), 400, ""},
		{"neither gpu nor cpu", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE"}`, 400, ""},
		{"two mounts", "POST", "/v2/pods", gpu(`"mounts":{"persistent":{"size":20,"path":"/w"},"network":[{"volumeId":"vol1","path":"/w"}]}`), 400, ""},
		{"both CUDA rules", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"minCudaVersion":"12.4","allowedCudaVersions":["12.8"]`, 1), 400, ""},
		{"a volume elsewhere", "POST", "/v2/pods", gpu(`"dataCenterIds":["US-KS-2"],"mounts":{"network":[{"volumeId":"vol1","path":"/w"}]}`), 400, ""},
		{"a volume that is not", "POST", "/v2/pods", gpu(`"mounts":{"network":[{"volumeId":"vol9","path":"/w"}]}`), 400, ""},
		{"a template that is not", "POST", "/v2/pods", gpu(`"templateId":"none"`), 404, ""},
		{"more GPUs than a host has", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":9`, 1), 400, ""},
		{"a type that is sold out", "POST", "/v2/pods", strings.Replace(good, "NVIDIA GeForce RTX 4090", "NVIDIA H200", 1), 400, ""},
		{"a type that is not", "POST", "/v2/pods", strings.Replace(good, "RTX 4090", "RTX 9090", 1), 400, ""},
		{"too many variables", "POST", "/v2/pods", strings.Replace(good, `"A":"b"`, variables(51), 1), 400, ""},
		{"a disk that is too large for its CPUs", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE","disk":30,"cpu":{"id":"cpu3c","vcpuCount":2}}`, 400, ""},
		{"stock without a product", "GET", "/v2/catalog/gpus?include=AVAILABILITY", "", 400, ""},
		{"a product without stock", "GET", "/v2/catalog/gpus?product=POD", "", 400, ""},
		{"a body that is too long", "POST", "/v2/pods", strings.Replace(good, "busybox", strings.Repeat("b", 102_400), 1), 413, "bytes"},
		{"nothing wrong", "POST", "/v2/pods", good, 201, ""},
		{"nothing wrong, with a volume", "POST", "/v2/pods", gpu(`"mounts":{"network":[{"volumeId":"vol1","path":"/w"}]}`), 201, ""},
		{"nothing wrong, without a GPU", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE","disk":20,"cpu":{"id":"cpu3c","vcpuCount":2}}`, 201, ""},
		{"nothing wrong in a listing", "GET", "/v2/catalog/gpus?include=AVAILABILITY&product=POD&count=2&cloud=COMMUNITY", "", 200, ""},
		{"nothing wrong in a name with spaces", "GET", "/v2/catalog/gpus/NVIDIA%20H100%20PCIe", "", 200, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newClient(t, Options{})
			c.face.AddVolume("EU-RO-1")
			r := c.do(x.method, x.path, x.body)
			require.NoError(t, r.err)
			assert.Equal(t, x.status, r.StatusCode, r.text)
			if x.violation == "" {
				c.clean()
			} else {
				assert.Contains(t, strings.Join(c.face.Violations(), "\n"), x.violation)
				assert.NotContains(t, strings.Join(c.face.Violations(), "\n"), key)
			}
			if r.StatusCode >= 400 {
				assert.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
				var p problem
				require.NoError(t, json.Unmarshal([]byte(r.text), &p))
				assert.Equal(t, x.status, p.Status)
			}
		})
	}
}

func variables(n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf(`"V%d":"x"`, i))
	}
	return strings.Join(s, ",")
}

func TestAReplyThatTheDocumentDoesNotHaveIsCaught(t *testing.T) {
	c := newClient(t, Options{})
	p := c.create(good)
	c.face.with(p.ID, func(p *pod, _ time.Time) { p.Cloud = "CLOUDY" })
	c.status(p.ID)
	assert.Contains(t, strings.Join(c.face.Violations(), "\n"), "reply 200 of getPod")
	requests, responses := c.face.Checked()
	assert.Equal(t, []int{2, 2}, []int{requests, responses})
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
