package lyceum

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testKey = "lk_CANARY-of-the-inner-tests"

// reply is what a server answers: 200 without a status, JSON where it begins like that.
type reply struct {
	status int
	body   string
	head   map[string]string
}

// asked is one request that a server got.
type asked struct {
	call  string // METHOD path
	query string
	head  http.Header
	body  string
}

// server answers by a table, of which the last reply of a call is repeated, and remembers what it was asked.
type server struct {
	t     *testing.T
	url   string
	mu    sync.Mutex
	table map[string][]reply
	log   []asked
}

func newServer(t *testing.T, table map[string][]reply) *server {
	s := &server{t: t, table: table}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.Path
	s.mu.Lock()
	s.log = append(s.log, asked{call, r.URL.RawQuery, r.Header, string(body)})
	all, known := s.table[call]
	if len(all) > 1 {
		s.table[call] = all[1:]
	}
	s.mu.Unlock()
	if !known {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"detail":"Not Found"}`)
		return
	}
	for k, v := range all[0].head {
		w.Header().Set(k, v)
	}
	if all[0].status != 0 {
		w.WriteHeader(all[0].status)
	}
	_, _ = io.WriteString(w, all[0].body)
}

// RoundTrip lets the server be reached without a network, for tests on virtual time.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

// calls are the requests of one call.
func (s *server) calls(call string) (all []asked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.log {
		if a.call == call {
			all = append(all, a)
		}
	}
	return all
}

func (s *server) provider(change ...func(*Config)) *Provider {
	cfg := Config{APIKey: testKey, BaseURL: s.url}
	for _, f := range change {
		f(&cfg)
	}
	p, err := New(cfg)
	require.NoError(s.t, err)
	return p
}

func ok(body string) []reply { return []reply{{body: body}} }

func fields(t *testing.T, body string) (m map[string]any) {
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	return m
}
