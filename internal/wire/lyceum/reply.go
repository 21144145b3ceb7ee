package lyceum

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// answer is a reply before it is sent. A nil body is none.
type answer struct {
	status int
	body   any
}

func ok(body any) answer { return answer{http.StatusOK, body} }

// refuse is the API's form of an error: a detail in words.
func refuse(status int, detail string) answer {
	return answer{status, map[string]any{"detail": detail}}
}

// malformed is its form for a body or a parameter that cannot be read: a detail that is a list.
func malformed(wrongs []string) answer {
	list := []map[string]any{}
	for n, w := range wrongs {
		list = append(list, map[string]any{"loc": []any{"body", n}, "msg": w, "type": "value_error"})
	}
	return answer{http.StatusUnprocessableEntity, map[string]any{"detail": list}}
}

// send writes a reply, held against the document where the operation is in it.
func (f *Face) send(w http.ResponseWriter, x *exchange, a answer) {
	body := a.encode(w.Header())
	if x.Op != "" {
		x.CheckReply(a.status, w.Header(), body)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// failAs answers as the fault has it; a is the reply that was due.
func failAs(w http.ResponseWriter, x *Fault, a answer) {
	x.Reply(w, a.status, a.encode(w.Header()), "application/json")
}

// encode makes the body, and its headers.
func (a answer) encode(h http.Header) []byte {
	if a.body == nil {
		return nil
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.body); err != nil {
		panic(err)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	return b.Bytes()
}

// dress gives an object what the options ask for: fields that nobody knows, words that nobody has heard, and with keep nulls for
// all but those. It changes the object, and returns it.
func (f *Face) dress(m map[string]any, keep ...string) map[string]any {
	if f.opt.Nulls && len(keep) > 0 {
		for k := range m {
			if !slices.Contains(keep, k) {
				m[k] = nil
			}
		}
	}
	if f.opt.Extra {
		m["future_field"] = []any{1, "two", nil}
	}
	if s, ok := m["status"].(string); ok {
		m["status"] = f.word(s)
	}
	return m
}

// word is a state in the words that the options ask for.
func (f *Face) word(state string) string {
	if f.opt.Word == nil {
		return state
	}
	return f.opt.Word(state)
}
