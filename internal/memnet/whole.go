package memnet

import (
	"bytes"
	"io"
	"net/http"
)

// Whole sends requests whose bodies were read before, and closed. A client that closes a request's body when the reply's
// header is there, as AWS's SDK does, races with a transport that has yet to see the body's end: on a network, where writing
// returns at once, hardly ever, and over these pipes often.
func Whole(t http.RoundTripper) http.RoundTripper { return whole{t} }

type whole struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return w.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	c := r.Clone(r.Context())
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return w.next.RoundTrip(c)
}

// CloseIdleConnections closes those of the transport behind.
func (w whole) CloseIdleConnections() {
	if c, ok := w.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
