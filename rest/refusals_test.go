package rest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/rest"
)

// every is all that can be made to show of an error: its text, that of what it wraps, and what printing gives.
func every(err error) string {
	if err == nil {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%v\n%+v\n%#v\n%q\n", err, err, err, err)
	j, _ := json.Marshal(err)
	s.Write(j)
	slog.New(slog.NewJSONHandler(&s, nil)).Error("x", "err", err)
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		s.WriteString(every(u.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			s.WriteString(every(e))
		}
	}
	return s.String()
}

var table = append([]rest.Rule{
	{Method: "POST", Path: "/vms", Status: 400, Text: "sold out", Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true, Reason: "none left"},
	{Path: "/vms/*/stop", Status: 409, Kind: runctl.ErrNotFound},
	{Status: 403, Text: "error code: 1010", Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeProvider},
	{Status: 503, Text: "maintenance", Kind: runctl.ErrQuota, NotStarted: true},
	{Text: "anywhere", Kind: runctl.ErrQuota},
}, rest.Defaults...)

func TestRefusalsAreToldApartByTheTable(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		status             int
		body               string
		kind               runctl.Kind
		notStarted         bool
	}{
		{"the cloud's words", "POST", "/vms", 400, `{"title":"Bad","detail":"GPU SOLD OUT here"}`, runctl.ErrCapacity, true},
		{"in the list of errors", "POST", "/vms", 400, `{"title":"Bad","errors":["x","sold out"]}`, runctl.ErrCapacity, true},
		{"other words", "POST", "/vms", 400, `{"detail":"bad disk"}`, runctl.ErrInvalid, true},
		{"another path", "POST", "/vms/a", 400, `{"detail":"sold out"}`, runctl.ErrInvalid, true},
		{"another method", "GET", "/vms", 400, `{"detail":"sold out"}`, runctl.ErrInvalid, true},
		{"a pattern", "POST", "/vms/a/stop", 409, `{"detail":"no"}`, runctl.ErrNotFound, false},
		{"no words", "POST", "/vms", 401, `{}`, runctl.ErrAuth, false},
		{"no words for speed", "POST", "/vms", 429, `{}`, runctl.ErrRateLimit, false},
		{"HTML for speed", "POST", "/vms", 429, `<html>slow down</html>`, runctl.ErrRateLimit, false},
		{"HTML", "POST", "/vms", 403, `<html>denied</html>`, runctl.ErrUnavailable, false},
		{"HTML that says sold out", "POST", "/vms", 400, `<html>sold out</html>`, runctl.ErrUnavailable, false},
		{"text that is known", "POST", "/vms", 403, `error code: 1010`, runctl.ErrInvalid, false},
		{"any refusal with such words", "PUT", "/x", 418, `{"message":"Anywhere"}`, runctl.ErrQuota, false},
		{"a list", "POST", "/vms", 422, `["no"]`, runctl.ErrUnavailable, false},
		{"a status that nobody knows", "POST", "/vms", 418, `{"detail":"teapot"}`, runctl.ErrUnavailable, false},
		{"a 5xx proves nothing, whatever the table says", "POST", "/vms", 503, `{"detail":"maintenance"}`, runctl.ErrQuota, false},
		{"another 5xx", "POST", "/vms", 500, `{"detail":"anywhere"}`, runctl.ErrUnavailable, false},
	} {
		_, err := client(t, always(c.status, c.body), table...).Do(t.Context(), rest.Request{Method: c.method, Path: c.path}, nil)
		e := of(t, err)
		assert.Equal(t, c.kind, e.Kind, c.name)
		assert.Equal(t, c.notStarted, e.NotStarted, c.name)
		var own *rest.Error
		require.ErrorAs(t, err, &own, c.name)
		assert.Equal(t, c.status, own.Status, c.name)
	}
}

