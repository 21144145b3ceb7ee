package aws

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"runctl/internal/replies"
)

// maxReply is how many bytes of a reply are read.
var maxReply int64 = replies.Max

// maxRefusal is how much of a refusal is read: it is a code and a text.
const maxRefusal = 64 << 10

// careful is an HTTP client with what the SDK lets through: it follows no redirect; it reads no reply without an end; what a
// request was authorised by is masked in a reply that repeats it, since the SDK's errors quote those; and a page that somebody
// between has put in the place of EC2's reply is an error, where the SDK sees an empty listing.
func careful(c awssdk.HTTPClient) *http.Client { return replies.Client(c, check) }

// sockets is a client for websockets, with the proxies and certificates of the SDK's configuration.
func sockets(c awssdk.HTTPClient) *http.Client {
	own := replies.Plain(c)
	own.Timeout = 0
	return own
}

// xmlReply is how a reply of EC2's begins.
var xmlReply = regexp.MustCompile(`^\s*(<\?xml[^>]*\?>\s*)?<[A-Za-z0-9]+Response[\s>]`)

// check looks at a reply before anybody reads it.
func check(r *http.Request, reply *http.Response) {
	body := replies.Bound(reply.Body, maxReply)
	reply.Body = body
	mask(r, reply)
	if reply.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return
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
