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

// Sent stands in the texts of a fault, with repeats in its headers, for what the request was authorised by: the cloud repeats it.
const (
	Sent    = "{{sent}}"
	repeats = "X-Repeats"
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
	var all []string
	for _, name := range credentials {
		all = append(all, r.Header[name]...)
	}
	sent := strings.Join(all, " ")
	n.note(r, all)
	reply, err := n.net.RoundTrip(r)
	if err != nil || reply.Header.Get(repeats) == "" {
		return reply, err
	}
	reply.Header.Del(repeats)
	for _, values := range reply.Header {
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], Sent, sent)
		}
	}
	body, err := io.ReadAll(reply.Body)
	_ = reply.Body.Close()
	if err != nil {
		return nil, err
	}
	body = bytes.ReplaceAll(body, []byte(Sent), []byte(sent))
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	reply.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return reply, nil
}

func (n *tap) note(r *http.Request, all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.host, n.seen = r.URL.Host, map[string]bool{}
	}
	for _, value := range all {
		secret := value[strings.LastIndexByte(value, ' ')+1:]
		if m := signature.FindStringSubmatch(value); m != nil {
			secret = m[1]
		}
		n.seen[secret] = true
	}
	if r.URL.Host == n.host {
		return
	}
	for secret := range n.seen {
		if len(all) > 0 || strings.Contains(r.URL.String(), secret) {
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
