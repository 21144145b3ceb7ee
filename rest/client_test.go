package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/rest"
)

const token = "rpa_canary-7f3e/token+value"

// carry is a transport made of a function.
type carry func(*http.Request) (*http.Response, error)

func (f carry) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ProtoMajor: 1, ProtoMinor: 1}
}

func always(status int, body string, header ...string) carry {
	return func(*http.Request) (*http.Response, error) { return answer(status, body, header...), nil }
}

func client(t *testing.T, transport http.RoundTripper, rules ...rest.Rule) *rest.Client {
	t.Helper()
	c, err := rest.New(rest.Config{Base: "http://cloud.test/api/", UserAgent: "tester", Auth: rest.Bearer(token), Rules: rules, Transport: transport})
	require.NoError(t, err)
	return c
}

// at returns a client of a server on this computer.
func at(t *testing.T, h http.HandlerFunc) (*rest.Client, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := rest.New(rest.Config{Base: srv.URL, UserAgent: "tester", Auth: rest.Bearer(token)})
	require.NoError(t, err)
	return c, srv
}

func get(path string) rest.Request { return rest.Request{Method: "GET", Path: path} }

func of(t *testing.T, err error) *runctl.Error {
	t.Helper()
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestARequestCarriesItsHeadersAndAReplyItsClock(t *testing.T) {
	var seen *http.Request
	var body []byte
	c := client(t, carry(func(r *http.Request) (*http.Response, error) {
		if seen = r; r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		return answer(201, `{"id":"a","novel":{"x":[1]}}`, "Date", "Mon, 02 Jan 2023 15:04:05 GMT", "X-Request-Id", "q-1"), nil
	}))
	var out struct{ ID string }
	reply, err := c.Do(t.Context(), rest.Request{Method: "POST", Path: "/vms", Query: map[string][]string{"a": {"b c"}},
		Body: map[string]string{"k": "<&>"}, Header: http.Header{"X-Own": {"1"}}}, &out)
	require.NoError(t, err)
	assert.Equal(t, "a", out.ID, "a field that is not known is passed over")
	assert.Equal(t, time.Date(2023, 1, 2, 15, 4, 5, 0, time.UTC), reply.Date)
	assert.Equal(t, "q-1", reply.RequestID)
	assert.Equal(t, "http://cloud.test/api/vms?a=b+c", seen.URL.String())
	assert.Equal(t, "Bearer "+token, seen.Header.Get("Authorization"))
	assert.Equal(t, "tester", seen.Header.Get("User-Agent"))
	assert.Equal(t, "1", seen.Header.Get("X-Own"))
	assert.Equal(t, "application/json", seen.Header.Get("Content-Type"))
	assert.Equal(t, `{"k":"<&>"}`, string(body))
	reply, err = c.Do(t.Context(), rest.Request{Method: "DELETE", Path: "/vms/a"}, nil)
	require.NoError(t, err)
	assert.Equal(t, 201, reply.Status)
}

func TestOnlyWhatMayBeSentTwiceIsRepeated(t *testing.T) {
	broken := func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }
	for what, f := range map[string]carry{
		"broken": broken, "500": always(500, "{}"), "502 HTML": always(502, "<html>"), "503": always(503, "{}", "Retry-After", "1"),
	} {
		for method, want := range map[string]int64{"GET": 3, "HEAD": 3, "DELETE": 3, "POST": 1, "PUT": 1, "PATCH": 1} {
			t.Run(what+"/"+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var sent atomic.Int64
					c := client(t, carry(func(r *http.Request) (*http.Response, error) { sent.Add(1); return f(r) }))
					_, err := c.Do(t.Context(), rest.Request{Method: method, Path: "/x", Body: struct{}{}}, nil)
					assert.Equal(t, want, sent.Load())
					e := of(t, err)
					assert.Equal(t, runctl.ErrUnavailable, e.Kind)
					assert.False(t, e.NotStarted)
				})
			})
		}
	}
}

func TestWhatRepeatingCannotMendIsNotRepeated(t *testing.T) {
	for _, status := range []int{301, 400, 401, 404, 429, 501} {
		var sent int
		c := client(t, carry(func(*http.Request) (*http.Response, error) { sent++; return answer(status, `{"detail":"no"}`), nil }))
		_, err := c.Do(t.Context(), get("/x"), nil)
		require.Error(t, err, status)
		assert.Equal(t, 1, sent, status)
	}
}

