package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Answer is a reply before it is sent. A nil Body is none.
type Answer struct {
	Status int
	Body   any
	Kind   string // Content-Type; empty: JSON
}

// encode makes the body, and its headers.
func (a Answer) encode(h http.Header) []byte {
	if a.Body == nil {
		return nil
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.Body); err != nil {
		panic(err)
	}
	h.Set("Content-Type", cmp.Or(a.Kind, "application/json"))
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	return b.Bytes()
}

// Fail answers as the fault has it; a is the reply that was due. kind is the Content-Type of a fault that names none.
func (x *Fault) Fail(w http.ResponseWriter, a Answer, kind string) {
	x.Reply(w, a.Status, a.encode(w.Header()), kind)
}

// Steps are what a face adds to the serving of a request. All but Query and Stream are required.
type Steps struct {
	Faults  *Faults
	Kind    string                                        // Content-Type of a fault that names none
	Query   []string                                      // keys that are taken though the document does not have them
	Refuse  func(status int) Answer                       // 404 and 405
	Admit   func(h http.Header) (no Answer, refused bool) // before anything else is looked at
	Invalid func(wrongs []string) (no Answer, refused bool)
	Stream  func() bool   // answers an operation whose reply has no end; false: this one has
	Do      func() Answer // does what was asked for; a zero Status: the face does not serve it
}

// Serve answers a request of the document: it is held against that, admitted, meets its fate, and is done. What a correct client never
// sends is kept among the violations.
func (x *Exchange) Serve(w http.ResponseWriter, d *Document, s Steps) {
	no, refused := x.look(w, d, s)
	if refused {
		x.Send(w, no)
		return
	}
	fault := s.Faults.Take(x.Op)
	if !fault.Wait(x.Request.Context()) {
		panic(http.ErrAbortHandler)
	}
	if fault != nil && fault.OnlyWaits() {
		fault = nil
	}
	if fault != nil && !fault.Acts {
		fault.Fail(w, Answer{}, s.Kind)
		return
	}
	if s.Stream != nil && s.Stream() {
		return
	}
	a := s.Do()
	switch {
	case a.Status == 0:
		x.Checks.Wrong("%s: not served by this face", x.Op)
		x.Send(w, s.Refuse(http.StatusNotFound))
	case fault != nil:
		fault.Fail(w, a, s.Kind)
	default:
		x.Send(w, a)
	}
}

// look is all that may refuse a request before its fate.
func (x *Exchange) look(w http.ResponseWriter, d *Document, s Steps) (no Answer, refused bool) {
	switch ok, wrongMethod := x.Find(d); {
	case wrongMethod:
		x.Checks.Wrong("%s %s: no such method there", x.Request.Method, x.Request.URL.Path)
		return s.Refuse(http.StatusMethodNotAllowed), true
	case !ok:
		x.Checks.Wrong("%s %s: no such path", x.Request.Method, x.Request.URL.Path)
		return s.Refuse(http.StatusNotFound), true
	}
	invalid, undeclared := x.Wrongs(s.Query...)
	for _, key := range undeclared { // APIs ignore them, which hides mistakes
		x.Checks.Wrong("%s: undeclared query key %q", x.Op, key)
	}
	if no, refused := s.Admit(w.Header()); refused {
		return no, true
	}
	if len(invalid) == 0 {
		return Answer{}, false
	}
	x.Checks.Wrong("%s: %s", x.Op, strings.Join(invalid, "; "))
	return s.Invalid(invalid)
}

// Send writes a reply, held against the document where the operation is in it.
func (x *Exchange) Send(w http.ResponseWriter, a Answer) {
	body := a.encode(w.Header())
	if x.Op != "" && !x.Unchecked {
		x.CheckReply(a.Status, w.Header(), body)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(body)
}
