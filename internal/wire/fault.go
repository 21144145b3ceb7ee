package wire

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Cut says where a connection breaks.
type Cut int

// The places.
const (
	Whole   Cut = iota // it does not
	NoReply            // before the first byte of the reply
	Half               // in the middle of the reply's body
)

// Fault is what goes wrong with one request, or several.
type Fault struct {
	On    string // operationId; empty: every operation
	Skip  int    // requests that pass first
	Times int    // how often; 0: once; negative: for ever
	Every int    // only each so many-th request; 0: each

	Acts   bool          // the cloud does what it was asked before anything goes wrong
	Hold   time.Duration // the cloud thinks so long first
	Cut    Cut
	Status int    // instead of the reply; 0: the reply that was due
	Code   string // the cloud's own error with the status, where its errors have codes; empty: Body as it is
	Text   string // of that error
	Kind   string
	Head   map[string]string
	Body   string

	seen int // requests that it was looked at for
}

// Faults are those that are still to come. The zero value is none; methods may be called concurrently.
type Faults struct {
	mu  sync.Mutex
	all []*Fault
}

// Inject adds faults. The first that fits a request is its fate.
func (l *Faults) Inject(faults ...Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range faults {
		if x.Times == 0 {
			x.Times = 1
		}
		l.all = append(l.all, &x)
	}
}

// Heal takes all faults away.
func (l *Faults) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

// Take returns the fate of a request; nil: it goes well.
func (l *Faults) Take(op string) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.all {
		switch {
		case x.On != "" && x.On != op || x.Times == 0:
		case x.Skip > 0:
			x.Skip--
		case x.Every > 1 && x.seen%x.Every != x.Every-1:
			x.seen++
		default:
			x.seen++
			if x.Times > 0 {
				x.Times--
			}
			return x
		}
	}
	return nil
}

// Wait lets the time of the fault pass. false: the client has gone meanwhile, and a request that does not act never will.
func (x *Fault) Wait(ctx context.Context) bool {
	if x == nil || x.Hold == 0 {
		return true
	}
	t := time.NewTimer(x.Hold)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return x.Acts
	}
}

// OnlyWaits reports whether the fault was nothing but a pause.
func (x *Fault) OnlyWaits() bool { return x.Status == 0 && x.Cut == Whole && x.Head == nil }

// Reply answers as the fault has it. status and body are the reply that was due, whose headers w has; kind is the
// Content-Type of a status of the fault's own that names none. A cut panics with http.ErrAbortHandler.
func (x *Fault) Reply(w http.ResponseWriter, status int, body []byte, kind string) {
	if x.Cut == NoReply {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	if x.Status != 0 {
		status, body = x.Status, []byte(x.Body)
		h.Set("Content-Type", kind)
	}
	if x.Kind != "" {
		h.Set("Content-Type", x.Kind)
	}
	for k, v := range x.Head {
		h.Set(k, v)
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if x.Cut == Half {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}
