// Package replies looks at what comes back to the AWS SDK's clients before they do: those follow redirects, and read
// replies of any length.
package replies

import (
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Max is how many bytes of a reply are read that is kept in memory.
const Max = 32 << 20

// Client is c, which follows no redirect, since that would take a session's token to another host, and whose every reply
// is shown to look before anybody reads it. nil is the SDK's own. A client of another kind than the SDK's and net/http's
// keeps its own way with redirects.
func Client(c aws.HTTPClient, look func(*http.Request, *http.Response)) aws.HTTPClient {
	own := &http.Client{}
	switch c := c.(type) {
	case nil:
		own.Transport = awshttp.NewBuildableClient().GetTransport()
	case *awshttp.BuildableClient:
		own.Transport, own.Timeout = c.GetTransport(), c.GetTimeout()
	case *http.Client:
		*own = *c
	default:
		return looking{c.Do, look}
	}
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.Transport = looking{own.Transport.RoundTrip, look}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return own
}

// looking is a client, or a transport.
type looking struct {
	do   func(*http.Request) (*http.Response, error)
	look func(*http.Request, *http.Response)
}

// Do implements aws.HTTPClient.
func (l looking) Do(r *http.Request) (*http.Response, error) {
	reply, err := l.do(r)
	if err == nil && reply.Body != nil {
		l.look(r, reply)
	}
	return reply, err
}

// RoundTrip implements http.RoundTripper.
func (l looking) RoundTrip(r *http.Request) (*http.Response, error) { return l.Do(r) }

// Bound is a body of which at most Max bytes are read; whoever reads on gets an error.
func Bound(body io.ReadCloser) io.ReadCloser { return &bounded{body, Max} }

type bounded struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("a reply of more than 32 MiB")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
