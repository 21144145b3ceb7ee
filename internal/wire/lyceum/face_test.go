package lyceum

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

const key = "lk_TEST"

// client talks to a face as any program would.
type client struct {
	t    *testing.T
	face *Face
	http *http.Client
	key  string
	head http.Header
}

func newClient(t *testing.T, opt Options) *client {
	opt.Key = key
	f := New(opt)
	t.Cleanup(f.Close)
	return &client{t: t, face: f, http: &http.Client{Transport: new(memnet.Net).Serve(t, "lyceum.test", f)}, key: key, head: http.Header{}}
}

type reply struct {
	*http.Response
	text string
	err  error
}

func (r reply) json(t *testing.T) (m map[string]any) {
	t.Helper()
	require.NoError(t, r.err)
	require.NoError(t, json.Unmarshal([]byte(r.text), &m), r.text)
	return m
}

func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = "http://lyceum.test" + Prefix + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for k, v := range c.head {
		req.Header[k] = v
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
const good = `{"user_public_key":"ssh-ed25519 AAAA x","hardware_profile":"h100","instance_specs":{"gpu_count":2},"display_name":"rc1-a","instance_type":"on-demand"}`

// living is the listing that a correct client asks for.
const living = "/vms/list?include_terminated=false&include_failed=false"

func (c *client) create(body string) string {
	c.t.Helper()
	r := c.do("POST", "/vms/create", body)
	require.NoError(c.t, r.err)
	require.Equal(c.t, 200, r.StatusCode, r.text)
	return r.json(c.t)["vm_id"].(string)
}

func (c *client) status(id string) map[string]any {
	c.t.Helper()
	r := c.do("GET", "/vms/"+id+"/status", "")
	if r.StatusCode == 404 {
		return map[string]any{"status": "404"}
	}
	require.Equal(c.t, 200, r.StatusCode, r.text)
	return r.json(c.t)
}

// listed are the ids of a listing.
func (c *client) listed(path string) (ids []string) {
	c.t.Helper()
	for _, v := range c.do("GET", path, "").json(c.t)["vms"].([]any) {
		ids = append(ids, v.(map[string]any)["vm_id"].(string))
	}
	return ids
}

func (c *client) clean() {
	c.t.Helper()
	assert.Empty(c.t, c.face.Violations())
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestTheDocumentIsTheOneWhoseSumIsWrittenDown(t *testing.T) {
	note, err := os.ReadFile("testdata/PROVENANCE.md")
	require.NoError(t, err)
	sum := sha256.Sum256(openapi)
	assert.Contains(t, string(note), hex.EncodeToString(sum[:]))
}

func TestAMachineGoesThroughItsLifeAndOnlyWhatIsUpCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Provisioning: 2 * time.Minute, AddrLag: 30 * time.Second})
		r := c.do("POST", "/vms/create", good).json(t)
		id := r["vm_id"].(string)
		assert.Equal(t, []any{"pending", nil, nil, nil, "rc1-a"}, []any{r["status"], r["ip_address"], r["hardware_profile"], r["gpu_count"], r["display_name"]})
		assert.Equal(t, map[string]any{"gpu_type": "h100", "gpu_count": 2.0}, r["instance_specs"])
		assert.NotContains(t, r["created_at"], "Z")
		pass(time.Minute)
		assert.Equal(t, "provisioning", c.status(id)["status"])
		pass(time.Minute)
		assert.Equal(t, []any{"ready", nil}, []any{c.status(id)["status"], c.status(id)["ip_address"]}, "up, and not to be reached")
		pass(time.Hour)
		s := c.status(id)
		assert.Equal(t, "192.0.2.1", s["ip_address"])
		assert.InDelta(t, 5.58, s["billed"], 1e-6, "the price of two, and none of the time before")
		assert.Equal(t, 3600.0, s["uptime_seconds"])
		assert.Equal(t, []string{id}, c.face.Billing())

		assert.Equal(t, "terminated", c.do("DELETE", "/vms/"+id, "").json(t)["status"])
		pass(time.Hour)
		assert.InDelta(t, 5.58, c.face.Spent(id), 1e-6)
		assert.Empty(t, c.face.Billing())
		assert.Equal(t, "terminated", c.status(id)["status"], "it is remembered")
		assert.Equal(t, 404, c.do("DELETE", "/vms/"+id, "").StatusCode)
		assert.Empty(t, c.listed(living))
		c.clean()
	})
}

