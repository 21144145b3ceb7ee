package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
)

// refusal is an error as AWS words it.
type refusal struct {
	status     int
	code, text string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

// bad is the refusal of a request that is wrong.
func bad(code, format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, code, format, args...)
}

// encode makes status, kind and body of a reply, held against the model.
func (x *exchange) encode(out params, no *refusal) (status int, kind string, body []byte) {
	m := x.o.model.Metadata
	d := &reader{m: x.o.model}
	status, kind = http.StatusOK, "text/xml;charset=UTF-8"
	if m.Protocol == "json" {
		kind = "application/x-amz-json-1.1"
	}
	escape := func(s string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	switch {
	case no != nil:
		status = no.status
		switch m.Protocol {
		case "ec2":
			body = fmt.Appendf(nil, "%s<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
				xml.Header, no.code, escape(no.text), x.id)
		case "query":
			body = fmt.Appendf(nil, "%s<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
				xml.Header, m.XMLNamespace, no.code, escape(no.text), x.id)
		default:
			body, _ = json.Marshal(map[string]string{"__type": no.code, "message": no.text})
		}
	case m.Protocol == "json":
		if out == nil {
			out = params{}
		}
		v, err := json.Marshal(d.jsonReply(out, x.o.Output.shape, ""))
		if err != nil {
			panic(err)
		}
		body = v
	default:
		body = d.xmlReply(x.o, out, x.id)
	}
	x.f.Count(0, 1)
	x.f.mu.Lock()
	if no != nil {
		x.f.calls[x.call].Code = no.code
	}
	x.f.mu.Unlock()
	for _, w := range d.wrongs {
		x.f.Wrong("reply of %s: %s", x.o.name, w)
	}
	if x.f.opt.Extra && no == nil {
		body = x.extended(body)
	}
	return status, kind, body
}

// extended gives a reply elements that no model has, as the newer API's have.
func (x *exchange) extended(body []byte) []byte {
	if x.o.model.Metadata.Protocol == "json" {
		return append([]byte(`{"FutureField":[1,"two",null],`), bytes.TrimPrefix(body, []byte("{"))...)
	}
	future := []byte("<futureSet><item><futureName>two</futureName></item></futureSet>")
	body = bytes.ReplaceAll(body, []byte("<instanceId>"), append(future, "<instanceId>"...))
	return bytes.ReplaceAll(body, []byte("</requestId>"), append([]byte("</requestId>"), future...))
}

// reply sends what came of a request.
func (x *exchange) reply(w http.ResponseWriter, out params, no *refusal) {
	status, kind, body := x.encode(out, no)
	x.write(w, status, kind, body, len(body))
}

// write sends n bytes of a body; fewer than all break the connection.
func (x *exchange) write(w http.ResponseWriter, status int, kind string, body []byte, n int) {
	h := w.Header()
	h.Set("Content-Type", kind)
	if h.Get("X-Amzn-Requestid") == "" { // a fault may have another
		h.Set("X-Amzn-Requestid", x.id)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body[:n])
	if n < len(body) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