func TestARepeatWaitsAsLongAsItWasAskedTo(t *testing.T) {
	for _, c := range []struct {
		name, after  string
		limit, spent time.Duration
		tries        int
	}{
		{"seconds", "4", time.Minute, 8 * time.Second, 3},
		{"none given", "", time.Minute, 300 * time.Millisecond, 3},
		{"longer than the context", "4", 3 * time.Second, 0, 1},
		{"longer than is sensible", "300", time.Hour, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				api := client(t, carry(func(*http.Request) (*http.Response, error) {
					tries++
					return answer(503, "{}", "Retry-After", c.after), nil
				}))
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				start := time.Now()
				_, err := api.Do(ctx, get("/x"), nil)
				assert.Equal(t, c.spent, time.Since(start))
				assert.Equal(t, c.tries, tries)
				assert.Equal(t, rest.RetryAfter(http.Header{"Retry-After": {c.after}}), of(t, err).RetryAfter)
			})
		})
	}
}

func TestACancelledCallEndsAndIsNoFailureOfTheCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := client(t, carry(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }))
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := c.Do(ctx, rest.Request{Method: "POST", Path: "/x"}, nil)
		assert.Equal(t, time.Second, time.Since(start))
		e := of(t, err)
		assert.Empty(t, e.Kind)
		assert.ErrorIs(t, err, context.Canceled)
		assert.False(t, e.NotStarted, "it was under way")
		_, err = c.Do(ctx, rest.Request{Method: "POST", Path: "/x"}, nil)
		assert.True(t, of(t, err).NotStarted, "the context had ended before")
	})
	reason := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := client(t, carry(func(r *http.Request) (*http.Response, error) { cancel(reason); return nil, context.Cause(r.Context()) }))
	_, err := c.Do(ctx, rest.Request{Method: "POST", Path: "/x"}, nil)
	assert.ErrorIs(t, err, reason)
	assert.Empty(t, of(t, err).Kind, "whatever the reason was")
}

func TestARequestWithoutAConnectionHasStartedNothing(t *testing.T) {
	refused := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}}
	nameless := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "cloud.test"}
	}}
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	srv.Config.ErrorLog = nil
	t.Cleanup(srv.Close)
	distrusted := &http.Transport{DialContext: func(ctx context.Context, n, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, n, srv.Listener.Addr().String())
	}}
	for what, tr := range map[string]*http.Transport{"refused": refused, "no such host": nameless, "certificate": distrusted} {
		c, err := rest.New(rest.Config{Base: "https://cloud.test", UserAgent: "tester", Transport: tr})
		require.NoError(t, err)
		_, err = c.Do(t.Context(), rest.Request{Method: "POST", Path: "/vms", Body: struct{}{}}, nil)
		e := of(t, err)
		assert.True(t, e.NotStarted, "%s: %v", what, err)
		assert.Equal(t, runctl.ErrUnavailable, e.Kind, what)
	}
}

func TestARequestThatHadAConnectionClaimsNothing(t *testing.T) {
	t.Run("the server hangs up", func(t *testing.T) {
		c, _ := at(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		_, err := c.Do(t.Context(), rest.Request{Method: "POST", Path: "/vms", Body: struct{}{}}, nil)
		assert.False(t, of(t, err).NotStarted)
	})
	t.Run("the server hangs up on a connection that was used before", func(t *testing.T) {
		var n atomic.Int32
		c, _ := at(t, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) > 1 {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, "{}")
		})
		_, err := c.Do(t.Context(), get("/vms"), nil)
		require.NoError(t, err)
		_, err = c.Do(t.Context(), rest.Request{Method: "POST", Path: "/vms", Body: struct{}{}}, nil)
		assert.False(t, of(t, err).NotStarted)
		assert.EqualValues(t, 2, n.Load())
	})
	t.Run("a transport that tells nothing of itself", func(t *testing.T) {
		c := client(t, carry(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}))
		_, err := c.Do(t.Context(), rest.Request{Method: "POST", Path: "/vms", Body: struct{}{}}, nil)
		assert.False(t, of(t, err).NotStarted)
	})
}