func TestFaultsAreWhatTheySayAndLeaveBehindWhatTheySay(t *testing.T) {
	for _, x := range []struct {
		name   string
		fault  Fault
		vms    int // left behind
		status int // 0: no reply, or none that is whole
	}{
		{"lost request", LostRequest, 0, 0}, {"lost reply", LostReply, 1, 0}, {"error after", ErrorAfter, 1, 500}, {"unreadable", Unreadable, 1, 200},
		{"half a reply", HalfReply, 1, 0}, {"no capacity", NoCapacity, 0, 500}, {"no credits", NoCredits, 0, 402}, {"throttled", Throttled, 0, 429},
		{"a gateway", BadGateway, 0, 502}, {"only slow", Fault{Hold: time.Minute}, 1, 200},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, Options{})
				x.fault.On = "createVM"
				c.face.Inject(x.fault)
				r := c.do("POST", "/vms/create", good)
				if x.status == 0 {
					assert.Error(t, r.err)
				} else if assert.NoError(t, r.err) {
					assert.Equal(t, x.status, r.StatusCode)
				}
				assert.Len(t, c.face.VMs(), x.vms)
				c.create(good) // once, and then all is well
				c.clean()
			})
		})
	}
}

func TestAListingMayFailWhileAllMachinesAreWell(t *testing.T) {
	c := newClient(t, Options{})
	id := c.create(good)
	c.face.Inject(ListFails)
	assert.Equal(t, 500, c.do("GET", living, "").StatusCode)
	assert.Equal(t, "ready", c.status(id)["status"])
	assert.Equal(t, []string{id}, c.listed(living))
	c.clean()
}

func TestAClientThatLeavesDuringALaunchHasLaunched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{})
		c.face.Inject(Fault{On: "createVM", Acts: true, Hold: time.Hour, Cut: NoReply})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://lyceum.test"+Prefix+"/vms/create", strings.NewReader(good))
		req.Header = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
		_, err := c.http.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Len(t, c.face.VMs(), 1)
	})
}

func TestTheTokenAndThePaceAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{PerMinute: 5, JWT: "ey.jwt"})
		assert.Equal(t, "authenticated", c.do("GET", "/user/status", "").json(t)["status"])
		c.key = ""
		assert.Equal(t, 401, c.do("GET", "/user/status", "").StatusCode)
		c.key = "lk_other"
		assert.Equal(t, 401, c.do("GET", "/user/status", "").StatusCode)
		c.key = "ey.jwt"
		c.head.Set("X-Org-Slug", "team")
		assert.Equal(t, 200, c.do("GET", "/user/status", "").StatusCode)
		c.head.Del("X-Org-Slug")
		c.key = key
		for range 3 {
			c.do("GET", "/user/status", "")
		}
		r := c.do("GET", "/user/status", "")
		assert.Equal(t, 429, r.StatusCode)
		assert.Equal(t, "60", r.Header.Get("Retry-After"))
		assert.Equal(t, "0", r.Header.Get("X-RateLimit-Remaining"))
		pass(time.Minute)
		assert.Equal(t, 200, c.do("GET", "/user/status", "").StatusCode)
		c.clean()
		c.head.Set("X-Org-Slug", "team")
		c.do("GET", "/user/status", "")
		assert.Len(t, c.face.Violations(), 1, "a key has its organisation")
	})
}

func TestWhatOthersDoIsSeen(t *testing.T) {
	c := newClient(t, Options{})
	theirs := c.face.Add("rc1-a")
	assert.Equal(t, []string{theirs}, c.listed(living))
	c.face.SetLabel(theirs, "rc1-b")
	assert.Equal(t, "rc1-b", c.status(theirs)["display_name"])
	c.face.SoldOut(true)
	r := c.do("POST", "/vms/create", good)
	assert.Equal(t, 500, r.StatusCode)
	assert.Contains(t, r.text, "could not be provisioned")
	assert.NotContains(t, c.do("GET", "/vms/availability", "").text, `"available_gpus_per_instance":[1`)
	c.face.SoldOut(false)
	c.face.Broke(true)
	assert.Equal(t, 402, c.do("POST", "/vms/create", good).StatusCode)
	assert.Equal(t, 0.0, c.do("GET", "/billing/credits", "").json(t)["remaining_credits"])
	c.face.HoldEnds()
	c.do("DELETE", "/vms/"+theirs, "")
	assert.Equal(t, []string{theirs}, c.face.Billing())
	c.clean()
}

func TestTheCatalogIsWholeAndHasItsTraps(t *testing.T) {
	c := newClient(t, Options{Extra: true, Storage: map[string]any{"access_key": "a", "secret_key": "b", "endpoint": "s3.test", "bucket_name": "b", "expires_at": "2026-08-01T00:00:00Z"}})
	assert.Equal(t, 52.0, c.do("GET", "/pricing", "").json(t)["count"], "48 prices of machines, and four rows that are none")
	assert.Len(t, c.do("GET", "/vms/availability", "").json(t)["available_instance_variants"], 11, "l40s has no spot")
	assert.Len(t, c.do("GET", "/machine-types", "").json(t)["machine_types"], 4)
	assert.Contains(t, c.do("GET", "/user/quotas/available-hardware", "").text, "gpu.h100")
	assert.Equal(t, "a", c.do("POST", "/storage/credentials", "").json(t)["access_key"])
	assert.Equal(t, 200, c.do("GET", "/health/ping", "").StatusCode)
	c.clean()
	c = newClient(t, Options{})
	assert.Equal(t, 404, c.do("POST", "/storage/credentials", "").StatusCode)
}
