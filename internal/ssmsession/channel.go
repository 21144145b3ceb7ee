package ssmsession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	pieceSize = 1024 // bytes of a payload, as agents and plugins have it
	window    = 1024 // stream messages that are under way; the sender waits with more
	maxEarly  = 4096 // messages that came before their turn; more are not taken, and come again
	maxUnread = 8 << 20
	tries     = 16 // messages that are sent again at once

	firstRTO = 500 * time.Millisecond
	minRTO   = 200 * time.Millisecond
	maxRTO   = 5 * time.Second
	// giveUp is how long a message may go without an acknowledgement, while the other side is not known to be away.
	giveUp = time.Minute
)

// channel is one side of a data channel. Three goroutines serve it: one reads the websocket, one writes it, and one passes
// on what came, in order, so that neither a slow websocket nor a slow taker stops acknowledgements.
type channel struct {
	ws     *websocket.Conn
	stream string                // what our stream messages are called
	take   func(message) error   // a stream message of the other side, in order; io.EOF: the channel has ended well
	fate   func([]byte) [][]byte // what is written for a message, of an agent with faults; nil: itself
	ctx    context.Context
	stop   context.CancelCauseFunc
	done   chan struct{} // closed when no goroutine is left

	mu       sync.Mutex
	wake     chan struct{} // there is something to write
	room     chan struct{} // closed and made anew when messages were acknowledged
	next     int64         // our next number
	sent     []*pending    // ours that are not acknowledged, by number
	acks     [][]byte
	paused   bool
	rtt, dev time.Duration // smoothed; 0: nothing is known

	expected int64 // the other side's next number
	early    map[int64]message
	ready    []message // in order, not yet taken
	unread   int       // their bytes
	came     chan struct{}
	end      error // the other side has nothing more to say, and takes nothing more; nil: it goes on
}

// pending is a message of ours that was not acknowledged yet.
type pending struct {
	seq   int64
	bytes []byte
	first time.Time // when it was sent; zero: not yet
	again bool      // it was sent more than once
	due   time.Time // when it is sent again
	wait  time.Duration
}

func newChannel(ctx context.Context, ws *websocket.Conn, stream string, take func(*channel, message) error) *channel {
	c := &channel{ws: ws, stream: stream, done: make(chan struct{}), wake: make(chan struct{}, 1), room: make(chan struct{}),
		early: map[int64]message{}, came: make(chan struct{}, 1)}
	c.take = func(m message) error { return take(c, m) }
	ws.SetReadLimit(maxMessage)
	c.ctx, c.stop = context.WithCancelCause(ctx)
	return c
}

// run serves the channel until it ends.
func (c *channel) run() {
	var all sync.WaitGroup
	for _, serve := range []func() error{c.read, c.write, c.deliver} {
		all.Go(func() { c.stop(serve()) })
	}
	all.Wait()
	_ = c.ws.CloseNow()
	close(c.done)
}

// cause is why it has ended.
func (c *channel) cause() error { return context.Cause(c.ctx) }

