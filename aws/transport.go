package aws

import (
	"errors"
	"io"
	"net/http"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxBody is how much of a reply is read at most: a listing of a thousand machines is a few MiB.
const maxBody = 32 << 20

// bounded is the HTTP client of an SDK's configuration for calls whose replies are small: it reads no more of one than
// maxBody, and follows no redirect, since AWS's APIs have none and the signed headers would go along.
type bounded struct{ awssdk.HTTPClient }

// plain makes a bounded client of a configured one, nil for the SDK's own.
func plain(c awssdk.HTTPClient) awssdk.HTTPClient {
	if c == nil {
		c = awshttp.NewBuildableClient()
	}
	if b, ok := c.(*awshttp.BuildableClient); ok {
		c = b.Freeze()
	}
	if h, ok := c.(*http.Client); ok {
		own := *h
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c = &own
	}
	return bounded{c}
}

// Do implements [awssdk.HTTPClient].
func (b bounded) Do(r *http.Request) (*http.Response, error) {
	reply, err := b.HTTPClient.Do(r)
	if err == nil && reply.Body != nil {
		reply.Body = &body{reply.Body, maxBody}
	}
	return reply, err
}

// body is a reply's, up to its bound.
type body struct {
	io.ReadCloser
	left int
}

var errHuge = errors.New("the reply is longer than 32 MiB")

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errHuge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
