package rest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxText is the longest text, in bytes, that an error keeps of a reply.
const maxText = 1 << 10

// Error is a reply that is not the one that was asked for: a refusal, a redirect, or one that cannot be read.
// It is the Err of the [*runctl.Error] that [Client.Do] returns, and is found there by errors.As. Its texts are the
// cloud's, with credentials masked, on one line each, at most 1 KiB.
type Error struct {
	Method, Path string // of the request; without its query
	Status       int    // of HTTP
	Title        string // of a problem document (RFC 9457), or what comes nearest
	Detail       string
	Errors       []string // single violations, where the cloud lists them
	Body         string   // the beginning of a body that is no JSON object
	RequestID    string   // of the header X-Request-Id: what the cloud's support asks for
	Problem      string   // what was wrong with the reply itself; empty for a plain refusal
}

// Error is one line: the request, the status, the cloud's words.
func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s: status %d", e.Method, e.Path, e.Status)
	said := []string{e.Problem, e.Title}
	if e.Detail != e.Title {
		said = append(said, e.Detail)
	}
	for _, part := range append(append(said, e.Errors...), e.Body) {
		if part != "" {
			s.WriteString(": " + part)
		}
	}
	if e.RequestID != "" {
		s.WriteString(" (request " + e.RequestID + ")")
	}
	return s.String()
}

// words is all that the cloud said, in lower case.
func (e *Error) words() string {
	return strings.ToLower(strings.Join(append([]string{e.Title, e.Detail}, e.Errors...), "\n"))
}

// read fills in what a body says. A body that is no JSON object is kept as it begins.
func (e *Error) read(body []byte, m mask) {
	var doc map[string]json.RawMessage
	if json.Unmarshal(body, &doc) != nil || doc == nil {
		e.Body = m.text(string(body), 512)
		return
	}
	first := func(names ...string) string {
		for _, n := range names {
			if s := said(doc[n]); s != "" {
				return m.text(s, maxText)
			}
		}
		return ""
	}
	e.Title = first("title", "code", "error_code")
	e.Detail = first("detail", "message", "error", "msg", "text")
	var all []json.RawMessage
	if json.Unmarshal(doc["errors"], &all) == nil {
		for _, one := range all[:min(len(all), 16)] {
			if s := m.text(said(one), 256); s != "" {
				e.Errors = append(e.Errors, s)
			}
		}
	}
}

// said is a value as words: a list of objects one after the other, everything else as one. A list within a list is
// JSON: to look into it would cost its length again at every depth.
func said(v json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil || len(list) == 0 || list[0][0] != '{' {
		return one(v)
	}
	var all []string
	for _, v := range list[:min(len(list), 16)] {
		all = append(all, one(v))
	}
	return strings.Join(all, "; ")
}

// one is a value as words: a string as it is, an object's own message with the place that it is about, everything
// else as JSON. Some clouds repeat in such an object what they were sent; that is left out.
func one(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var o struct {
		Message, Msg, Detail string
		Loc                  []any
	}
	if json.Unmarshal(v, &o) == nil && o.Message+o.Msg+o.Detail != "" {
		if len(o.Loc) > 0 {
			o.Message = strings.ReplaceAll(strings.Trim(fmt.Sprint(o.Loc), "[]"), " ", ".") + ": " + o.Message
		}
		return strings.Join(strings.Fields(o.Message+" "+o.Msg+" "+o.Detail), " ")
	}
	if t := strings.TrimSpace(string(v)); t != "null" && t != "{}" && t != "[]" {
		return t
	}
	return ""
}