// send puts a copy of one payload under way, in the order of the calls, of which there is one at a time. It waits while too many
// are, until the channel or ctx ends.
func (c *channel) send(ctx context.Context, typ uint32, payload []byte) error {
	for {
		c.mu.Lock()
		if len(c.sent) < window {
			m := message{kind: c.stream, seq: c.next, id: newID(), typ: typ, created: time.Now(), payload: payload}
			c.sent = append(c.sent, &pending{seq: c.next, bytes: m.encode()})
			c.next++
			c.mu.Unlock()
			poke(c.wake)
			return nil
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-c.ctx.Done():
			return c.cause()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flushed waits until all that was sent is acknowledged, until the channel or ctx ends.
func (c *channel) flushed(ctx context.Context) {
	for {
		c.mu.Lock()
		left, room := len(c.sent), c.room
		c.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-room:
		case <-c.ctx.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// read takes messages off the websocket, until there are no more. What has come is delivered before the end is.
func (c *channel) read() error {
	for {
		_, b, err := c.ws.Read(c.ctx)
		if err != nil {
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				c.over(io.EOF)
			}
			c.over(fmt.Errorf("the data channel was cut: %w", err))
			<-c.ctx.Done()
			return c.cause()
		}
		if m, err := decode(b); err == nil { // one that is damaged comes again, as if it had been lost
			c.handle(m)
		}
	}
}

// over notes the end that the other side made; the first reason counts.
func (c *channel) over(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = why
	}
	poke(c.came)
}

func (c *channel) handle(m message) {
	if m.kind == channelClosed {
		var why closed
		_ = json.Unmarshal(m.payload, &why)
		if why.Output == "" {
			c.over(io.EOF)
		} else {
			c.over(&endError{why.Output})
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused && m.kind != pausePublication { // whatever else comes shows that somebody is there
		c.resume(time.Now())
	}
	c.paused = m.kind == pausePublication
	switch m.kind {
	case acknowledge:
		var r receipt
		if json.Unmarshal(m.payload, &r) == nil && r.Kind == c.stream {
			c.acknowledged(r.Seq)
		}
	case inputStream, outputStream:
		if m.kind != c.stream {
			c.receive(m)
		}
	}
}

// resume begins anew with what is not acknowledged: the time in which the other side was away does not count. The lock is held.
func (c *channel) resume(now time.Time) {
	for _, p := range c.sent {
		if !p.first.IsZero() {
			p.first, p.due = now, now
		}
	}
	poke(c.wake)
}

// acknowledged forgets a message that has arrived. The lock is held.
func (c *channel) acknowledged(seq int64) {
	for n, p := range c.sent {
		if p.seq != seq || p.first.IsZero() {
			continue
		}
		if !p.again { // of one that was sent twice nobody knows which of them this is for
			c.measure(time.Since(p.first))
		}
		c.sent = append(c.sent[:n:n], c.sent[n+1:]...)
		close(c.room)
		c.room = make(chan struct{})
		return
	}
}

// measure smooths the round trip's time, as TCP does. The lock is held.
func (c *channel) measure(rtt time.Duration) {
	if c.rtt == 0 {
		c.rtt, c.dev = rtt, rtt/2
		return
	}
	c.dev += ((rtt - c.rtt).Abs() - c.dev) / 4
	c.rtt += (rtt - c.rtt) / 8
}

func (c *channel) rto() time.Duration {
	if c.rtt == 0 {
		return firstRTO
	}
	return min(max(c.rtt+4*c.dev, minRTO), maxRTO)
}

// receive takes a stream message and acknowledges it, also when it came before: the acknowledgement may have been lost.
// The lock is held.
func (c *channel) receive(m message) {
	_, known := c.early[m.seq]
	switch {
	case m.seq < c.expected || known:
	case c.unread >= maxUnread || m.seq-c.expected > maxEarly:
		return // it comes again
	default:
		c.early[m.seq] = m
		for {
			m, ok := c.early[c.expected]
			if !ok {
				break
			}
			delete(c.early, c.expected)
			c.expected++
			c.ready = append(c.ready, m)
			c.unread += len(m.payload)
		}
		poke(c.came)
	}
	r := receipt{Kind: m.kind, ID: uuid(m.id), Seq: m.seq, Sequential: true}
	c.acks = append(c.acks, message{kind: acknowledge, id: newID(), flags: bitSyn | bitFin, created: time.Now(), payload: marshal(r)}.encode())
	poke(c.wake)
}

// write puts messages on the websocket: acknowledgements first, then what is new, and what must be sent again.
func (c *channel) write() error {
	for {
		batch, wait, err := c.due(time.Now())
		if err != nil {
			return err
		}
		for _, b := range batch {
			if c.put(b) != nil {
				_ = c.ws.CloseNow() // and the reader knows whether that was a cut: an end in order lets nobody write, too
				<-c.ctx.Done()
				return c.cause()
			}
		}
		if len(batch) > 0 {
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-c.wake:
		case <-t.C:
		case <-c.ctx.Done():
		}
		t.Stop()
		if c.ctx.Err() != nil {
			return c.cause()
		}
	}
}

// due is what to write now, and otherwise how long there is nothing.
func (c *channel) due(now time.Time) (batch [][]byte, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, c.acks, wait = c.acks, nil, time.Hour
	if c.end != nil {
		return nil, wait, nil
	}
	if c.paused {
		return batch, wait, nil
	}
	again := 0
	for _, p := range c.sent {
		switch {
		case p.first.IsZero():
			p.first, p.wait = now, c.rto()
		case now.Before(p.due) || again == tries:
			wait = min(wait, max(p.due.Sub(now), time.Millisecond))
			continue
		case now.Sub(p.first) >= giveUp:
			return nil, 0, errors.New("the other side has acknowledged nothing for a minute")
		default:
			again++
			p.again, p.wait = true, min(2*p.wait, maxRTO)
		}
		p.due = now.Add(p.wait)
		wait = min(wait, p.wait)
		batch = append(batch, p.bytes)
	}
	return batch, wait, nil
}

func (c *channel) put(b []byte) error {
	if c.fate == nil {
		return c.ws.Write(c.ctx, websocket.MessageBinary, b)
	}
	for _, b := range c.fate(b) {
		if err := c.ws.Write(c.ctx, websocket.MessageBinary, b); err != nil {
			return err
		}
	}
	return nil
}

// deliver passes on what came, in order.
func (c *channel) deliver() error {
	for {
		c.mu.Lock()
		batch, end := c.ready, c.end
		c.ready = nil
		c.mu.Unlock()
		for _, m := range batch {
			if err := c.take(m); err != nil {
				return err
			}
			c.mu.Lock()
			c.unread -= len(m.payload)
			c.mu.Unlock()
		}
		switch {
		case len(batch) > 0:
			continue
		case end != nil:
			return end
		}
		select {
		case <-c.came:
		case <-c.ctx.Done():
			return c.cause()
		}
	}
}

// endError is a session that its other side has ended, and what it said.
type endError struct{ said string }

// Error quotes the other side.
func (e *endError) Error() string { return "the session was ended: " + printable(e.said) }
