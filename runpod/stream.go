package runpod

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl"
	"runctl/internal/job"
	"runctl/internal/newborn"
	"runctl/rest"
)

// patience is how long a reader of a pod's log waits. RunPod's stream never ends by itself and has no mark for the end
// of what there was.
type patience struct {
	quiet   time.Duration // no line for so long, after the first: that was all that there was
	first   time.Duration // no line at all
	silence time.Duration // a stream that is held is looked after: our own first process prints a line each minute
	gone    time.Duration // between two answers that RunPod does not know a pod which it knew: one proves nothing
}

var patient = patience{quiet: 750 * time.Millisecond, first: 5 * time.Second, silence: 90 * time.Second, gone: 20 * time.Second}

// line is one line of a pod's log, as its container printed it. RunPod keeps lines, not bytes: what is not UTF-8, and
// where a line ends, is as RunPod has it.
type line struct {
	TS     string // when, by the host's clock; RFC 3339
	Source string // container or system
	Text   string `json:"Line"`
}

// readLine reads the data of an event. What is no JSON is a line as it stands.
func readLine(data string) line {
	var l line
	if err := json.Unmarshal([]byte(data), &l); err != nil {
		return line{Text: data}
	}
	l.Text = strings.TrimSuffix(l.Text, "\n")
	return l
}

// reader reads what a pod's container prints, in one stream after the other: each goes on where the one before was cut.
// It is not for concurrent use.
type reader struct {
	p       *Provider
	id      string
	journal *job.Journal
	query   url.Values // of the first stream
	after   string     // the last event that was taken
	recent  []uint64   // the last lines that were taken, as hashes
}

// maxRecent is how many lines are remembered, to tell those that are sent once more.
const maxRecent = 4096

var lineSeed = maphash.MakeSeed()

// from begins at a time by the cloud's clock, or for the zero time at the beginning; tail that many lines before now.
func (p *Provider) from(id, nonce string, t time.Time) *reader {
	return p.reader(id, nonce, url.Values{"since": {t.UTC().Format(time.RFC3339Nano)}})
}

func (p *Provider) tail(id, nonce string, n int) *reader {
	return p.reader(id, nonce, url.Values{"tail": {strconv.Itoa(n)}})
}

func (p *Provider) reader(id, nonce string, query url.Values) *reader {
	query.Set("source", "container")
	return &reader{p: p, id: id, journal: job.NewJournal(nonce), query: query}
}

var (
	errQuiet = errors.New("no line came")
	errEnded = &runctl.Error{Kind: runctl.ErrUnavailable, Msg: "RunPod ended the stream of the pod's log"}
)

// lines yields what comes, until the first error. wait is asked before each line how long to wait for it: after that
// the error is errQuiet.
func (r *reader) lines(ctx context.Context, wait func() time.Duration) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		path, err := podPath(r.id)
		if err != nil {
			yield(line{}, err)
			return
		}
		req := rest.Request{Method: http.MethodGet, Path: path + "/logs", Query: r.query}
		again := map[uint64]bool{}
		if r.after != "" {
			req.Header = http.Header{"Last-Event-Id": {r.after}}
			req.Query = url.Values{"source": r.query["source"]}
			for _, h := range r.recent {
				again[h] = true
			}
		}
		own, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(wait(), func() { cancel(errQuiet) })
		defer timer.Stop()
		for e, err := range r.p.api.Events(own, req) {
			if err != nil {
				switch {
				case context.Cause(own) == errQuiet && ctx.Err() == nil:
					err = errQuiet
				case errors.Is(err, runctl.ErrNotFound): // whether the pod is gone, its record tells
					err = &runctl.Error{ID: r.id, Kind: runctl.ErrUnavailable, Err: newborn.NotYet(err), Msg: "RunPod does not show the pod's log"}
				}
				yield(line{}, err)
				return
			}
			l := readLine(e.Data)
			h := maphash.String(lineSeed, l.TS+"\x00"+l.Text)
			if l.Source != "system" && !again[h] && !yield(l, nil) {
				return
			}
			r.took(e.ID, h)
			if timer.Stop() {
				timer.Reset(wait())
			}
		}
		if err := errQuiet; context.Cause(own) == err && ctx.Err() == nil {
			yield(line{}, err)
			return
		}
		yield(line{}, errEnded)
	}
}

// took remembers a line whose meaning was taken in.
func (r *reader) took(id string, h uint64) {
	if id != "" {
		r.after = id
	}
	if r.recent = append(r.recent, h); len(r.recent) > 2*maxRecent {
		r.recent = slices.Clone(r.recent[maxRecent:])
	}
}

// snapshot takes in what there is now, and says whether the whole of it came. enough ends it sooner; nil: nothing does.
func (r *reader) snapshot(ctx context.Context, enough func(*job.Journal) bool) error {
	some := false
	for l, err := range r.lines(ctx, func() time.Duration {
		if some {
			return patient.quiet
		}
		return patient.first
	}) {
		if errors.Is(err, errQuiet) || err == errEnded {
			return nil
		}
		if err != nil {
			return err
		}
		some = true
		r.journal.Line(l.Text)
		if enough != nil && enough(r.journal) {
			return nil
		}
	}
	return nil
}
