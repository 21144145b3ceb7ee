package rest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const masked = "[redacted]"

// mask are the values that must not be seen in any text about one request.
type mask []string

// plainHeaders have values that are no secret.
var plainHeaders = []string{"Accept", "Accept-Encoding", "Cache-Control", "Content-Type", "Last-Event-Id", "User-Agent"}

// newMask collects a request's secrets: the values of its headers, and what the caller names. A short value is no
// secret, and would mask half of every text.
func newMask(h http.Header, more []string) mask {
	var m mask
	add := func(s string) {
		_, token, _ := strings.Cut(s, " ") // of "Bearer TOKEN"
		for _, s := range []string{s, token} {
			if len(s) < 6 {
				continue
			}
			quoted, _ := json.Marshal(s)
			m = append(m, s, string(quoted[1:len(quoted)-1]), url.QueryEscape(s), url.PathEscape(s),
				strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="))
		}
	}
	for name, values := range h {
		if slices.Contains(plainHeaders, http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, v := range values {
			add(v)
		}
	}
	for _, s := range more {
		add(s)
	}
	slices.SortFunc(m, func(a, b string) int { return len(b) - len(a) }) // a part of a secret must not hide the rest
	return slices.Compact(m)
}

// text makes what came from outside fit for an error: masked, on one line, at most n bytes.
func (m mask) text(s string, n int) string {
	for _, secret := range m {
		s = strings.ReplaceAll(s, secret, masked)
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }), " ")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// failure is an error of the network with a text that is safe to print. What it stands for is found by errors.Is
// and errors.As, and not by unwrapping, which would show the text as it was.
type failure struct {
	text string
	err  error
}

// failure makes an error safe to print. A *url.Error gives up its URL, which may be signed.
func (m mask) failure(what string, err error) error {
	cause := err
	if u := (*url.Error)(nil); errors.As(err, &u) {
		cause = u.Err
	}
	return &failure{text: m.text(what+": "+cause.Error(), maxText), err: err}
}

func (f *failure) Error() string        { return f.text }
func (f *failure) GoString() string     { return f.text }
func (f *failure) Is(target error) bool { return errors.Is(f.err, target) }
func (f *failure) As(target any) bool   { return errors.As(f.err, target) }
