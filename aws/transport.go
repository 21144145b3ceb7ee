package aws

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxReply is how many bytes of a reply are read.
var maxReply int64 = 32 << 20

// maxRefusal is how much of a refusal is read: it is a code and a text.
const maxRefusal = 64 << 10

// careful is an HTTP client with what the SDK lets through: it follows no redirect, which would take the session's token to
// another host; it reads no reply without an end; what a request was authorised by is masked in a refusal that repeats it, since the SDK's errors
// quote those; and a page that somebody between has put in the place of EC2's reply is an
// error, where the SDK sees an empty listing. A client of another kind than the SDK's own and net/http's keeps its own way with
// redirects.
func careful(c awssdk.HTTPClient) *http.Client {
	own := plain(c)
	own.Transport = checked{own.Transport}
	return own
}

// sockets is a client for websockets, with the proxies and certificates of the SDK's configuration.
func sockets(c awssdk.HTTPClient) *http.Client {
	own := plain(c)
	own.Timeout = 0
	return own
}

// plain is a client of the SDK's as one of net/http's, which follows no redirect.
func plain(c awssdk.HTTPClient) *http.Client {
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

// direct is a client of the SDK's kind as a transport.
type direct struct{ awssdk.HTTPClient }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) { return d.Do(r) }

// checked looks at every reply before anybody reads it.
type checked struct{ http.RoundTripper }

// xmlReply is how a reply of EC2's begins.
var xmlReply = regexp.MustCompile(`^\s*(<\?xml[^>]*\?>\s*)?<[A-Za-z0-9]+Response[\s>]`)

// RoundTrip implements [http.RoundTripper].
func (t checked) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := t.RoundTripper.RoundTrip(r)
	if err != nil || reply.Body == nil {
		return reply, err
	}
	body := &bounded{reply.Body, maxReply}
	reply.Body = body
	if mask(r, reply); reply.StatusCode >= 300 {
		return reply, nil
	}
	if reply.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return reply, nil
	}
	text := bufio.NewReader(body)
	begin, err := text.Peek(512)
	var from io.Reader = text
	if (err == nil || err == io.EOF) && !xmlReply.Match(begin) {
		from = strange{} // and not an error of this call, which would be made again
	}
	reply.Body = struct {
		io.Reader
		io.Closer
	}{from, body}
	return reply, nil
}

// mask takes the session's token and the signature out of a reply's headers, and out of a refusal.
func mask(r *http.Request, reply *http.Response) {
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	clean := func(s string) string {
		for _, secret := range []string{r.Header.Get("X-Amz-Security-Token"), signature} {
			if secret != "" {
				s = strings.ReplaceAll(s, secret, "[redacted]")
			}
		}
		return s
	}
	for _, values := range reply.Header {
		for n := range values {
			values[n] = clean(values[n])
		}
	}
	if reply.StatusCode < 300 {
		return
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxRefusal))
	var rest io.Reader = strings.NewReader("")
	if err != nil {
		rest = cut{err}
	}
	reply.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(clean(string(text))), rest), reply.Body}
}

// cut is the end of a body that broke off.
type cut struct{ err error }

// Read implements io.Reader.
func (c cut) Read([]byte) (int, error) { return 0, c.err }

// strange is the body of a reply that is not EC2's.
type strange struct{}

// Read implements io.Reader.
func (strange) Read([]byte) (int, error) {
	return 0, errors.New("the reply is not EC2's: its status is 200, and it is no XML of a response")
}

// bounded is a body of which so much is read.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a reply of more than %d MiB", maxReply>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
