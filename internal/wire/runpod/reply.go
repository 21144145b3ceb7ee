package runpod

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// answer is a reply before it is sent. A nil body is none.
type answer struct {
	status int
	head   http.Header
	body   any
}

// problem is the API's form of an error.
type problem struct {
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []string `json:"errors,omitempty"`
}

func refuse(status int, detail string, errs ...string) answer {
	return answer{status: status, body: problem{http.StatusText(status), status, detail, errs}}
}

// send writes a reply, held against the document where the operation is in it.
func (f *Face) send(w http.ResponseWriter, x *exchange, a answer) {
	body := a.encode(w.Header())
	if x.Op != "" && f.opt.Word == nil {
		x.CheckReply(a.status, w.Header(), body)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// encode makes the body, and its headers.
func (a answer) encode(h http.Header) []byte {
	for k, v := range a.head {
		h[k] = v
	}
	if a.body == nil {
		return nil
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.body); err != nil {
		panic(err)
	}
	kind := "application/json"
	if _, ok := a.body.(problem); ok {
		kind = "application/problem+json"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	return b.Bytes()
}

// failAs answers as the fault has it; a is the reply that was due.
func failAs(w http.ResponseWriter, x *Fault, a answer) {
	x.Reply(w, a.status, a.encode(w.Header()), "application/problem+json")
}

// edge answers as what stands before the API does: no problem document.
func edge(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
