package lyceum

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"runctl"
	"runctl/rest"
)

// event is what a stream said: text that the job printed, or that the run is over.
type event struct {
	text string
	over bool
}

// isOver reports whether an event's status says that the run is over: a word, or one of the numbers of one form.
func isOver(status Text) bool {
	word := status.word()
	return word == "3" || word == "4" || runStates[word].state == runctl.StateTerminated
}

// readEvent reads the data of an event. Lyceum's clients have met five forms, of which one is plain text:
//
//	{"output": {"content": TEXT}}, {"jobFinished": {...}}
//	{"Message": {"Output": {"content": TEXT}}}, {"Message": {"StatusUpdate": {"status": 3}}}, {"Message": {"JobFinished": {...}}}
//	{"output": {"channel": "stdout", "output": TEXT}}, {"status_update": {"status": WORD}}
//	{"type": "output", "content": TEXT}, {"type": "completed"}
//	Stream complete
//
// What has none of these forms says nothing. How a run has ended is not read here: its record tells.
func readEvent(data string) event {
	type update struct {
		Status Text `json:"status"`
	}
	var e struct {
		Output   json.RawMessage `json:"output"` // names are read in any case, so Output too
		Finished json.RawMessage `json:"jobFinished"`
		Snake    json.RawMessage `json:"status_update"`
		Camel    json.RawMessage `json:"StatusUpdate"`
		Message  json.RawMessage `json:"message"`
		Type     Text            `json:"type"`
		Content  Text            `json:"content"`
		Status   Text            `json:"status"`
	}
	if json.Unmarshal([]byte(data), &e) != nil {
		return event{over: Text(data).word() == "stream_complete"}
	}
	if len(e.Message) > 0 && e.Message[0] == '{' {
		return readEvent(string(e.Message))
	}
	var out struct {
		Content Text `json:"content"`
		Output  Text `json:"output"`
	}
	_ = json.Unmarshal(e.Output, &out)
	var snake, camel update
	_ = json.Unmarshal(e.Snake, &snake)
	_ = json.Unmarshal(e.Camel, &camel)
	kind := e.Type.word()
	said := event{
		text: string(cmp.Or(out.Content, out.Output)),
		over: len(e.Finished) > 0 && string(e.Finished) != "null" || isOver(snake.Status) || isOver(camel.Status) ||
			kind == "completed" || kind == "error" || kind == "status" && isOver(e.Status),
	}
	if kind == "output" {
		said.text = string(cmp.Or(e.Content, Text(said.text)))
	}
	return said
}

var errQuiet = errors.New("no event came")

// events yields what the run's stream says, until the first error. After a long silence that is errQuiet. The stream takes POST by the
// newer clients and GET by the older ones.
func (r *process) events(ctx context.Context) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		api, req, err := r.p.stream(r.url, r.name)
		if err != nil {
			yield(event{}, err)
			return
		}
		own, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(patient.silence, func() { cancel(errQuiet) })
		defer timer.Stop()
		for _, req.Method = range r.methods() {
			refused := false
			for e, err := range api.Events(own, req) {
				if err != nil && context.Cause(own) == errQuiet && ctx.Err() == nil {
					err = errQuiet
				}
				var no *rest.Error
				if refused = errors.As(err, &no) && no.Status == http.StatusMethodNotAllowed && req.Method == http.MethodPost; refused {
					break
				}
				if err != nil {
					yield(event{}, err)
					return
				}
				if timer.Stop() {
					timer.Reset(patient.silence)
				}
				r.took(req.Method)
				if !yield(readEvent(e.Data), nil) {
					return
				}
			}
			if !refused {
				return
			}
			r.took(http.MethodGet)
		}
	}
}

func (r *process) methods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.method != "" {
		return []string{r.method}
	}
	return []string{http.MethodPost, http.MethodGet}
}

func (r *process) took(method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.method = method
}

// stream is where a run's stream is: at the address that the submission's reply told, else at the usual one. The credentials go to
// the API's own host alone, and nothing goes anywhere unencrypted, unless the API itself is.
func (p *Provider) stream(told, name string) (*rest.Client, rest.Request, error) {
	if told == "" {
		return p.streams, rest.Request{Path: rest.Path("api", "v1", "stream", name)}, nil
	}
	root, err := url.Parse(p.streams.Base() + "/")
	if err != nil {
		return nil, rest.Request{}, err
	}
	at, err := root.Parse(told)
	if err != nil || at.User != nil || at.Host == "" {
		return nil, rest.Request{}, errStream
	}
	req := rest.Request{Path: cmp.Or(at.EscapedPath(), "/"), Query: at.Query()}
	switch {
	case at.Host == root.Host && at.Scheme == root.Scheme:
		return p.streams, req, nil
	case at.Scheme != "https":
		return nil, rest.Request{}, errStream
	}
	api, err := rest.New(rest.Config{Base: "https://" + at.Host, UserAgent: userAgent, Rules: rules, Transport: p.cfg.Transport})
	return api, req, err
}

var errStream = &runctl.Error{Kind: runctl.ErrUnavailable, Msg: "the address that Lyceum tells for the run's output is not one that is asked"}
