package enginetest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// ProxyServer passes TCP connections on to a target, and breaks them. Its methods may be called concurrently.
type ProxyServer struct {
	// ChaosMin and ChaosMax bound how many bytes a connection lives for under chaos, in both directions together;
	// drawn so that every order of magnitude between is as likely. Set them before SetChaos.
	ChaosMin, ChaosMax int64

	listener net.Listener
	target   string
	seed     uint64
	wait     sync.WaitGroup

	mu      sync.Mutex
	wake    *sync.Cond // stalled, hole or closed changed
	open    map[*flow]bool
	drawn   uint64 // connections so far
	cuts    int
	stalled bool
	hole    bool
	chaos   bool
	closed  bool
	delay   time.Duration
	rate    int64
}

// flow is one connection and what is left of its life.
type flow struct {
	in, out net.Conn
	left    int64 // bytes until chaos cuts it; -1: no chaos
	pause   int64 // chaos holds it up when so many bytes are left
	held    time.Duration
	cut     bool
}

// Proxy starts a proxy on a free loopback port. What chaos does depends on seed and the connections' order only.
func Proxy(t testing.TB, target string, seed uint64) *ProxyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Logf("proxy %s to %s, seed %d", l.Addr(), target, seed)
	p := &ProxyServer{ChaosMin: 16 << 10, ChaosMax: 16 << 20, listener: l, target: target, seed: seed, open: map[*flow]bool{}}
	p.wake = sync.NewCond(&p.mu)
	p.wait.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens.
func (p *ProxyServer) Addr() string { return p.listener.Addr().String() }

// Cut resets every connection now.
func (p *ProxyServer) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.open {
		p.cutLocked(f)
	}
}

// Stall holds all bytes back, of new connections too, until Resume; nothing is lost.
func (p *ProxyServer) Stall() { p.set(func() { p.stalled = true }) }

// Blackhole takes all bytes, of new connections too, and drops them. Resume cuts the connections that it was done to.
func (p *ProxyServer) Blackhole() { p.set(func() { p.hole = true }) }

// Resume ends Stall and Blackhole.
func (p *ProxyServer) Resume() {
	p.set(func() {
		for f := range p.open {
			if p.hole {
				p.cutLocked(f)
			}
		}
		p.stalled, p.hole = false, false
	})
}

// Delay makes every byte arrive d later, in each direction; the round trip grows by twice that.
func (p *ProxyServer) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Rate bounds each connection's bytes a second, in each direction; 0: no bound.
func (p *ProxyServer) Rate(bytesPerSecond int64) { p.set(func() { p.rate = bytesPerSecond }) }

// SetChaos makes each new connection end after a random number of bytes, with a short stall somewhere before.
// Connections that are open when it is set off are spared.
func (p *ProxyServer) SetChaos(on bool) {
	p.set(func() {
		if p.chaos = on; !on {
			for f := range p.open {
				f.left = -1
			}
		}
	})
}

// Cuts is how many connections were cut so far, by Cut, Resume or chaos.
func (p *ProxyServer) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Connections is how many connections were made so far.
func (p *ProxyServer) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.drawn)
}

func (p *ProxyServer) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.wake.Broadcast()
}

func (p *ProxyServer) close() {
	p.set(func() {
		p.closed = true
		for f := range p.open {
			p.endLocked(f)
		}
	})
	_ = p.listener.Close()
	p.wait.Wait()
}

func (p *ProxyServer) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serve(in) })
	}
}

func (p *ProxyServer) serve(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(in)
		return
	}
	f := &flow{in: in, out: out, left: -1}
	p.mu.Lock()
	p.drawn++
	if p.chaos {
		r := rand.New(rand.NewPCG(p.seed, p.drawn))
		f.left = p.ChaosMin
		for f.left < p.ChaosMax && r.IntN(4) > 0 {
			f.left *= 2
		}
		f.left += r.Int64N(f.left)
		f.pause, f.held = r.Int64N(f.left), time.Duration(r.IntN(40))*time.Millisecond
	}
	if p.open[f] = true; p.closed {
		p.endLocked(f)
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(f, out, in) })
	both.Go(func() { p.pass(f, in, out) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(f)
}

// parcel is bytes that are due at a time.
type parcel struct {
	data []byte
	due  time.Time
}

// pass moves one direction until it ends, and then ends both: no one here needs half a connection.
func (p *ProxyServer) pass(f *flow, to, from net.Conn) {
	way := make(chan parcel, 256)
	var writer sync.WaitGroup
	writer.Go(func() { p.deliver(f, to, way) })
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		if n > 0 {
			p.mu.Lock()
			d := parcel{b[:n], time.Now().Add(p.delay)}
			p.mu.Unlock()
			way <- d
		}
		if err != nil {
			break
		}
	}
	close(way)
	writer.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(f)
}

// deliver writes what is due. It empties the channel whatever happens.
func (p *ProxyServer) deliver(f *flow, to io.Writer, way <-chan parcel) {
	for d := range way {
		time.Sleep(time.Until(d.due))
		n, held, drop := p.toll(f, int64(len(d.data)))
		time.Sleep(held)
		if drop {
			continue
		}
		_, _ = to.Write(d.data[:n])
		if n < int64(len(d.data)) {
			p.mu.Lock()
			p.cutLocked(f)
			p.mu.Unlock()
		}
	}
}

// toll waits while the proxy stalls, and says how many of n bytes may pass, after how long a pause.
func (p *ProxyServer) toll(f *flow, n int64) (allowed int64, held time.Duration, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed && p.open[f] {
		p.wake.Wait()
	}
	if p.hole || !p.open[f] {
		return 0, 0, true
	}
	if p.rate > 0 {
		held = time.Duration(n) * time.Second / time.Duration(p.rate)
	}
	if f.left < 0 {
		return n, held, false
	}
	allowed = min(n, f.left)
	if f.left > f.pause && f.left-allowed <= f.pause {
		held += f.held
	}
	f.left -= allowed
	return allowed, held, false
}

func (p *ProxyServer) cutLocked(f *flow) {
	if p.open[f] {
		p.cuts++
		f.cut = true
		p.endLocked(f)
	}
}

// endLocked closes a connection; one that was cut is reset, as a lost network shows it.
func (p *ProxyServer) endLocked(f *flow) {
	if !p.open[f] {
		return
	}
	delete(p.open, f)
	if f.cut {
		reset(f.in)
		reset(f.out)
	}
	_ = f.in.Close()
	_ = f.out.Close()
	p.wake.Broadcast()
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
