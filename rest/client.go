package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"runctl"
)

// Config is what a [Client] is made of. Base and UserAgent are required.
type Config struct {
	// Base is where the cloud is: https://HOST, with or without a port and a path. http is allowed for this computer,
	// and with a Transport.
	Base string
	// UserAgent says who asks. There are clouds whose edge refuses requests without.
	UserAgent string
	// Auth authorises each request; nil: nothing does.
	Auth Auth
	// Header goes with every request. Its values are masked as credentials are.
	Header http.Header
	// Rules make errors of refusals; nil: [Defaults].
	Rules []Rule
	// MaxBody is how much of a reply is read, in bytes after decompression; 0: 8 MiB. At most 32 MiB. Of a refusal at most 8 MiB.
	MaxBody int64
	// Transport carries the requests. nil: one of the client's own, without a proxy.
	Transport http.RoundTripper
}

// Client makes requests to one cloud. Make it with [New]; its methods may be called concurrently.
type Client struct {
	cfg  Config
	http *retryablehttp.Client
}

const (
	defaultBody = 8 << 20
	mostBody    = 32 << 20
)

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.Base)
	loopback := err == nil && (base.Hostname() == "localhost" || base.Hostname() == "127.0.0.1" || base.Hostname() == "::1")
	switch {
	case err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, invalid("the base address must be https://HOST, without user, query and fragment")
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback && cfg.Transport == nil):
		return nil, invalid("the base address must begin with https://: the credentials would be seen on the way")
	case strings.TrimSpace(cfg.UserAgent) == "":
		return nil, invalid("a User-Agent is required")
	case cfg.MaxBody < 0 || cfg.MaxBody > mostBody:
		return nil, invalid("MaxBody must be 1 to %d bytes", mostBody)
	}
	cfg.Base, cfg.MaxBody = strings.TrimRight(cfg.Base, "/"), cmp.Or(cfg.MaxBody, defaultBody)
	if cfg.Rules == nil {
		cfg.Rules = Defaults
	}
	if cfg.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.Proxy = nil
		cfg.Transport = own
	}
	return &Client{cfg: cfg, http: repeating(cfg.Transport)}, nil
}

func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}

// Format prints whose client it is, and none of its credentials, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "rest.Client(%s)", c.cfg.Base) }

// Base is the cloud's address, without a slash at its end.
func (c *Client) Base() string { return c.cfg.Base }

// Path joins parts to an absolute path, each of them escaped, so that an id can neither climb nor add a query. An
// empty part, "." and ".." become "-".
func Path(parts ...string) string {
	var s strings.Builder
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			p = "-"
		}
		s.WriteString("/" + url.PathEscape(p))
	}
	return s.String()
}

// Request is one request.
type Request struct {
	Method string
	Path   string // below Config.Base, escaped, with a leading slash: see [Path]
	Query  url.Values
	Header http.Header // values are masked as credentials are
	Body   any         // sent as JSON; nil: none
	// MaxBody is the longest body that may be sent, in bytes; a longer one is ErrInvalid, and nothing is sent. 0: no
	// bound.
	MaxBody int
	// Secrets are values within Body that must be seen in no error, should the cloud repeat them.
	Secrets []string
}

// Reply is what came with a reply beside its body.
type Reply struct {
	Status    int
	Header    http.Header
	Date      time.Time // the cloud's clock; zero: it did not tell
	RequestID string    // of the header X-Request-Id
}

func newReply(resp *http.Response) Reply {
	r := Reply{Status: resp.StatusCode, Header: resp.Header, RequestID: resp.Header.Get("X-Request-Id")}
	r.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	return r
}