func TestARefusalKeepsTheCloudsWords(t *testing.T) {
	for body, want := range map[string]string{
		`{"title":"Bad Request","status":400,"detail":"no such\nvolume","errors":["$.a: b"]}`: "POST /vms: status 400: Bad Request: no such volume: $.a: b (request q-9)",
		`{"error":{"message":"nope"}}`:                             "POST /vms: status 400: nope (request q-9)",
		`{"message":"nope"}`:                                       "POST /vms: status 400: nope (request q-9)",
		`{"detail":[{"loc":["body","x"],"msg":"field required"}]}`: `POST /vms: status 400: body.x: field required (request q-9)`,
		`{"detail":[{"loc":["body",0],"msg":"too long","input":"hunter2"},{"msg":"bad"}]}`: `POST /vms: status 400: body.0: too long; bad (request q-9)`,
		`<html>gateway</html>`: "POST /vms: status 400: <html>gateway</html> (request q-9)",
		`null`:                 "POST /vms: status 400: null (request q-9)",
		``:                     "POST /vms: status 400 (request q-9)",
	} {
		_, err := client(t, always(400, body, "X-Request-Id", "q-9"), table...).Do(t.Context(), rest.Request{Method: "POST", Path: "/vms"}, nil)
		var e *rest.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, want, e.Error())
		assert.Contains(t, err.Error(), want, "the words are in what is printed")
	}
}

func TestWhatIsLongIsCut(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	_, err := client(t, always(400, `{"detail":"`+long+`","errors":["`+long+`"]}`)).Do(t.Context(), get("/x"), nil)
	var e *rest.Error
	require.ErrorAs(t, err, &e)
	assert.LessOrEqual(t, len(e.Detail), 1<<10)
	assert.LessOrEqual(t, len(e.Error()), 4<<10)
	assert.True(t, strings.HasSuffix(e.Detail, "é"))
}

func TestCredentialsAreInNoText(t *testing.T) {
	const other, value = "second-secret-value", "env-secret-91c4"
	forms := []string{token, other, value, url.QueryEscape(token), base64.RawStdEncoding.EncodeToString([]byte(token))}
	echo := func(status int, body string, header ...string) carry {
		return func(r *http.Request) (*http.Response, error) {
			var head strings.Builder
			_ = r.Header.Write(&head)
			said := strings.ReplaceAll(body, "ECHO", strings.Join(append(forms, head.String()), "\n"))
			if j, err := json.Marshal(said); err == nil && strings.Contains(body, "JSON") {
				said = fmt.Sprintf(`{"title":%s,"detail":%s,"errors":[%s]}`, j, j, j)
			}
			return answer(status, said, header...), nil
		}
	}
	for what, f := range map[string]carry{
		"refusal": echo(400, "JSON ECHO"), "refusal that is cut": echo(400, "JSON "+strings.Repeat("x", 1000)+"ECHO"), "HTML": echo(400, "<html>ECHO"),
		"HTML that is cut": echo(500, strings.Repeat("x", 490)+" ECHO"), "unreadable": echo(200, "ECHO"), "wrong type": echo(200, `{"ID": 7, "detail":"ECHO"}`),
		"request id": echo(400, "{}", "X-Request-Id", token),
		"transport": func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("proxy says no: " + r.Header.Get("Authorization") + " " + other + " " + value)
		},
		"address": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New("refused " + token)}
		},
	} {
		c, err := rest.New(rest.Config{Base: "http://cloud.test", UserAgent: "tester", Auth: rest.Bearer(token), Transport: f, Header: http.Header{"X-Other": {other}}})
		require.NoError(t, err)
		var out struct{ ID string }
		req := rest.Request{Method: "POST", Path: "/vms", Query: url.Values{"sig": {value}}, Body: map[string]string{"a": value}, Secrets: []string{value}}
		_, err = c.Do(t.Context(), req, &out)
		require.Error(t, err, what)
		texts := every(err) + fmt.Sprintf("%v %+v %#v %s", c, c, c, c)
		for _, stream := range c.Events(t.Context(), req) {
			texts += every(stream)
		}
		for _, s := range forms {
			assert.NotContains(t, texts, s, what)
		}
		assert.NotContains(t, texts, token[:12], what+": not the beginning of it either")
	}
}

func TestTheNetworksOwnErrorIsFound(t *testing.T) {
	cause := &net404{}
	c := client(t, carry(func(*http.Request) (*http.Response, error) { return nil, cause }))
	_, err := c.Do(t.Context(), rest.Request{Method: "POST", Path: "/x"}, nil)
	var found *net404
	require.ErrorAs(t, err, &found)
	assert.Same(t, cause, found)
	assert.ErrorIs(t, err, cause)
	assert.Contains(t, err.Error(), "POST /x: cable cut")
}

type net404 struct{}

func (*net404) Error() string { return "cable cut" }

