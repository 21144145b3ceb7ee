package runpod

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxLine is where the host breaks a line: container engines keep them in pieces of 16 KiB.
const maxLine = 16 << 10

// stamp is how container lines are dated, and named: always nine digits. System lines have whole seconds.
const stamp = "2006-01-02T15:04:05.000000000Z"

// Line is something that a scripted container prints, so long after its start.
type Line struct {
	After time.Duration
	Text  string
}

// Script is what a container does.
type Script struct {
	Lines []Line        // in the order of time
	Exit  time.Duration // its command returns so long after the start; 0: never
}

// entry is one line of a pod's log, as it stands in a frame.
type entry struct {
	TS     string `json:"ts"`
	Source string `json:"source"`
	Line   string `json:"line"`
	at     time.Time
	box    int // which container printed it
}

// journal is a pod's log, in the order of time.
type journal struct {
	entries []entry
	last    time.Time // of a container line
	boxes   int
	gone    []time.Time // when containers ended
}

// container adds a line of the present container. No two have the same time.
func (j *journal) container(t time.Time, text string) {
	if !t.After(j.last) {
		t = j.last.Add(1)
	}
	j.last = t
	j.entries = append(j.entries, entry{t.UTC().Format(stamp), "container", clean(text), t, j.boxes})
}

// system adds a line of the host.
func (j *journal) system(t time.Time, text string) {
	j.entries = append(j.entries, entry{t.UTC().Format(time.RFC3339), "system", text, t.Truncate(time.Second), -1})
}

// ends notes that the present container is gone.
func (j *journal) ends(t time.Time) {
	j.gone = append(j.gone, t)
	j.boxes++
}

// readable reports whether a line can still be read: those of a container vanish some time after it.
func (j *journal) readable(e entry, keep time.Duration) bool {
	return keep == 0 || e.box < 0 || e.box >= len(j.gone) || time.Since(j.gone[e.box]) < keep
}

// clean makes a line fit for JSON, as the API does: what is not UTF-8 is replaced.
func clean(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

// readLines gives lines to add: what has no end yet is one when the stream ends, and a long one comes in pieces.
func readLines(r io.Reader, add func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		part, err := b.ReadSlice('\n')
		if len(part) > 0 {
			add(strings.TrimSuffix(string(part), "\n"))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// streamFaults are what goes wrong with streams, whoever reads them.
type streamFaults struct {
	dropEvery int  // every n-th container line is not sent
	again     int  // so many frames before the asked-for place are sent once more
	cutAfter  int  // frames, then the connection breaks; 0: never
	ends      bool // streams end when what there was is sent
}

// DropLines loses every n-th line of containers on the way; 0: none.
func (f *Face) DropLines(every int) { f.faulty(func(s *streamFaults) { s.dropEvery = every }) }

// Repeat sends the last n frames before the asked-for place once more.
func (f *Face) Repeat(n int) { f.faulty(func(s *streamFaults) { s.again = n }) }

// CutAfter breaks each stream after n frames; 0: never.
func (f *Face) CutAfter(n int) { f.faulty(func(s *streamFaults) { s.cutAfter = n }) }

// EndStreams lets a stream end in order when everything that there was is sent, as no real one does.
func (f *Face) EndStreams(v bool) { f.faulty(func(s *streamFaults) { s.ends = v }) }

func (f *Face) faulty(set func(*streamFaults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set(&f.sent)
}

// CutStreams breaks all streams that are open now.
func (f *Face) CutStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cut)
	f.cut = make(chan struct{})
}

// Say adds a line to a pod's log, as its container would.
func (f *Face) Say(id, line string) {
	f.with(id, func(p *pod, now time.Time) { p.log.container(now, line) })
}

// from is where a stream begins: after the frame that was seen last, at a time, or so many lines before the end.
func (j *journal) from(x *exchange, source string) int {
	q := x.Request.URL.Query()
	mine := func(e entry) bool { return source == "" || e.Source == source }
	if id := x.Request.Header.Get("Last-Event-ID"); id != "" {
		t, _ := time.Parse(time.RFC3339Nano, id)
		i := slices.IndexFunc(j.entries, func(e entry) bool { return e.at.After(t) })
		if i < 0 {
			i = len(j.entries)
		}
		for n := x.f.sent.again; n > 0 && i > 0; i-- {
			if mine(j.entries[i-1]) {
				n--
			}
		}
		return i
	}
	if s := q.Get("since"); s != "" {
		t, _ := time.Parse(time.RFC3339Nano, s)
		if i := slices.IndexFunc(j.entries, func(e entry) bool { return !e.at.Before(t) }); i >= 0 {
			return i
		}
		return len(j.entries)
	}
	n := 100
	if k, err := strconv.Atoi(q.Get("tail")); err == nil {
		n = k
	}
	i := len(j.entries)
	for ; n > 0 && i > 0; i-- {
		if mine(j.entries[i-1]) {
			n--
		}
	}
	return i
}

// stream sends a pod's log, and whatever comes. It never ends by itself, not even when the pod is gone.
func (f *Face) stream(w http.ResponseWriter, x *exchange) {
	source := x.Request.URL.Query().Get("source")
	f.mu.Lock()
	f.advance(time.Now())
	p := x.named()
	if p == nil || p.Status == Terminated {
		f.mu.Unlock()
		x.Send(w, notFound())
		return
	}
	i := p.log.from(x, source)
	cut := f.cut
	f.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Connection", "keep-alive")
	h.Set("X-Accel-Buffering", "no")
	x.CheckReply(http.StatusOK, h, nil)
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	_ = out.Flush()
	for frames := 0; ; {
		f.mu.Lock()
		now := time.Now()
		f.advance(now)
		faults := f.sent
		var text strings.Builder
		for ; i < len(p.log.entries) && text.Len() < 1<<20; i++ {
			e := p.log.entries[i]
			if source != "" && e.Source != source || !p.log.readable(e, f.opt.KeepLogs) {
				continue
			}
			if n := faults.dropEvery; n > 0 && e.Source == "container" && i%n == n-1 {
				continue
			}
			if frames++; faults.cutAfter > 0 && frames > faults.cutAfter {
				break
			}
			data, _ := json.Marshal(e)
			fmt.Fprintf(&text, "id: %s\ndata: %s\n\n", e.TS, data)
		}
		more, changed := i < len(p.log.entries), f.changed.Waiting()
		var next <-chan time.Time
		var timer *time.Timer
		if len(p.next) > 0 {
			timer = time.NewTimer(p.next[0].at.Sub(now))
			next = timer.C
		}
		f.mu.Unlock()
		_, err := io.WriteString(w, text.String())
		_ = out.Flush()
		if faults.cutAfter > 0 && frames > faults.cutAfter {
			panic(http.ErrAbortHandler)
		}
		over := err != nil || faults.ends && !more
		if !more && !over {
			select {
			case <-changed:
			case <-next:
			case <-x.Request.Context().Done():
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
