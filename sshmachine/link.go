package sshmachine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// link is one authenticated connection.
type link struct {
	client *ssh.Client
	conn   *wire
	gone   chan struct{} // closed when the connection has ended
	cause  error         // why; read it after gone

	// Guarded by Machine.mu.
	active int       // sessions
	full   time.Time // until then the server is believed to take no more
	idle   time.Time // since when active is 0
}

func (l *link) dead() bool {
	select {
	case <-l.gone:
		return true
	default:
		return l.conn.broken.Load()
	}
}

// end closes the connection for a reason, once.
func (l *link) end(cause error) { l.conn.end(cause) }

// wire is a network connection that knows when it last heard something, and why it ended.
type wire struct {
	net.Conn
	heard  atomic.Int64 // nanoseconds after born
	broken atomic.Bool  // set before anyone can see the end
	ack    func()       // has what was received acknowledged; nil where it cannot be
	born   time.Time
	once   sync.Once
	mu     sync.Mutex
	ours   error // why we ended it
	theirs error // how reading from it failed
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: &packets{Conn: c}, born: time.Now(), ack: acker(c)}
}

// short is a read that may be all that the other side has to say.
const short = 2 << 10

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(int64(time.Since(w.born)))
		if n < short && w.ack != nil {
			w.ack()
		}
	}
	if err != nil {
		w.broken.Store(true)
		w.note(&w.theirs, err)
	}
	return n, err
}

// silent is how long nothing was heard.
func (w *wire) silent() time.Duration { return time.Since(w.born) - time.Duration(w.heard.Load()) }

// note keeps the first reason.
func (w *wire) note(at *error, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *at == nil {
		*at = err
	}
}

// reasons are why we ended it, and how reading failed; nil where neither happened.
func (w *wire) reasons() (ours, theirs error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ours, w.theirs
}

// end closes the connection for a reason of ours.
func (w *wire) end(cause error) {
	w.note(&w.ours, cause)
	_ = w.Close()
}

// Close is what the SSH library calls at the end.
func (w *wire) Close() error {
	w.broken.Store(true)
	w.once.Do(func() { _ = w.Conn.Close() })
	return nil
}

var errSilent = errors.New("the link is dead")

// watch probes a silent link until it ends, and ends one that stays silent.
func (l *link) watch(every time.Duration) {
	probing := make(chan struct{}, 1)
	for {
		next := every - l.conn.silent()
		if next <= 0 {
			next = 3*every - l.conn.silent()
		}
		t := time.NewTimer(max(next, time.Millisecond))
		select {
		case <-l.gone:
			t.Stop()
			return
		case <-t.C:
		}
		switch silent := l.conn.silent(); {
		case silent >= 3*every:
			l.end(fmt.Errorf("%w: nothing was heard for %s", errSilent, silent.Round(time.Millisecond)))
			return
		case silent >= every:
			select {
			case probing <- struct{}{}:
				go func() {
					_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil)
					<-probing
				}()
			default: // one is unanswered already
			}
		}
	}
}

// steps bounds the steps of connecting, each on its own, and the whole by a context.
type steps struct {
	each  time.Duration
	wire  *wire
	mu    sync.Mutex
	name  string
	timer *time.Timer
	over  bool
}

func newSteps(ctx context.Context, w *wire, each time.Duration) (s *steps, stop func()) {
	s = &steps{each: each, wire: w}
	cancel := context.AfterFunc(ctx, func() { w.end(context.Cause(ctx)) })
	return s, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// begin starts the time of a step; with no time it lasts until the next, as a question to a person does.
func (s *steps) begin(name string, timed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.name = name; s.timer != nil {
		s.timer.Stop()
	}
	if timed {
		s.timer = time.AfterFunc(s.each, func() { s.wire.end(fmt.Errorf("no answer in %s", s.each)) })
	}
}

func (s *steps) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}