func TestAReplyIsWholeOrAnError(t *testing.T) {
	long := `{"id":"` + strings.Repeat("x", 100) + `"}`
	for what, f := range map[string]carry{
		"longer than allowed": always(200, long+strings.Repeat(" ", 200)), "HTML": always(200, "<html>sorry</html>"), "empty": always(200, ""),
		"two documents": always(200, "{} {}"), "another form": always(200, "[1]"), "deep": always(200, strings.Repeat("[", 200)),
		"cut": func(*http.Request) (*http.Response, error) {
			r := answer(201, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), &failing{}))
			return r, nil
		},
		"redirect": always(302, "{}", "Location", "https://elsewhere.test/"),
	} {
		c, err := rest.New(rest.Config{Base: "http://cloud.test", UserAgent: "tester", Transport: f, MaxBody: 150})
		require.NoError(t, err)
		var out struct{ ID string }
		_, err = c.Do(t.Context(), rest.Request{Method: "POST", Path: "/x"}, &out)
		e := of(t, err)
		assert.Equal(t, runctl.ErrUnavailable, e.Kind, what)
		assert.False(t, e.NotStarted, what)
		if out.ID != "" {
			t.Errorf("%s: half of a reply was believed", what)
		}
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnEndlessOrPackedReplyIsNotReadToItsEnd(t *testing.T) {
	var sent atomic.Int64
	c, _ := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		block := bytes.Repeat([]byte(" "), 1<<20)
		for i := 0; i < 512; i++ {
			if _, err := z.Write(block); err != nil || r.Context().Err() != nil {
				return
			}
			sent.Add(1)
		}
	})
	_, err := c.Do(t.Context(), rest.Request{Method: "POST", Path: "/x"}, nil)
	var e *rest.Error
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Problem, "longer than 8388608 bytes")
	assert.Less(t, sent.Load(), int64(512))
}

func TestARedirectTakesNoCredentialsAlong(t *testing.T) {
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, _ := at(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) })
		for _, method := range []string{"GET", "POST", "DELETE"} {
			_, err := c.Do(t.Context(), rest.Request{Method: method, Path: "/x"}, nil)
			assert.Equal(t, runctl.ErrUnavailable, of(t, err).Kind)
		}
	}
	assert.False(t, stolen.Load())
}

func TestWhatCannotWorkIsRefusedBeforeItIsSent(t *testing.T) {
	never := carry(func(*http.Request) (*http.Response, error) { panic("sent") })
	c := client(t, never)
	for what, r := range map[string]rest.Request{
		"long body":   {Method: "POST", Path: "/x", Body: strings.Repeat("x", 100), MaxBody: 50},
		"no JSON":     {Method: "POST", Path: "/x", Body: func() {}},
		"other path":  {Method: "GET", Path: "@elsewhere.test/"},
		"bad method":  {Method: "GET X", Path: "/x"},
		"bad address": {Method: "GET", Path: "/%zz"},
	} {
		_, err := c.Do(t.Context(), r, nil)
		e := of(t, err)
		assert.Equal(t, runctl.ErrInvalid, e.Kind, what)
		assert.True(t, e.NotStarted, what)
	}
	for what, cfg := range map[string]rest.Config{
		"no address":   {UserAgent: "x"},
		"no agent":     {Base: "https://a.test", UserAgent: " "},
		"in clear":     {Base: "http://a.test", UserAgent: "x"},
		"user":         {Base: "https://me:pw@a.test", UserAgent: "x"},
		"query":        {Base: "https://a.test?key=1", UserAgent: "x"},
		"other scheme": {Base: "ftp://a.test", UserAgent: "x", Transport: never},
		"huge replies": {Base: "https://a.test", UserAgent: "x", MaxBody: 1 << 40},
	} {
		_, err := rest.New(cfg)
		assert.ErrorIs(t, err, runctl.ErrInvalid, what)
		assert.NotContains(t, fmt.Sprint(err), "pw")
	}
	_, err := rest.New(rest.Config{Base: "http://127.0.0.1:80", UserAgent: "x"})
	assert.NoError(t, err, "this computer")
}

func TestATokenThatCannotBeHadSendsNothing(t *testing.T) {
	c, err := rest.New(rest.Config{Base: "http://cloud.test", UserAgent: "x", Transport: carry(func(*http.Request) (*http.Response, error) { panic("sent") }),
		Auth: rest.BearerFunc(func(context.Context) (string, error) { return token, errors.New("renewing " + token + " failed") })})
	require.NoError(t, err)
	_, err = c.Do(t.Context(), rest.Request{Method: "POST", Path: "/x"}, nil)
	e := of(t, err)
	assert.Equal(t, runctl.ErrAuth, e.Kind)
	assert.True(t, e.NotStarted)
	assert.NotContains(t, every(err), token)
}

func TestAPathIsEscapedAndCannotClimb(t *testing.T) {
	assert.Equal(t, "/v2/pods/a%2Fb%3Fc%23d%20e", rest.Path("v2", "pods", "a/b?c#d e"))
	assert.Equal(t, "/v2/-/-/-", rest.Path("v2", "..", ".", ""))
	var got string
	c := client(t, carry(func(r *http.Request) (*http.Response, error) {
		got = r.URL.EscapedPath()
		return answer(200, "{}"), nil
	}))
	_, err := c.Do(t.Context(), get(rest.Path("gpus", "NVIDIA GeForce RTX 4090", "a/../b")), nil)
	require.NoError(t, err)
	assert.Equal(t, "/api/gpus/NVIDIA%20GeForce%20RTX%204090/a%2F..%2Fb", got)
}
