package sshmachine

import (
	"net"
	"sync"
	"time"
)

// packets is a network connection for the SSH library, which reads and writes it through buffers of 4 KiB: a packet of
// 32 KiB would take several calls of the kernel at each side, and wake the other side several times. A read takes all
// that has come, and a full buffer waits for the rest of its packet. One goroutine reads at a time, and one writes.
type packets struct {
	net.Conn

	come []byte // was read and not asked for yet; the reader's
	room []byte // where it lies
	end  error  // what comes after it

	mu     sync.Mutex
	held   []byte // the beginning of a packet; empty: none
	timer  *time.Timer
	failed error // of the timer's write
}

const (
	libraryBuffer = 4 << 10 // bufio's default size
	readRoom      = 128 << 10
	// heldFor is how long a full buffer waits. The rest of a packet follows it at once, so it ends only the wait of one
	// that was no beginning.
	heldFor = 5 * time.Millisecond
)

func (c *packets) Read(p []byte) (int, error) {
	if len(c.come) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		if c.room == nil {
			c.room = make([]byte, readRoom)
		}
		var n int
		n, c.end = c.Conn.Read(c.room)
		c.come = c.room[:n]
	}
	n := copy(p, c.come)
	c.come = c.come[n:]
	if n == 0 {
		return 0, c.end
	}
	return n, nil
}

func (c *packets) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return 0, c.failed
	case len(c.held) > 0:
		c.timer.Stop()
		both := net.Buffers{c.held, p}
		n, err := both.WriteTo(c.Conn)
		n, c.held = n-int64(len(c.held)), c.held[:0]
		return int(max(n, 0)), err
	case len(p) != libraryBuffer:
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	if c.timer == nil {
		c.timer = time.AfterFunc(heldFor, c.flush)
	} else {
		c.timer.Reset(heldFor)
	}
	return len(p), nil
}

// flush writes what waited for long enough.
func (c *packets) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) > 0 {
		_, c.failed = c.Conn.Write(c.held)
		c.held = c.held[:0]
	}
}
