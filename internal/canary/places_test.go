package canary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"runctl"
)

// The places where something comes out.
const (
	atLog      = "the log"
	atError    = "an error"
	atEvent    = "an event"
	atRef      = "a reference"
	atValue    = "a value"
	atIntents  = "the intent log"
	atStdout   = "the command's stdout"
	atStderr   = "the command's stderr"
	atRecord   = "the command's state directory"
	atArgs     = "a process's arguments"
	atEnviron  = "the environment of a process that is not the job"
	atReadable = "a file that others can read"
	atPrivate  = "a file that is left when the job has begun"
	atName     = "a file's name, or where a link leads"
	atServer   = "the log of the SSH server"
	atPanic    = "a panic"
)

// printed is all that a value can become on a screen or in a file.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
		slog.New(h).Info("m", "v", v)
	}
	if j, err := json.MarshalIndent(v, "", " "); err == nil {
		b.Write(j)
	}
	return b.String()
}

// value looks at a value by itself and within others. What was looked at is not looked at again.
func (h *hunt) value(place, what string, v any) {
	if h.again(place + fmt.Sprintf("%T %+v", v, v)) {
		return
	}
	h.look(place, what, printed(v))
	others := struct {
		V any
		L []any
	}{v, []any{v}}
	h.look(place, what+", within others", fmt.Sprintf("%v %#v", others, others))
}

// hidden looks at a value also where fmt calls no methods of it. Wrong verbs make it look behind a pointer.
func (h *hunt) hidden(place, what string, v any, wrong ...string) {
	h.value(place, what, v)
	for _, verb := range append(wrong, "%v", "%+v", "%#v") {
		h.look(place, what+", hidden", fmt.Sprintf(verb, struct{ v any }{v}))
	}
}

// failure looks at an error and at everything of ours in its chain. What a cloud's SDK has put into it can be reached by
// errors.As, as errors.go says, and is not looked at by itself.
func (h *hunt) failure(what string, err error) {
	like := atError
	for _, e := range chain(err) {
		like += fmt.Sprintf(" %T", e)
	}
	if err == nil || h.again(like+err.Error()) {
		return
	}
	h.value(atError, what, err)
	h.look(atError, what, err.Error())
	for _, e := range chain(err)[1:] {
		if ours(e) {
			h.value(atError, fmt.Sprintf("%s, its %T", what, e), e)
		}
	}
	var own *runctl.Error
	if errors.As(err, &own) {
		h.look(atError, what+", copied", fmt.Sprintf("%+v %#v", *own, *own))
		h.look(atError, what+", its message", strings.Join([]string{own.Provider, own.Op, own.ID, own.Key, own.Msg}, "\n"))
	}
}

// chain is all that errors.Unwrap and its like reach.
func chain(err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if next := u.Unwrap(); next != nil {
			all = append(all, chain(next)...)
		}
	case interface{ Unwrap() []error }:
		for _, next := range u.Unwrap() {
			all = append(all, chain(next)...)
		}
	}
	return all
}

// ours are the errors that print what they wrap with care.
func ours(err error) bool {
	switch err.(type) {
	case *runctl.Error, *runctl.ExitError, *runctl.SkippedError, runctl.Kind:
		return true
	}
	return false
}

// recorder keeps what a client logs and traces.
type recorder struct {
	mu     sync.Mutex
	json   bytes.Buffer
	text   bytes.Buffer
	events []runctl.Event
}

// logger writes at Debug, in both of the usual ways.
func (r *recorder) logger() *slog.Logger {
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	return slog.New(slog.NewMultiHandler(slog.NewJSONHandler(locked{r, &r.json}, all), slog.NewTextHandler(locked{r, &r.text}, all)))
}

func (r *recorder) trace(e runctl.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

type locked struct {
	r *recorder
	b *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.b.Write(p)
}

// tell looks at all that was kept, and forgets it.
func (r *recorder) tell(h *hunt) {
	r.mu.Lock()
	events, text := r.events, r.json.String()+r.text.String()
	r.events = nil
	r.json.Reset()
	r.text.Reset()
	r.mu.Unlock()
	h.look(atLog, "at Debug", text)
	for _, e := range events {
		if h.again(fmt.Sprintf("%s %s %s %s %s %s %T %v", atEvent, e.Name, e.Op, e.ID, e.Key, e.Run, e.Err, e.Err)) {
			continue
		}
		h.value(atEvent, string(e.Name), e)
		for _, c := range chain(e.Err) {
			if ours(c) {
				h.value(atEvent, "the error of "+string(e.Name), c)
			}
		}
	}
}
