package lyceum

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"runctl"
	"runctl/rest"
)

// A run's output is in three places: the stream, the run's record, and Lyceum's store of logs. They differ in the ends of lines, and
// the store keeps lines alone. So the log of a run is its lines that are not empty, each with one newline at its end: of that all
// places have the same bytes, and a reader may go on in another one. Which stream begins where is not documented, so what
// was given is remembered as a hash, and a place is believed only if it begins with that.

// mark is how far a log was given, and the hash of all until there.
type mark struct {
	at  int64
	sum uint64
}

var lineSeed = maphash.MakeSeed()

// maxLine is the longest line, in bytes. What is longer is cut.
const maxLine = 1 << 20

// reader gives a log from an offset on.
type reader struct {
	r       *process
	next    int64
	give    func(runctl.LogChunk) bool
	stopped bool // give said no
	other   bool // in the end it was seen that what was given is another log
	named   bool // and a gap said so
}

// pass reads one place from its beginning, and gives what comes after what was given before.
type pass struct {
	to     *reader
	at     int64
	hash   maphash.Hash
	mark   mark
	part   []byte // of a line
	begins []byte // what the first line must be; nil: not known
	last   bool   // there is no other place: what does not fit is a gap
	wrong  bool   // it is not the same log
}

func (to *reader) pass() *pass {
	to.r.mu.Lock()
	defer to.r.mu.Unlock()
	p := &pass{to: to}
	p.hash.SetSeed(lineSeed)
	if to.r.mark.at == to.next {
		p.mark = to.r.mark
	}
	return p
}

// add takes text, and reports whether to go on.
func (p *pass) add(text string) bool {
	p.part = append(p.part, text...)
	for {
		n := bytes.IndexByte(p.part, '\n')
		switch {
		case n < 0 && len(p.part) < maxLine:
			return true
		case n < 0:
			n = len(p.part) - 1
		}
		line := slices.Clone(p.part[:n+1])
		p.part = p.part[n+1:]
		if !p.line(line) {
			return false
		}
	}
}

// end takes a last line without an end.
func (p *pass) end() bool { return len(p.part) == 0 || p.add("\n") }

func (p *pass) line(b []byte) bool {
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return true
	}
	b = append(b, '\n')
	start := p.at
	p.at += int64(len(b))
	_, _ = p.hash.Write(b)
	now := mark{p.at, p.hash.Sum64()}
	lost := int64(0)
	if start == 0 && p.begins != nil && !bytes.Equal(b, p.begins) || start < p.mark.at && p.at >= p.mark.at && now != p.mark {
		if p.wrong = true; !p.last {
			return false
		}
		lost = -1
	}
	to := p.to
	if p.at <= to.next {
		return true
	}
	skip := max(0, to.next-start)
	to.next = p.at
	to.r.mu.Lock()
	to.r.mark = now
	to.r.mu.Unlock()
	to.named = to.named || lost != 0
	if !to.give(runctl.LogChunk{Offset: start + skip, Data: b[skip:], Lost: lost}) {
		to.stopped = true
	}
	return !to.stopped
}

// Logs implements [runctl.Process]. What a run that goes on has printed comes by the stream; what it had printed before, and what a
// stream that was cut left out, by the record or the store of logs. With Follow it sees to all three until the run is over.
func (r *process) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return func(yield func(runctl.LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(runctl.LogChunk{}, invalid("LogQuery.Offset: %d: must not be negative", q.Offset))
			return
		}
		to := &reader{r: r, next: q.Offset, give: func(c runctl.LogChunk) bool { return yield(c, nil) }}
		if err := to.read(ctx, q.Follow); err != nil && !to.stopped {
			yield(runctl.LogChunk{Offset: to.next}, err)
		}
	}
}

