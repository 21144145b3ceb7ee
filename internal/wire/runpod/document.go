package runpod

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed testdata/runpod.openapi.json
var openapi []byte

// official is RunPod's own document. It is read once in a process, which takes a moment.
var official = sync.OnceValues(func() (routers.Router, error) {
	// Frames of a stream are text to the document: a string without a form.
	openapi3filter.RegisterBodyDecoder("text/event-stream", func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		b, err := io.ReadAll(body)
		return string(b), err
	})
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	doc.Servers = nil // any host: the face has another address than the document says
	return gorillamux.NewRouter(doc)
})

// checks counts what was held against the document, and keeps what was wrong.
type checks struct {
	mu                  sync.Mutex
	requests, responses int
	wrong               []string
}

// Checked returns how many requests and replies were held against the official document.
func (f *Face) Checked() (requests, responses int) {
	f.checks.mu.Lock()
	defer f.checks.mu.Unlock()
	return f.checks.requests, f.checks.responses
}

// Violations returns what a correct client and a correct face never do: requests and replies that are invalid by the official
// document, and requests that break a rule which the document has in prose only. Empty: none.
func (f *Face) Violations() []string {
	f.checks.mu.Lock()
	defer f.checks.mu.Unlock()
	return append([]string(nil), f.checks.wrong...)
}

func (f *Face) violation(format string, args ...any) {
	f.checks.mu.Lock()
	defer f.checks.mu.Unlock()
	f.checks.wrong = append(f.checks.wrong, strings.ReplaceAll(fmt.Sprintf(format, args...), f.opt.Key, "<KEY>"))
}

// exchange is one request with its place in the document.
type exchange struct {
	f     *Face
	r     *http.Request
	body  []byte
	input *openapi3filter.RequestValidationInput
	op    string            // operationId
	path  map[string]string // parameters, unescaped
	pod   *pod              // whose key was used; nil: the account's
}

// find places a request in the document. Not ok: there is no such path, or it has no such method.
func (x *exchange) find(router routers.Router) (ok, wrongMethod bool) {
	route, params, err := router.FindRoute(x.r)
	if err != nil {
		return false, errors.Is(err, routers.ErrMethodNotAllowed)
	}
	x.op, x.path = route.Operation.OperationID, map[string]string{}
	for k, v := range params {
		if u, err := url.PathUnescape(v); err == nil {
			v = u
		}
		x.path[k] = v
	}
	x.input = &openapi3filter.RequestValidationInput{
		Request: x.r, PathParams: x.path, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // the face does it, with the API's own replies
			MultiError:          true,
			SkipSettingDefaults: true, // they would hide what a request has left out
		},
	}
	return true, false
}

// wrongs returns what is invalid in the request by the document, and which of its query keys the document does not declare.
func (x *exchange) wrongs() (invalid, undeclared []string) {
	x.f.checks.mu.Lock()
	x.f.checks.requests++
	x.f.checks.mu.Unlock()
	x.r.Body = io.NopCloser(bytes.NewReader(x.body))
	if err := openapi3filter.ValidateRequest(x.r.Context(), x.input); err != nil {
		for _, e := range flat(err) {
			invalid = append(invalid, short(e))
		}
	}
	route := x.input.Route
	for key := range x.r.URL.Query() {
		known := func(ps openapi3.Parameters) bool { return ps.GetByInAndName("query", key) != nil }
		if !known(route.Operation.Parameters) && !known(route.PathItem.Parameters) && !(x.f.opt.PageSize > 0 && (key == "cursor" || key == "limit")) {
			undeclared = append(undeclared, key)
		}
	}
	sort.Strings(undeclared)
	return invalid, undeclared
}

// checkReply holds a reply against the document. A reply that a fault has made is not the document's.
func (x *exchange) checkReply(status int, head http.Header, body []byte) {
	x.f.checks.mu.Lock()
	x.f.checks.responses++
	x.f.checks.mu.Unlock()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s\n%s", x.op, status, head.Get("Content-Type"), seconds.ReplaceAll(body, []byte(`"uptime":0`))))
	if _, same := fine.Load(sum); same {
		return
	}
	err := openapi3filter.ValidateResponse(x.r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: x.input, Status: status, Header: head, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		x.f.violation("reply %d of %s: %s", status, x.op, short(err))
		return
	}
	fine.Store(sum, nil)
}

// fine has the sums of replies that were found valid: the same reply again is not looked at again, which takes long. So
// is one that differs in how long pods have run.
var (
	fine    sync.Map
	seconds = regexp.MustCompile(`"uptime":\d+`)
)

// flat takes a list of errors apart.
func flat(err error) []error {
	var many openapi3.MultiError
	if !errors.As(err, &many) {
		return []error{err}
	}
	return many
}

// short is the first line of an error: what follows quotes whole schemas.
func short(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
