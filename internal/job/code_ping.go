package job

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"time"
)

// ping is the stdin of a verb that says ping and reads a line: it gives the line when that was seen, or after a
// second, for a machine that starts nothing before it has all of stdin. What comes next ends the round trip.
type ping struct {
	asked chan struct{} // closed when ping was seen

	given bool // Read's own

	mu   sync.Mutex
	out  limitedBuffer
	seen bool
	sent time.Time
	back time.Duration
}

const pingWait = time.Second

func newPing() *ping { return &ping{asked: make(chan struct{})} }

// Read gives one newline.
func (p *ping) Read(b []byte) (int, error) {
	if p.given || len(b) == 0 {
		return 0, io.EOF
	}
	p.given = true
	timer := time.NewTimer(pingWait)
	defer timer.Stop()
	select {
	case <-p.asked:
		p.mu.Lock()
		p.sent = time.Now()
		p.mu.Unlock()
	case <-timer.C:
	}
	b[0] = '\n'
	return 1, nil
}

// pong is the stdout that belongs to a ping.
type pong struct{ *ping }

// pingEnds are what ends the wait for a ping: itself, or a reply that begins with something else.
var pingEnds = [][]byte{[]byte(formatLine(kindPing)), absentReply, []byte(formatLine(kindEnd))}

func (o pong) Write(b []byte) (int, error) {
	p := o.ping
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sent.IsZero() && p.back == 0 {
		p.back = max(time.Since(p.sent), 1)
	}
	n, err := p.out.Write(b)
	if !p.seen {
		p.seen = slices.ContainsFunc(pingEnds, func(line []byte) bool { return bytes.Contains(p.out.Bytes(), line) })
		if p.seen {
			close(p.asked)
		}
	}
	return n, err
}

// took returns the round trip; 0: there was none.
func (p *ping) took() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.back
}
