package runctl

import (
	"context"
	"sync"
	"time"
)

// snapshot is one complete listing of our machines at one provider.
type snapshot struct {
	begun time.Time
	byID  map[string]*Instance // into list
	list  []Instance
	err   error
}

// listing makes a List call and bounds its answer.
func (c *Client) listing(ctx context.Context, a *account, owner string) snapshot {
	s := snapshot{begun: time.Now()}
	raw, err := call(ctx, c, a, Event{Op: "list"}, c.cfg.Deadlines.Call, func(ctx context.Context) ([]Instance, error) {
		return a.List(ctx, ListQuery{Owner: owner})
	})
	if err == nil && len(raw) > maxInstances {
		err = c.wrap(a, Event{Op: "list"}, &Error{Kind: ErrUnavailable, Msg: "list: more than 100,000 machines in one answer; it is not believed"})
	}
	if s.err = err; err != nil {
		return s
	}
	s.byID = make(map[string]*Instance, len(raw))
	s.list = make([]Instance, 0, len(raw)) // never grows, so that pointers into it stay
	for _, r := range raw {
		i, ok := c.checkInstance(a, r)
		if !ok {
			c.log.Warn("a machine with an unusable id was left out of the listing", "provider", a.info.Name, "id", text(r.ID))
			continue
		}
		if _, twice := s.byID[i.ID]; twice || owner != "" && i.Mark.Owner != owner {
			continue
		}
		s.list = append(s.list, i)
		s.byID[i.ID] = &s.list[len(s.list)-1]
	}
	return s
}

// poller shares one series of listings among all who wait on machines of one provider: calls grow with
// pages, never with machines or waiters. It has a goroutine only while somebody waits.
type poller struct {
	mu      sync.Mutex
	waiters map[*waiter]struct{}
	cancel  context.CancelFunc // of the running loop; nil: none runs
	closed  bool
}

// waiter receives the newest snapshot that was begun after it joined.
type waiter struct{ newest chan snapshot }

// watch calls look with fresh snapshots, one a tick, until it returns true. The first is taken at once,
// or with the next tick when the series is already running.
func (c *Client) watch(ctx context.Context, a *account, look func(snapshot) bool) error {
	w := &waiter{newest: make(chan snapshot, 1)}
	if err := a.poller.join(c, a, w); err != nil {
		return err
	}
	defer a.poller.leave(w)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s, open := <-w.newest:
			if !open {
				return &Error{Kind: ErrClosed, Msg: "the client was closed"}
			}
			if look(s) {
				return nil
			}
		}
	}
}

func (p *poller) join(c *Client, a *account, w *waiter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return &Error{Kind: ErrClosed, Msg: "the client was closed"}
	}
	if p.waiters == nil {
		p.waiters = map[*waiter]struct{}{}
	}
	p.waiters[w] = struct{}{}
	if p.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		p.cancel = cancel
		go p.loop(ctx, c, a)
	}
	return nil
}

func (p *poller) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w)
	if len(p.waiters) == 0 && p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for w := range p.waiters {
		close(w.newest)
	}
	p.waiters = nil
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

// loop lists once a tick until the last waiter has left.
func (p *poller) loop(ctx context.Context, c *Client, a *account) {
	for ctx.Err() == nil {
		p.mu.Lock()
		asked := make([]*waiter, 0, len(p.waiters))
		for w := range p.waiters {
			asked = append(asked, w)
		}
		p.mu.Unlock()
		var changed <-chan struct{}
		if n, ok := As[Notifier](a.Provider); ok {
			changed = n.Changed()
		}
		s := c.listing(ctx, a, c.cfg.Owner)
		p.deliver(ctx, asked, s)
		p.pause(ctx, a.info.Poll, s.begun, changed)
	}
}

// pause waits for the next tick. A change ends it early, but never to less than a tenth of a tick after the
// last listing: a busy account must not be listed once a change.
func (p *poller) pause(ctx context.Context, tick time.Duration, begun time.Time, changed <-chan struct{}) {
	t := time.NewTimer(tick)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-changed:
		_ = sleep(ctx, tick/10-time.Since(begun))
	}
}

// deliver hands s to those who had joined before it was begun, in the place of an older one.
func (p *poller) deliver(ctx context.Context, asked []*waiter, s snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for _, w := range asked {
		if _, waits := p.waiters[w]; !waits {
			continue
		}
		select {
		case <-w.newest:
		default:
		}
		w.newest <- s
	}
}

// gather is a listing shared by those who ask at the same time: each gets one that was begun after it
// asked. It is cut short when all who asked have left.
type gather struct {
	mu      sync.Mutex
	running bool
	next    *gathering // not begun; who comes now takes part
}

type gathering struct {
	ctx    context.Context
	cancel context.CancelFunc
	users  int // guarded by gather.mu
	done   chan struct{}
	snap   snapshot
}

// fresh returns a listing begun after the call.
func (c *Client) fresh(ctx context.Context, a *account) snapshot {
	if err := context.Cause(ctx); err != nil {
		return snapshot{err: c.wrap(a, Event{Op: "list"}, err)}
	}
	g := &a.gather
	g.mu.Lock()
	if g.next == nil {
		g.next = &gathering{done: make(chan struct{})}
		g.next.ctx, g.next.cancel = context.WithCancel(context.Background())
	}
	mine := g.next
	mine.users++
	if !g.running {
		g.running = true
		go g.run(c, a)
	}
	g.mu.Unlock()
	defer g.leave(mine)
	select {
	case <-mine.done:
		return mine.snap
	case <-ctx.Done():
		return snapshot{err: c.wrap(a, Event{Op: "list"}, context.Cause(ctx))}
	}
}

func (g *gather) leave(m *gathering) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.users--; m.users == 0 {
		m.cancel()
		if g.next == m {
			g.next = nil // not begun, and nobody wants it
		}
	}
}

func (g *gather) run(c *Client, a *account) {
	for {
		g.mu.Lock()
		now := g.next
		g.next, g.running = nil, now != nil
		g.mu.Unlock()
		if now == nil {
			return
		}
		now.snap = c.listing(now.ctx, a, c.cfg.Owner)
		close(now.done)
	}
}
