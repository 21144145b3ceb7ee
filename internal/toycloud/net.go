package toycloud

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Net is an http.RoundTripper that reaches clouds in memory, by the host of the URL.
type Net struct {
	mu     sync.Mutex
	clouds map[string]http.Handler
}

// Serve gives a cloud an address and returns its URL.
func (n *Net) Serve(h http.Handler) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.clouds == nil {
		n.clouds = map[string]http.Handler{}
	}
	host := fmt.Sprintf("cloud%d.test", len(n.clouds)+1)
	n.clouds[host] = h
	return "http://" + host
}

// RoundTrip implements http.RoundTripper.
func (n *Net) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	h := n.clouds[r.URL.Host]
	n.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}
