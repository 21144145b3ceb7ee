package canary

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"runctl"
)

// credentials are what a provider holds.
type credentials struct {
	bearer    string // a token that goes with each request
	signature string // of a URL that the cloud has signed
	path      string // a control, in the same URL
}

func plantCredentials(h *hunt) credentials {
	return credentials{h.token("the provider's bearer token"), h.token("a signed URL's signature"), h.control("the path of a signed URL")}
}

// signed is a URL as clouds hand out for a file.
func (c credentials) signed() string {
	q := url.Values{"X-Amz-Date": {"20260101T000000Z"}, "X-Amz-Signature": {c.signature}, "X-Amz-Security-Token": {c.bearer}}
	return "https://bucket.example.com/" + c.path + "?" + q.Encode()
}

// sdkError is an error of an SDK that keeps its request. It is a struct, so that %#v sees into it.
type sdkError struct {
	Request string
	Header  http.Header
}

func (e sdkError) Error() string { return fmt.Sprint(e.Request, " ", e.Header) }

// sdkErrors are errors as SDKs make them, with what they were sent. Each has the control.
func (c credentials) sdkErrors() map[string]error {
	header := http.Header{"Authorization": {"Bearer " + c.bearer}, "X-Amz-Security-Token": {c.bearer}, "Cookie": {"session=" + c.bearer}}
	signed, own := c.signed(), sdkError{c.signed(), header}
	return map[string]error{
		"a signed URL":           &url.Error{Op: "Get", URL: signed, Err: io.ErrUnexpectedEOF},
		"a signed URL in text":   fmt.Errorf("GET %q: 403", signed),
		"a key in a URL":         &url.Error{Op: "Post", URL: "https://api.example.com/" + c.path + "?api_key=" + c.bearer, Err: io.EOF},
		"a user in a URL":        errors.New("dial https://user:" + c.bearer + "@host.example/" + c.path + ": refused"),
		"a path of a URL":        errors.New("PUT /" + c.path + "?X-Amz-Signature=" + c.signature + ": 403"),
		"a URL in a URL":         errors.New("redirected to /" + c.path + "?to=" + url.QueryEscape(signed)),
		"a URL in JSON":          errors.New(`{"url":"https:\/\/bucket.example.com\/` + c.path + `?X-Amz-Date=1\u0026X-Amz-Signature=` + c.signature + `"}`),
		"a bearer token":         errors.New(c.path + ": 401; sent Authorization: Bearer " + c.bearer),
		"a header in JSON":       errors.New(c.path + ` {"headers":{"Authorization":"Bearer ` + c.bearer + `","x-api-key":"` + c.bearer + `"}}`),
		"a header in Go":         fmt.Errorf("%s: %v", c.path, header),
		"a header in Go's words": fmt.Errorf("%s: %#v", c.path, header),
		"an API key":             errors.New(c.path + ": api_key=" + c.bearer + " apiKey: " + c.bearer + ` {"apiKey":"` + c.bearer + `"}`),
		"a token in JSON":        errors.New(c.path + `: {"token":"` + c.bearer + `","access_token":"` + c.bearer + `"}`),
		"a token in a form":      errors.New(c.path + ": grant_type=refresh&token=" + c.bearer + "&client_secret=" + c.bearer),
		"a header of AWS":        errors.New(c.path + ": Authorization: AWS4-HMAC-SHA256 Credential=AKIA/aws4_request, SignedHeaders=host, Signature=" + c.signature),
		"a struct":               own,
		"a struct with a code":   fmt.Errorf("operation error EC2: RunInstances, StatusCode: 403, api error AuthFailure %s: %w", c.path, own),
		"joined":                 errors.Join(errors.New(signed), &url.Error{Op: "Get", URL: signed, Err: io.EOF}),
		"ours, with a message":   &runctl.Error{Kind: runctl.ErrAuth, ID: signed, Key: signed, Msg: "GET " + signed, Err: own},
	}
}
