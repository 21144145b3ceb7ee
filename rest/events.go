package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// Event is one server-sent event.
type Event struct {
	ID    string        // the last id that the stream gave, with this event or before: what Last-Event-ID resumes after
	Type  string        // of the field event; empty: message
	Data  string        // the data lines, joined by newlines
	Retry time.Duration // how long the server wants a reader to stay away after a cut; 0: it did not say
	// Cut says that Data is not whole: the event was longer than a megabyte, or the stream ended within a line.
	Cut bool
}

// maxEvent bounds a line, and the data of an event, in bytes.
const maxEvent = 1 << 20

// Events makes the request, which should be a GET, and yields the events of the reply as they come, for as long as
// they come: the stream has no time-out but the context. It ends when the server ends it. An error, as [Client.Do] has
// them, is the last thing that it yields; a stream that was cut is ErrUnavailable, and an event that was under
// way then is not given. To go on, ask again with the header Last-Event-ID.
func (c *Client) Events(ctx context.Context, req Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		head := req.Header.Clone()
		if head == nil {
			head = http.Header{}
		}
		head.Set("Accept", "text/event-stream")
		head.Set("Cache-Control", "no-cache")
		req.Header = head
		resp, m, err := c.send(ctx, req)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer resp.Body.Close()
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
			yield(Event{}, c.noStream(req, resp, m))
			return
		}
		for e, err := range ReadEvents(resp.Body) {
			if err != nil {
				err = &runctl.Error{Kind: kindOf(ctx, err), Err: m.failure(fmt.Sprintf("%s %s: the stream was cut", req.Method, req.Path), err)}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// noStream is the error for a reply that is no stream of events.
func (c *Client) noStream(req Request, resp *http.Response, m mask) error {
	e := &Error{Method: req.Method, Path: req.Path, Status: resp.StatusCode, RequestID: m.text(resp.Header.Get("X-Request-Id"), 128)}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e.read(body, m)
	if resp.StatusCode < 300 {
		e.Problem = "the reply is no stream of events"
		return &runctl.Error{Kind: runctl.ErrUnavailable, Err: e}
	}
	err := c.classify(e)
	err.RetryAfter = wait(resp.Header)
	return err
}

// ReadEvents yields the events of a text/event-stream, as the HTML standard has it: lines end with LF, CRLF or
// CR, comments and unknown fields are passed over, an empty line ends an event. Unlike there, a stream may end without
// that last empty line. At most about two megabytes are held. An error of the reader is the last thing it yields.
func ReadEvents(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := lineReader{r: bufio.NewReaderSize(r, 16<<10)}
		var p pending
		for {
			line, whole, err := lines.next()
			switch {
			case err == nil && line == "" && whole:
				if e, ok := p.event(); ok && !yield(e, nil) {
					return
				}
				continue
			case err != nil && !errors.Is(err, io.EOF):
				yield(Event{}, err)
				return
			}
			p.add(line, whole)
			if err != nil {
				if e, ok := p.event(); ok {
					yield(e, nil)
				}
				return
			}
		}
	}
}

// pending is the event that the lines so far make.
type pending struct {
	next Event
	data strings.Builder
	has  bool
}

// add takes one line. What does not fit is left out, and the event says so.
func (p *pending) add(line string, whole bool) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "data":
		if p.has {
			value = "\n" + value
		}
		p.has = true
		if room := maxEvent - p.data.Len(); len(value) > room {
			value, whole = value[:room], false
		}
		p.data.WriteString(value)
		p.next.Cut = p.next.Cut || !whole
	case "id":
		if whole && len(value) <= 1024 && !strings.ContainsRune(value, 0) {
			p.next.ID = value
		}
	case "event":
		if whole {
			p.next.Type = value[:min(len(value), 256)]
		}
	case "retry":
		if n, err := strconv.ParseUint(value, 10, 31); err == nil && whole {
			p.next.Retry = time.Duration(n) * time.Millisecond
		}
	}
}

// event returns what an empty line dispatches; false when there was no data.
func (p *pending) event() (Event, bool) {
	e, ok := p.next, p.has
	e.Data = p.data.String()
	p.next, p.has = Event{ID: e.ID}, false
	p.data.Reset()
	return e, ok
}

// lineReader reads lines of any length, of which it keeps a megabyte.
type lineReader struct {
	r       *bufio.Reader
	buf     []byte
	started bool
	skipLF  bool // the line before ended with CR, and an LF now would belong to that
}

// next returns a line without its end. It is not whole when it was too long, or when the stream ended within it.
// Of an error, io.EOF comes with what there was of a last line.
func (l *lineReader) next() (line string, whole bool, err error) {
	kept := l.buf[:0]
	defer func() { l.buf = kept }()
	whole = true
	for {
		b, err := l.r.ReadByte()
		if err != nil {
			return string(kept), false, err
		}
		if skip := l.skipLF; b == '\n' && skip {
			l.skipLF = false
			continue
		}
		l.skipLF = b == '\r'
		switch {
		case b == '\n' || b == '\r':
			if !l.started {
				kept = []byte(strings.TrimPrefix(string(kept), "\ufeff"))
				l.started = true
			}
			return string(kept), whole, nil
		case len(kept) < maxEvent+16: // with room for the field's name
			kept = append(kept, b)
		default:
			whole = false
		}
	}
}
