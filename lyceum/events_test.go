package lyceum

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestEventsAreReadInEveryFormThatWasSeen(t *testing.T) {
	for data, want := range map[string]event{
		`{"output":{"content":"a\n"}}`:                                                                {text: "a\n"},
		`{"jobFinished":{"job":{"result":{"returnCode":"0"}}}}`:                                       {over: true},
		`{"jobFinished":{"job":{"result":{"error":"node lost"}}}}`:                                    {over: true},
		`{"Message":{"Output":{"content":"b"}}}`:                                                      {text: "b"},
		`{"Message":{"StatusUpdate":{"status":3,"message":"done"}}}`:                                  {over: true},
		`{"Message":{"StatusUpdate":{"status":4}}}`:                                                   {over: true},
		`{"Message":{"StatusUpdate":{"status":1}}}`:                                                   {},
		`{"Message":{"JobFinished":{"job":{"result":{"return_code":1}}}}}`:                            {over: true},
		`{"output":{"timestamp":"2026-08-01T10:00:00Z","channel":"stderr","output":"c"}}`:             {text: "c"},
		`{"status_update":{"execution_id":"e","status":"System Failure","exit_code":1}}`:              {over: true},
		`{"status_update":{"status":"running"}}`:                                                      {},
		`{"type":"connected"}`:                                                                        {},
		`{"type":"ping"}`:                                                                             {},
		`{"type":"output","content":"d","message":"no object"}`:                                       {text: "d"},
		`{"type":"status","status":"running"}`:                                                        {},
		`{"type":"status","status":"aborted"}`:                                                        {over: true},
		`{"type":"completed"}`:                                                                        {over: true},
		`{"type":"error","message":"it broke"}`:                                                       {over: true},
		`Stream complete`:                                                                             {over: true},
		`anything else`:                                                                               {},
		`{"jobFinished":null,"output":null,"message":null}`:                                           {},
		`{"output":7,"jobFinished":null,"status_update":"x","StatusUpdate":[],"type":{},"content":1}`: {},
		`[]`: {}, `null`: {}, `{}`: {}, `"Stream complete"`: {}, ``: {},
	} {
		assert.Equal(t, want, readEvent(data), data)
	}
}

func FuzzEvent(f *testing.F) {
	f.Add(`{"output":{"content":"a\n"}}`)
	f.Add(`{"Message":{"Message":{"StatusUpdate":{"status":3}}}}`)
	f.Add(`Stream complete`)
	f.Fuzz(func(t *testing.T, data string) {
		e := readEvent(data)
		if len(e.text) > 3*len(data)+3 {
			t.Errorf("%q says %q", data, e.text)
		}
	})
}

// TestCredentialsGoToTheAPIsOwnHostAlone has addresses of streams as a reply might tell them.
func TestCredentialsGoToTheAPIsOwnHostAlone(t *testing.T) {
	p, err := New(Config{APIKey: testKey})
	require.NoError(t, err)
	for told, want := range map[string]struct {
		base, path, query string
		key               bool
	}{
		"": {"https://api.lyceum.technology", "/api/v1/stream/e-1", "", true},
		"https://api.lyceum.technology/api/v1/stream/e-1?x=1": {"https://api.lyceum.technology", "/api/v1/stream/e-1", "x=1", true},
		"/api/v1/stream/other":                                {"https://api.lyceum.technology", "/api/v1/stream/other", "", true},
		"https://stream.lyceum.technology/s/1":                {"https://stream.lyceum.technology", "/s/1", "", false},
		"https://api.lyceum.technology.evil.test/s":           {"https://api.lyceum.technology.evil.test", "/s", "", false},
		"https://api.lyceum.technology:444/s":                 {"https://api.lyceum.technology:444", "/s", "", false},
		"//elsewhere.test/s":                                  {"https://elsewhere.test", "/s", "", false},
		"https://elsewhere.test":                              {"https://elsewhere.test", "/", "", false},
	} {
		api, req, err := p.stream(told, "e-1")
		require.NoError(t, err, told)
		assert.Equal(t, []any{want.base, want.path, want.query, want.key}, []any{api.Base(), req.Path, req.Query.Encode(), api == p.streams}, told)
	}
	for _, told := range []string{"http://api.lyceum.technology/s", "wss://api.lyceum.technology/s", "file:///etc/passwd", "https://u:p@api.lyceum.technology/s", "https:///s", "::", "javascript:x"} {
		_, _, err := p.stream(told, "e-1")
		assert.ErrorIs(t, err, runctl.ErrUnavailable, told)
	}
	root, err := New(Config{APIKey: testKey, BaseURL: "http://127.0.0.1:7"})
	require.NoError(t, err)
	api, _, err := root.stream("http://127.0.0.1:7/s", "e")
	require.NoError(t, err)
	assert.Same(t, root.streams, api, "what the API itself is")
	_, _, err = root.stream("http://127.0.0.1:8/s", "e")
	assert.Error(t, err)
}

func TestAStreamOfAnotherHostGetsNoKey(t *testing.T) {
	var got http.Header
	p, err := New(Config{APIKey: testKey, Transport: transport(func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return nil, http.ErrServerClosed
	})})
	require.NoError(t, err)
	r := &process{p: p, name: "e-1", url: "https://stream.test/s"}
	for range r.events(t.Context()) {
	}
	assert.Equal(t, "text/event-stream", got.Get("Accept"))
	assert.Empty(t, got.Get("Authorization"))
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