func TestHowLongToStayAwayIsRead(t *testing.T) {
	date := "Mon, 02 Jan 2023 15:04:05 GMT"
	for _, c := range []struct {
		header []string
		want   time.Duration
	}{
		{[]string{"Retry-After", "7"}, 7 * time.Second},
		{[]string{"Retry-After", "-7"}, 0},
		{[]string{"Retry-After", "soon"}, 0},
		{[]string{"Retry-After", "99999999"}, time.Hour},
		{[]string{"Retry-After", "99999999999999999999"}, 0},
		{[]string{"Date", date, "Retry-After", "Mon, 02 Jan 2023 15:04:14 GMT"}, 9 * time.Second},
		{[]string{"Date", date, "Retry-After", "Mon, 02 Jan 2023 15:00:00 GMT"}, 0},
		{[]string{"Retry-After", "Mon, 02 Jan 2023 15:04:14 GMT"}, 0},
		{[]string{"RateLimit", `"minute";r=0;t=12, "hour";r=20;t=1800`}, 12 * time.Second},
		{[]string{"RateLimit", `"minute";r=0;t=12, "hour";r=0;t=1800`}, 30 * time.Minute},
		{[]string{"RateLimit", `"minute";r=3;t=12`}, 0},
		{[]string{"RateLimit", `"minute";r=0;t=12`, "Retry-After", "3"}, 3 * time.Second},
		{[]string{"Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1672671865"}, 20 * time.Second},
		{[]string{"Date", date, "X-RateLimit-Remaining", "3", "X-RateLimit-Reset", "1672671865"}, 0},
		{[]string{"Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1672671800"}, 0},
		{[]string{"Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "9999999999999"}, time.Hour},
		{[]string{"Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "soon"}, 0},
		{[]string{"Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1672671865", "Retry-After", "3"}, 3 * time.Second},
		{nil, 0},
	} {
		_, err := client(t, always(429, `{"detail":"slow"}`, c.header...)).Do(t.Context(), get("/x"), nil)
		assert.Equal(t, c.want, of(t, err).RetryAfter, c.header)
		assert.ErrorIs(t, err, runctl.ErrRateLimit)
	}
	assert.Equal(t, []rest.Limit{{"minute", 176, 30 * time.Second}, {"hour", 7193, 0}},
		rest.RateLimit(http.Header{"Ratelimit": {`"minute";r=176;t=30`, `"hour";r=7193;t=0;x, "day";r=oops;t=1, ;r=1;t=1`}}))
	assert.Len(t, rest.RateLimit(http.Header{"Ratelimit": {strings.Repeat(`"m";r=1;t=1,`, 1000)}}), 16)
}

func FuzzLimits(f *testing.F) {
	f.Add(`"minute";r=176;t=30, "hour";r=7193;t=2000`, "12", "Mon, 02 Jan 2023 15:04:05 GMT")
	f.Add(`;;=,"";r=-1;t=9223372036854775807`, "Mon, 02 Jan 2023 15:04:05 GMT", "")
	f.Fuzz(func(t *testing.T, limit, after, date string) {
		h := http.Header{"Ratelimit": {limit}, "Retry-After": {after}, "Date": {date}}
		for _, l := range rest.RateLimit(h) {
			if l.Left < 0 || l.Reset < 0 || l.Name == "" {
				t.Errorf("%+v", l)
			}
		}
		if d := rest.RetryAfter(h); d < 0 || d > time.Hour {
			t.Errorf("%s", d)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(400, `{"title":"a","detail":{"message":"b"},"errors":[{"msg":"c"},null,7]}`)
	f.Add(502, `<html>`)
	f.Add(422, `{"detail":[{"loc":[1]}],"errors":{}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		_, err := client(t, always(status, body+token)).Do(t.Context(), rest.Request{Method: "POST", Path: "/x"}, nil)
		if status > 299 != (err != nil) {
			t.Fatalf("status %d: %v", status, err)
		}
		if err != nil && (strings.Contains(every(err), token) || len(err.Error()) > 16<<10 || of(t, err).NotStarted && status >= 500) {
			t.Errorf("%v", err)
		}
	})
}

// A list that is in a list, and so on, must not cost its length again at every depth.
func TestADeepRefusalCostsNoMoreThanAFlatOne(t *testing.T) {
	const deep, wide = 100, 1 << 20
	body := `{"detail":` + strings.Repeat(`[{},`, deep) + `"` + strings.Repeat("x", wide) + `"` + strings.Repeat("]", deep) + `}`
	c := client(t, always(422, body))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Do(t.Context(), get("/x"), nil)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(50*wide))
}
