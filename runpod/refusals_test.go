package runpod_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/rest"
	"runctl/runpod"
)

// replying answers everything alike.
func replying(status int, body string, header ...string) carry {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/problem+json"}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func problem(status int, detail string) string {
	return fmt.Sprintf(`{"title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
}

func over(t *testing.T, transport http.RoundTripper) *runpod.Provider {
	t.Helper()
	p, err := runpod.New(runpod.Config{APIKey: accountKey, BaseURL: "http://api.runpod.test", Transport: transport})
	require.NoError(t, err)
	return p
}

func classified(t *testing.T, err error) *runctl.Error {
	t.Helper()
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	return e
}

const h100 = "NVIDIA H100 80GB HBM3"

func request(road runctl.Road) runctl.LaunchRequest {
	r := runctl.LaunchRequest{
		Label: runctl.Mark{Owner: "tests", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil), Token: "rc1-token",
		Offer: runctl.Offer{ID: road.String() + ":gpu:SECURE:US-KS-2:1:" + h100, Market: runctl.OnDemand, Roads: road}, Lifetime: time.Hour, Keep: time.Minute,
	}
	if road == runctl.RoadJob {
		r.Job = &runctl.Job{ID: "k1", Args: []string{"true"}, Image: "busybox:1.36"}
	} else {
		r.AuthorizedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx0vVfb runctl"
	}
	return r
}

func TestRefusedLaunchesAreToldApart(t *testing.T) {
	full := func(text string) string { return problem(400, text) }
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   runctl.Kind
		scope  runctl.Scope
		never  bool // nothing was started, for certain
	}{
		{"none left", 400, full("There are no longer any instances available with the requested specifications."), runctl.ErrCapacity, runctl.ScopeZone, true},
		{"none left, shorter", 400, full("No instances available"), runctl.ErrCapacity, runctl.ScopeZone, true},
		{"none left, now", 400, full("There are no instances currently available"), runctl.ErrCapacity, runctl.ScopeZone, true},
		{"none left on the host", 400, full("not enough free GPUs on the host machine"), runctl.ErrCapacity, runctl.ScopeZone, true},
		{"no disk left", 400, full("could not find a pod with enough disk space"), runctl.ErrCapacity, runctl.ScopeZone, true},
		{"a mistake", 400, full("mounts.persistent and mounts.network are mutually exclusive"), runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"the account's limit", 400, full("Your spend limit of 80 USD/hr would be exceeded"), runctl.ErrQuota, runctl.ScopeAccount, true},
		{"the key", 401, problem(401, "invalid bearer token"), runctl.ErrAuth, runctl.ScopeAccount, true},
		{"the balance", 402, problem(402, "balance too low"), runctl.ErrPayment, runctl.ScopeAccount, true},
		{"the key's scope", 403, problem(403, "key lacks scope pods:write"), runctl.ErrAuth, runctl.ScopeAccount, true},
		{"a pool", 403, problem(403, "Your account cannot access the requested pool."), runctl.ErrQuota, runctl.ScopeOffer, true},
		{"the edge", 403, "error code: 1010", runctl.ErrInvalid, runctl.ScopeProvider, false},
		{"a name that is not known", 404, problem(404, "registry not found"), runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"the method", 405, problem(405, "method not allowed"), runctl.ErrInvalid, runctl.ScopeProvider, true},
		{"the old API", 410, problem(410, "this API version has been retired"), runctl.ErrInvalid, runctl.ScopeProvider, true},
		{"too long", 413, problem(413, "request body too large"), runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"the schema", 422, problem(422, "Request validation failed."), runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"too fast", 429, problem(429, "rate limit exceeded"), runctl.ErrRateLimit, runctl.ScopeAccount, true},
		{"an error", 500, problem(500, "failed to create pod"), runctl.ErrUnavailable, 0, false},
		{"an error with the words of a refusal", 500, full("There are no longer any instances available"), runctl.ErrUnavailable, 0, false},
		{"a gateway", 502, "<html>", runctl.ErrUnavailable, 0, false},
		{"the edge's own page", 403, "<html>blocked</html>", runctl.ErrUnavailable, 0, false},
		{"a wrong body", 400, "[]", runctl.ErrUnavailable, 0, false},
		{"a redirect", 302, "{}", runctl.ErrUnavailable, 0, false},
		{"created, unreadable", 201, `{"id":`, runctl.ErrUnavailable, 0, false},
	} {
		sent := 0
		p := over(t, carry(func(r *http.Request) (*http.Response, error) { sent++; return replying(c.status, c.body)(r) }))
		_, err := p.Launch(t.Context(), request(runctl.RoadJob))
		e := classified(t, err)
		assert.Equal(t, c.kind, e.Kind, "%s: %v", c.name, err)
		assert.Equal(t, c.scope, e.Scope, c.name)
		assert.Equal(t, c.never, e.NotStarted, c.name)
		assert.Equal(t, 1, sent, c.name)
		var own *rest.Error
		require.ErrorAs(t, err, &own, c.name)
		assert.Equal(t, c.status, own.Status)
	}
}

func TestWhatOtherCallsAreRefusedFor(t *testing.T) {
	do := map[string]func(*runpod.Provider) error{
		"get":       func(p *runpod.Provider) error { _, err := p.Get(t.Context(), "abc"); return err },
		"terminate": func(p *runpod.Provider) error { return p.Terminate(t.Context(), "abc") },
		"start":     func(p *runpod.Provider) error { return p.Start(t.Context(), "abc") },
		"offers":    func(p *runpod.Provider) error { _, err := p.Offers(t.Context(), runctl.OfferQuery{}); return err },
	}
	for _, c := range []struct {
		call   string
		status int
		body   string
		kind   runctl.Kind
		text   string
	}{
		{"get", 404, problem(404, "pod not found"), runctl.ErrNotFound, "pod not found"},
		{"get", 410, problem(410, "retired"), runctl.ErrInvalid, "RUNPOD_BASE_URL"},
		{"offers", 403, "error code: 1010", runctl.ErrInvalid, "User-Agent"},
		{"terminate", 404, problem(404, "pod not found"), runctl.ErrNotFound, ""},
		{"terminate", 409, problem(409, "pod belongs to a cluster"), runctl.ErrConflict, "delete the cluster"},
		{"start", 400, problem(400, "There are not enough free GPUs on the host machine to start this pod."), runctl.ErrCapacity, "its own host"},
		{"offers", 429, problem(429, "rate limit exceeded"), runctl.ErrRateLimit, ""},
	} {
		err := do[c.call](over(t, replying(c.status, c.body, "Retry-After", "7")))
		e := classified(t, err)
		assert.Equal(t, c.kind, e.Kind, "%s %d", c.call, c.status)
		assert.Contains(t, err.Error(), c.text)
		assert.Equal(t, 7*time.Second, e.RetryAfter)
	}
}

func TestWhatCannotBeAnIDIsAskedOfNobody(t *testing.T) {
	p := over(t, carry(func(*http.Request) (*http.Response, error) { panic("sent") }))
	for _, id := range []string{"", "..", "a/b", "a?b", "a b", strings.Repeat("a", 65), "a\n"} {
		_, err := p.Get(t.Context(), id)
		assert.ErrorIs(t, err, runctl.ErrNotFound)
		assert.ErrorIs(t, p.Terminate(t.Context(), id), runctl.ErrNotFound)
		assert.ErrorIs(t, p.Stop(t.Context(), id), runctl.ErrNotFound)
	}
}

func TestAListingIsWholeOrAnError(t *testing.T) {
	for what, body := range map[string]string{
		"nothing": `{}`, "null": `{"pods":null}`, "no object": `[]`, "no id": `{"pods":[{"name":"x"}]}`, "nobody": `{"pods":[null]}`,
		"an endless one": `{"pods":[],"pagination":{"nextCursor":"again"}}`, "HTML": `<html>`,
	} {
		all, err := over(t, replying(200, body)).List(t.Context(), runctl.ListQuery{})
		assert.Error(t, err, what)
		assert.Empty(t, all, what)
	}
	asked := 0
	_, err := over(t, carry(func(r *http.Request) (*http.Response, error) {
		asked++
		return replying(200, `{"pods":[],"pagination":{"nextCursor":"again"}}`)(r)
	})).List(t.Context(), runctl.ListQuery{})
	assert.Error(t, err)
	assert.Equal(t, 2, asked, "a cursor that comes back ends it")
	all, err := over(t, replying(200, `{"pods":[],"pagination":{"nextCursor":null}}`)).List(t.Context(), runctl.ListQuery{})
	assert.NoError(t, err)
	assert.Empty(t, all)
}

func TestAReplyAboutAnotherPodIsNotBelieved(t *testing.T) {
	_, err := over(t, replying(200, `{"id":"other","status":"RUNNING"}`)).Get(t.Context(), "mine")
	assert.Error(t, err)
}