func (to *reader) read(ctx context.Context, follow bool) error {
	var news time.Time  // when the run ended or, after that, the store gave more of its log
	blind := time.Now() // since then nothing was seen of the log
	for {
		is, reply, err := to.r.p.run(ctx, to.r.name)
		if err != nil {
			return err
		}
		over := is.state() == runctl.StateTerminated
		t, err := to.r.p.transcript(ctx, is, over)
		if err != nil && (over || !follow || ctx.Err() != nil) {
			return err
		}
		p, before := to.pass(), to.next
		p.last = over
		more := p.add(t.text)
		if over {
			more = more && p.end()
			to.other = to.other || p.wrong || !t.stored && p.at < p.mark.at
		}
		switch ended := is.ended(); {
		case !over:
		case !news.IsZero() && to.next > before, ended.IsZero() && news.IsZero():
			news = time.Now()
		case news.IsZero():
			news = time.Now().Add(-max(0, reply.Date.Sub(ended)))
		}
		wait := time.Duration(0)
		switch {
		case to.stopped:
			return nil
		case over && follow && t.stored && time.Since(news) < patient.settle:
			wait = patient.again
		case over:
			if t.cut && more || to.other && !to.named {
				to.give(runctl.LogChunk{Offset: to.next, Lost: -1})
			}
			return nil
		case !follow:
			return nil
		case t.first() == nil && is.state() != runctl.StatePending && time.Since(blind) < patient.settle:
			wait = patient.poll // it may have printed something, and then only its first line tells where a stream begins
		default:
			var done bool
			if wait, done = to.stream(ctx, t); done || to.stopped {
				return nil
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// stream gives what the stream has. done: it had all, from the beginning to the end. Otherwise it says how long to stay away.
func (to *reader) stream(ctx context.Context, t transcript) (wait time.Duration, done bool) {
	r := to.r
	r.mu.Lock()
	live := r.live
	r.mu.Unlock()
	if live {
		return patient.poll, false
	}
	p := to.pass()
	p.begins = t.first()
	alone := to.next == 0
	wait = patient.poll
	for e, err := range r.events(ctx) {
		switch {
		case errors.Is(err, errQuiet):
			return 0, false
		case err != nil:
			return wait, false
		}
		wait = patient.again
		if !p.add(e.text) || e.over && !p.end() {
			if p.wrong {
				r.mu.Lock()
				r.live = true
				r.mu.Unlock()
			}
			return 0, false
		}
		if e.over {
			return patient.first, alone
		}
	}
	return patient.first, false
}

// transcript is what there is of a run's output, from its beginning.
type transcript struct {
	text   string
	stored bool // it comes from the store of logs, which may lag
	cut    bool // there is more, which cannot be had
}

// first is the first line; nil: there is none.
func (t transcript) first() []byte {
	for line := range strings.Lines(t.text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			return []byte(line + "\n")
		}
	}
	return nil
}

// Bounds of the store of logs, which Lyceum documents.
const (
	maxLines = "10000"
	maxHours = "168"
)

// entry is a line of the store.
type entry struct {
	At      Text `json:"timestamp"`
	Message Text `json:"message"`
}

// transcript reads what the record has of a run's output, else the store of logs. Of a run that goes on, a last line that has no end is left out.
func (p *Provider) transcript(ctx context.Context, is *Run, over bool) (transcript, error) {
	if text := string(is.Output); text != "" {
		if !over {
			text = text[:strings.LastIndexByte(text, '\n')+1]
		}
		return transcript{text: text}, nil
	}
	var page struct {
		Logs  []entry `json:"logs"`
		Total Text    `json:"total"`
	}
	_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: rest.Path("logs", "execution", string(is.ID)),
		Query: url.Values{"limit": {maxLines}, "hours": {maxHours}}}, &page)
	if err != nil && !errors.Is(err, runctl.ErrNotFound) {
		return transcript{}, err
	}
	slices.SortStableFunc(page.Logs, func(a, b entry) int { return a.At.Time().Compare(b.At.Time()) })
	var b strings.Builder
	for _, l := range page.Logs {
		b.WriteString(strings.TrimSuffix(string(l.Message), "\n") + "\n")
	}
	total, _ := page.Total.Int()
	t := transcript{text: b.String(), stored: true, cut: total > len(page.Logs)}
	if over && t.text == "" { // the order of what went to both is lost there
		t.text = string(is.Stdout) + "\n" + string(is.Stderr)
	}
	return t, nil
}
