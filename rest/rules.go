package rest

import (
	"path"
	"strings"

	"runctl"
)

// Rule is a row of the table that makes errors of refusals. All of its conditions must hold; the first row whose
// do decides. A refusal that no row knows is ErrUnavailable, and claims nothing.
type Rule struct {
	Method string // empty: any
	Path   string // a pattern of path.Match for the request's path below Config.Base; empty: any
	Status int    // of HTTP; 0: any of 400 to 499
	Text   string // in lower case, contained in the cloud's words: title, detail, errors; empty: any
	// Raw lets the row see bodies that are no JSON object too, whose text then counts for Text. Such a body may come
	// from anybody on the way, such as a proxy.
	Raw bool

	Kind  runctl.Kind
	Scope runctl.Scope
	// NotStarted says that a refusal of this kind proves that nothing was started. It counts only for a reply with
	// the cloud's own words in it, and never for one of 5xx.
	NotStarted bool
	Reason     string // for a person: what is wrong and what to do; empty: the cloud's words speak for themselves
}

// Defaults are the rows for what statuses mean where a cloud has no meaning of its own for them. They belong at
// the end of a table.
var Defaults = []Rule{
	{Status: 400, Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true},
	{Status: 401, Kind: runctl.ErrAuth, Scope: runctl.ScopeAccount, NotStarted: true},
	{Status: 402, Kind: runctl.ErrPayment, Scope: runctl.ScopeAccount, NotStarted: true},
	{Status: 403, Kind: runctl.ErrAuth, Scope: runctl.ScopeAccount, NotStarted: true},
	{Status: 404, Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest, NotStarted: true},
	{Status: 409, Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest, NotStarted: true},
	{Status: 413, Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true},
	{Status: 422, Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true},
	{Status: 429, Raw: true, Kind: runctl.ErrRateLimit, Scope: runctl.ScopeAccount, NotStarted: true},
}

func (r Rule) matches(e *Error, words string) bool {
	if r.Path != "" {
		if ok, err := path.Match(r.Path, e.Path); err != nil || !ok {
			return false
		}
	}
	if e.Body != "" {
		words = strings.ToLower(e.Body)
	}
	return (r.Method == "" || r.Method == e.Method) && (r.Status == e.Status || r.Status == 0 && e.Status < 500) &&
		(r.Raw || e.Body == "") && strings.Contains(words, r.Text)
}

// classify makes the error of a refusal.
func (c *Client) classify(e *Error) *runctl.Error {
	out := &runctl.Error{Kind: runctl.ErrUnavailable, Err: e}
	if e.Status < 400 {
		return out // a redirect, or worse
	}
	words := e.words()
	for _, r := range c.cfg.Rules {
		if r.matches(e, words) {
			out.Kind, out.Scope, out.Msg = r.Kind, r.Scope, r.Reason
			out.NotStarted = r.NotStarted && e.Status < 500 && strings.TrimSpace(words) != ""
			break
		}
	}
	return out
}
