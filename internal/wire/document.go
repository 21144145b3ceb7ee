package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// textKinds are text to a document: a string without a form.
var textKinds = sync.OnceFunc(func() {
	for _, kind := range []string{"text/event-stream", "text/html"} {
		openapi3filter.RegisterBodyDecoder(kind, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			b, err := io.ReadAll(body)
			return string(b), err
		})
	}
})

// Document is an OpenAPI document. Make it with [NewDocument], once in a process; it may be used concurrently.
type Document struct {
	load     func() (routers.Router, error)
	volatile *regexp.Regexp
	fine     sync.Map // sums of requests and replies that were found valid: the same is not looked at again, which takes long
}

// NewDocument returns the document, which is read at its first use. Its servers are not looked at: a face has another
// address. volatile finds what changes with time in a reply and can make none invalid; nil: nothing.
func NewDocument(text []byte, volatile *regexp.Regexp) *Document {
	return &Document{volatile: volatile, load: sync.OnceValues(func() (routers.Router, error) {
		textKinds()
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			return nil, err
		}
		if err := doc.Validate(context.Background()); err != nil {
			return nil, err
		}
		doc.Servers = nil
		return gorillamux.NewRouter(doc)
	})}
}

// Exchange is one request. Request and Checks are required; Op and Path are known once [Exchange.Find] has found it.
type Exchange struct {
	Request *http.Request
	Body    []byte
	Checks  *Checks
	Op      string            // operationId
	Path    map[string]string // parameters, unescaped
	// Unchecked: replies have what the document does not.
	Unchecked bool

	doc   *Document
	input *openapi3filter.RequestValidationInput
}

// Find places the request in a document. Not ok: there is no such path, or it has no such method. A document that cannot
// be read panics.
func (x *Exchange) Find(d *Document) (ok, wrongMethod bool) {
	router, err := d.load()
	if err != nil {
		panic(err)
	}
	route, params, err := router.FindRoute(x.Request)
	if err != nil {
		return false, errors.Is(err, routers.ErrMethodNotAllowed)
	}
	x.doc, x.Op, x.Path = d, route.Operation.OperationID, map[string]string{}
	for k, v := range params {
		if u, err := url.PathUnescape(v); err == nil {
			v = u
		}
		x.Path[k] = v
	}
	x.input = &openapi3filter.RequestValidationInput{
		Request: x.Request, PathParams: x.Path, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // faces do it, with the API's own replies
			MultiError:          true,
			SkipSettingDefaults: true, // they would hide what a request has left out
		},
	}
	return true, false
}

// Wrongs returns what is invalid in the request by the document, and which of its query keys are neither in the document
// nor in more.
func (x *Exchange) Wrongs(more ...string) (invalid, undeclared []string) {
	x.Checks.Count(1, 0)
	route := x.input.Route
	said := fmt.Appendf(nil, "%s %s %q", x.Op, x.Request.URL.RequestURI(), x.Request.Header["Content-Type"])
	for _, p := range route.Operation.Parameters {
		if p.Value != nil && p.Value.In == "header" {
			said = fmt.Appendf(said, " %q", x.Request.Header.Values(p.Value.Name))
		}
	}
	sum := sha256.Sum256(fmt.Appendf(said, "\n%s", x.Body))
	if _, known := x.doc.fine.Load(sum); !known {
		x.Request.Body = io.NopCloser(bytes.NewReader(x.Body))
		if err := openapi3filter.ValidateRequest(x.Request.Context(), x.input); err != nil {
			for _, e := range flat(err) {
				invalid = append(invalid, short(e))
			}
		} else {
			x.doc.fine.Store(sum, nil)
		}
	}
	for key := range x.Request.URL.Query() {
		known := func(ps openapi3.Parameters) bool { return ps.GetByInAndName("query", key) != nil }
		if !known(route.Operation.Parameters) && !known(route.PathItem.Parameters) && !slices.Contains(more, key) {
			undeclared = append(undeclared, key)
		}
	}
	sort.Strings(undeclared)
	return invalid, undeclared
}

// CheckReply holds a reply against the document. A reply that a fault has made is not the document's.
func (x *Exchange) CheckReply(status int, head http.Header, body []byte) {
	x.Checks.Count(0, 1)
	same := body
	if v := x.doc.volatile; v != nil {
		same = v.ReplaceAll(body, nil)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s\n%s", x.Op, status, head.Get("Content-Type"), same))
	if _, known := x.doc.fine.Load(sum); known {
		return
	}
	err := openapi3filter.ValidateResponse(x.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: x.input, Status: status, Header: head, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		x.Checks.Wrong("reply %d of %s: %s", status, x.Op, short(err))
		return
	}
	x.doc.fine.Store(sum, nil)
}

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
