// Package replies looks at what comes back to the AWS SDK's clients before they do: those follow redirects, and read
// replies of any length.
package replies

import (
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Max is how many bytes of a reply are read that is kept in memory.
const Max = 32 << 20

// Plain is a client of the SDK's as one of net/http's, which follows no redirect, since that would take a session's token to
// another host. nil is the SDK's own. A client of another kind than the SDK's and net/http's keeps its own way with redirects.
func Plain(c aws.HTTPClient) *http.Client {
	own := &http.Client{}
	switch c := c.(type) {
	case nil:
		own.Transport = awshttp.NewBuildableClient().GetTransport()
	case *awshttp.BuildableClient:
		own.Transport, own.Timeout = c.GetTransport(), c.GetTimeout()
	case *http.Client:
		*own = *c
	default:
		own.Transport = direct{c}
	}
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return own
}

// Client is Plain, and every reply that has a body is shown to look before anybody reads it.
func Client(c aws.HTTPClient, look func(*http.Request, *http.Response)) *http.Client {
	own := Plain(c)
	own.Transport = looking{own.Transport, look}
	return own
}

// direct is a client of the SDK's kind as a transport.
type direct struct{ aws.HTTPClient }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) { return d.Do(r) }

type looking struct {
	http.RoundTripper
	look func(*http.Request, *http.Response)
}

// RoundTrip implements http.RoundTripper.
func (l looking) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := l.RoundTripper.RoundTrip(r)
	if err == nil && reply.Body != nil {
		l.look(r, reply)
	}
	return reply, err
}

// Bound is a body of which at most so many bytes are read; whoever reads on gets an error.
func Bound(body io.ReadCloser, most int64) io.ReadCloser { return &bounded{body, most, most} }

type bounded struct {
	io.ReadCloser
	most, left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a reply of more than %d MiB", b.most>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
