package lyceum

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl/internal/wire"
)

// streamPath is where streams are: outside of the API's own prefix.
const streamPath = "/api/v1/stream/"

// Stream is how the output of runs is streamed. The zero value replays all, and ends with an event.
type Stream struct {
	Shape    int    // of events: an index of Shapes; negative: each event has another
	Method   string // the one that works; empty: both do
	NeedKey  bool   // without the account's key it is 401
	NoURL    bool   // the submission's reply has none
	URL      func(id string) string
	Live     bool // a stream has only what comes after it was opened
	Tail     int  // or so many events before, too; only with Live
	Gone     bool // 404 once the run is over
	NoEnd    bool // it ends without an event that says so
	CutAfter int  // frames, then the connection breaks; 0: never
	Doubled  bool // the ends of lines are doubled
	Pings    bool // there are comments, and events of no meaning, in between
	AsText   bool // return codes are text
	CRLF     bool // lines of the stream itself end with CR and LF
}

// Shape is a form of events.
type Shape struct {
	Name   string
	output func(e entry) []any
	end    func(r *run, code any) []any
}

// Shapes are the forms that have been seen.
var Shapes = []Shape{
	{"camel case",
		func(e entry) []any { return []any{obj{"output": obj{"content": e.text}}} },
		func(r *run, code any) []any {
			result := obj{"returnCode": code}
			if r.fault != "" {
				result = obj{"error": r.fault}
			}
			return []any{obj{"jobFinished": obj{"job": obj{"result": result}}}}
		}},
	{"capitals",
		func(e entry) []any { return []any{obj{"Message": obj{"Output": obj{"content": e.text}}}} },
		func(r *run, code any) []any {
			status := 4
			if r.state == Completed {
				status = 3
			}
			return []any{obj{"Message": obj{"StatusUpdate": obj{"status": status, "message": r.fault}}},
				obj{"Message": obj{"JobFinished": obj{"job": obj{"result": obj{"return_code": code}}}}}}
		}},
	{"snake case",
		func(e entry) []any {
			return []any{obj{"output": obj{"timestamp": e.at.UTC().Format(zulu), "channel": cmp.Or(e.channel, "stdout"), "output": e.text}}}
		},
		func(r *run, code any) []any {
			return []any{obj{"status_update": obj{"execution_id": r.ID, "status": r.state, "exit_code": code, "error": r.fault}}}
		}},
	{"typed",
		func(e entry) []any { return []any{obj{"type": "output", "content": e.text}} },
		func(r *run, _ any) []any {
			if r.state == Completed {
				return []any{obj{"type": "status", "status": r.state}, obj{"type": "completed", "status": r.state}}
			}
			return []any{obj{"type": "error", "status": r.state, "message": r.fault}}
		}},
	{"plain text at the end",
		func(e entry) []any { return []any{obj{"output": obj{"content": e.text}}} },
		func(*run, any) []any { return []any{"Stream complete"} }},
}

type obj = map[string]any

// SetStream changes how output is streamed from now on.
func (f *Face) SetStream(change func(s *Stream)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.opt.Stream)
}

// streamURL is what the reply to a submission says; nil: nothing.
func (f *Face) streamURL(r *http.Request, id string) any {
	switch s := f.opt.Stream; {
	case s.NoURL:
		return nil
	case s.URL != nil:
		return s.URL(id)
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + streamPath + id
}

// frame is one event on the wire.
func (s Stream) frame(event any) string {
	text, plain := event.(string)
	if !plain {
		b, err := json.Marshal(event)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	text = "data: " + text + "\n\n"
	if s.CRLF {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// refusesStream is what is wrong with a request for a stream; a zero status: nothing. The lock is held.
func (f *Face) refusesStream(r *http.Request, is *run) answer {
	s := f.opt.Stream
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost || s.Method != "" && r.Method != s.Method:
		return refuse(http.StatusMethodNotAllowed, "Method Not Allowed")
	case (s.NeedKey || r.Header.Get("Authorization") != "") && !f.knows(r):
		return refuse(http.StatusUnauthorized, "Invalid or expired token")
	case is == nil || s.Gone && is.over(time.Now()):
		return refuse(http.StatusNotFound, "Stream not found")
	}
	return answer{}
}

// stream sends a run's output, and whatever comes, until the run's end.
func (f *Face) stream(w http.ResponseWriter, req *http.Request, id string) {
	f.mu.Lock()
	f.served["stream"]++
	var r *run
	for _, o := range f.runs {
		if o.ID == id && !o.unknown.After(time.Now()) {
			r = o
		}
	}
	refusal, s, cut := f.refusesStream(req, r), f.opt.Stream, f.cut
	f.mu.Unlock()
	if req.Header.Get("Accept") != "text/event-stream" {
		f.Wrong("stream: Accept is %q", req.Header.Get("Accept"))
	}
	fault := f.Take("stream")
	if !fault.Wait(req.Context()) {
		panic(http.ErrAbortHandler)
	}
	if fault != nil && !fault.OnlyWaits() {
		fault.Fail(w, answer{}, "application/json")
		return
	}
	if refusal.Status != 0 {
		(&wire.Exchange{}).Send(w, refusal)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	_ = out.Flush()
	frames, done := 0, 0
	if s.Live {
		f.mu.Lock()
		done = slices.IndexFunc(r.entries, func(e entry) bool { return e.at.After(time.Now()) })
		if done < 0 {
			done = len(r.entries)
		}
		done = max(0, done-s.Tail)
		f.mu.Unlock()
	}
	for {
		f.mu.Lock()
		now := time.Now()
		var events []any
		for ; done < len(r.entries) && !r.entries[done].at.After(now); done++ {
			e := r.entries[done]
			if s.Doubled {
				e.text = strings.ReplaceAll(e.text, "\n", "\n\n")
			}
			events = append(events, s.shape(done).output(e)...)
		}
		ended := r.over(now) && done == len(r.entries)
		if ended && !s.NoEnd {
			events = append(events, s.shape(done).end(r, s.code(r))...)
		}
		changed := f.changed.Waiting()
		var timer *time.Timer
		var next <-chan time.Time
		if at, ok := r.next(now); ok {
			timer = time.NewTimer(at.Sub(now))
			next = timer.C
		}
		f.mu.Unlock()
		var text strings.Builder
		for _, e := range events {
			if s.Pings {
				fmt.Fprintf(&text, ": keep-alive\n\n%s", s.frame(obj{"type": "ping"}))
			}
			if frames++; s.CutAfter > 0 && frames > s.CutAfter {
				break
			}
			text.WriteString(s.frame(e))
		}
		_, err := io.WriteString(w, text.String())
		_ = out.Flush()
		if s.CutAfter > 0 && frames > s.CutAfter {
			panic(http.ErrAbortHandler)
		}
		over := err != nil || ended
		if !over {
			select {
			case <-changed:
			case <-next:
			case <-req.Context().Done():
				over = true
			case <-f.stop:
				over = true
			case <-cut:
				panic(http.ErrAbortHandler)
			}
		}
		if timer != nil {
			timer.Stop()
		}
		if over {
			return
		}
	}
}

// shape is the form of the nth event.
func (s Stream) shape(n int) Shape {
	if s.Shape < 0 {
		return Shapes[n%len(Shapes)]
	}
	return Shapes[s.Shape]
}

// code is the return code as the stream tells it.
func (s Stream) code(r *run) any {
	code := -1
	if r.ReturnCode != nil {
		code = *r.ReturnCode
	}
	if s.AsText {
		return strconv.Itoa(code)
	}
	return code
}
