package cloudtest

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What stands in the texts of a fault, with repeats in its headers, for what the request was authorised by: the cloud repeats it.
const (
	Sent    = "{{sent}}"  // all of it: keys, tokens and signatures, bare and as the headers have them
	Bare    = "{{bare}}"  // one key or signature
	repeats = "X-Repeats" // in a reply
)

// credentials are the headers that authorise a request.
var credentials = []string{"Authorization", "X-Amz-Security-Token"}

// tap is a network on which credentials go to the cloud alone, and which notes them.
type tap struct {
	t   *testing.T
	net http.RoundTripper

	mu   sync.Mutex
	host string          // the first that was spoken to: the cloud's
	seen map[string]bool // credentials that went over it: tokens, and signatures
}

var signature = regexp.MustCompile(`Signature=(\S+)`)

// RoundTrip implements http.RoundTripper.
func (n *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	var all, bare []string
	for _, name := range credentials {
		all = append(all, r.Header[name]...)
	}
	for _, value := range all {
		secret := value[strings.LastIndexByte(value, ' ')+1:]
		if m := signature.FindStringSubmatch(value); m != nil {
			secret = m[1]
		}
		bare = append(bare, secret)
	}
	n.note(r, bare)
	reply, err := n.net.RoundTrip(r)
	if err != nil || reply.Header.Get(repeats) == "" || len(bare) == 0 {
		return reply, err
	}
	reply.Header.Del(repeats)
	said := strings.NewReplacer(Sent, strings.Join(append(bare, all...), " "), Bare, bare[0])
	for _, values := range reply.Header {
		for i := range values {
			values[i] = said.Replace(values[i])
		}
	}
	body, err := io.ReadAll(reply.Body)
	_ = reply.Body.Close()
	if err != nil {
		return nil, err
	}
	body = []byte(said.Replace(string(body)))
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	reply.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return reply, nil
}

func (n *tap) note(r *http.Request, bare []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.host, n.seen = r.URL.Host, map[string]bool{}
	}
	for _, secret := range bare {
		n.seen[secret] = true
	}
	if r.URL.Host == n.host {
		return
	}
	for secret := range n.seen {
		if len(bare) > 0 || strings.Contains(r.URL.String(), secret) {
			n.t.Errorf("credentials went to %s", r.URL.Host)
			return
		}
	}
}

// tokens are the credentials that went over the network so far.
func (n *tap) tokens() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.seen {
		all = append(all, s)
	}
	return all
}