// Do makes one request and decodes a reply of 2xx into out, unless that is nil. Fields that out does not have are
// passed over. An error is a [*runctl.Error]:
//
//   - a refusal, classified by Config.Rules, with the [*Error] in Err and RetryAfter set where the cloud asked for it;
//   - ErrUnavailable for every reply that is not as it should be: 5xx, a redirect, no JSON, too long, cut;
//   - without a kind, when the caller's context was cancelled.
//
// NotStarted is set by rules, and where no byte was sent. The reply is filled in wherever there was one.
func (c *Client) Do(ctx context.Context, req Request, out any) (Reply, error) {
	resp, m, err := c.send(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	reply := newReply(resp)
	e := &Error{Method: req.Method, Path: req.Path, Status: resp.StatusCode, RequestID: m.text(reply.RequestID, 128)}
	ok, most := resp.StatusCode >= 200 && resp.StatusCode <= 299, c.cfg.MaxBody
	if !ok {
		most = min(most, defaultBody)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return reply, &runctl.Error{Kind: kindOf(ctx, err), Err: m.failure(fmt.Sprintf("%s %s: status %d: the reply was cut", req.Method, req.Path, resp.StatusCode), err)}
	case int64(len(body)) > most:
		e.Problem = fmt.Sprintf("the reply is longer than %d bytes", most)
		return reply, &runctl.Error{Kind: runctl.ErrUnavailable, Err: e}
	case !ok:
		e.read(body, m)
		err := c.classify(e)
		err.RetryAfter = wait(resp.Header)
		return reply, err
	case out == nil:
		return reply, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		e.read(body, m)
		e.Problem = m.text("the reply cannot be read: "+err.Error(), 256)
		return reply, &runctl.Error{Kind: runctl.ErrUnavailable, Err: e}
	}
	return reply, nil
}

// kindOf is ErrUnavailable for what the network did, and none for the caller's own cancel.
func kindOf(ctx context.Context, err error) runctl.Kind {
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		return ""
	}
	return runctl.ErrUnavailable
}

// send makes the request and returns the reply with its body unread, and what must be masked in texts about it.
func (c *Client) send(ctx context.Context, r Request) (*http.Response, mask, error) {
	what := r.Method + " " + r.Path
	unsent := func(kind runctl.Kind, m mask, err error) error {
		return &runctl.Error{Kind: kind, NotStarted: true, Err: m.failure(what, err)}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, unsent(kindOf(ctx, err), nil, context.Cause(ctx))
	}
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if c.cfg.Auth != nil {
		name, value, err := c.cfg.Auth(ctx)
		if err != nil {
			return nil, nil, unsent(runctl.ErrAuth, newMask(req.Header, append(r.Secrets, value)), err)
		}
		req.Header.Set(name, value)
	}
	m := newMask(req.Header, r.Secrets)
	var sent trace
	resp, err := c.http.Do(req.WithContext(sent.watch(context.WithValue(ctx, methodKey{}, r.Method))))
	if err == nil {
		return resp, m, nil
	}
	return nil, nil, &runctl.Error{Kind: kindOf(ctx, err), NotStarted: sent.nothing(), Err: m.failure(what, err)}
}

// request builds the HTTP request.
func (c *Client) request(ctx context.Context, r Request) (*retryablehttp.Request, error) {
	var body []byte
	if r.Body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.Body); err != nil {
			return nil, invalid("%s %s: the request cannot be written as JSON", r.Method, r.Path)
		}
		if body = bytes.TrimSuffix(b.Bytes(), []byte("\n")); r.MaxBody > 0 && len(body) > r.MaxBody {
			return nil, invalid("the request would have %d bytes, and the cloud takes %d", len(body), r.MaxBody)
		}
	}
	address := c.cfg.Base + r.Path
	if len(r.Query) > 0 {
		address += "?" + r.Query.Encode()
	}
	if !strings.HasPrefix(r.Path, "/") {
		return nil, invalid("the path %q must begin with a slash", r.Path)
	}
	var raw any
	if body != nil {
		raw = body
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, r.Method, address, raw)
	if err != nil {
		return nil, invalid("%s %q: no request can be made of this", r.Method, r.Path)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, c.cfg.Header)
	maps.Copy(req.Header, r.Header)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	return req, nil
}
