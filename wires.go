package runctl

import (
	"context"
	"errors"
	"sync"
)

// wires keeps one connection per machine, shared by all runs on it.
type wires struct {
	mu     sync.Mutex
	byID   map[string]*wire
	closed bool
}

// wire is one machine's connection. Its lock is held while connecting, so that all who want it wait for the
// same attempt.
type wire struct {
	lock    chan struct{}
	machine Machine
	gone    bool // dropped: nobody finds it any more
}

// machine returns the open connection to an instance, or makes it.
func (c *Client) machine(ctx context.Context, a *account, i Instance) (Machine, error) {
	m, _, err := c.wired(ctx, a, i)
	return m, err
}

// wired is machine, with what stands for the connection when it has to be dropped.
func (c *Client) wired(ctx context.Context, a *account, i Instance) (Machine, *wire, error) {
	con, ok := As[Connector](a.Provider)
	if !ok {
		return nil, nil, &Error{Provider: a.info.Name, Op: "connect", ID: i.ID, Kind: ErrInvalid, Err: errors.ErrUnsupported, Msg: "machines here cannot be entered"}
	}
	w, err := a.wires.wire(i.ID)
	if err != nil {
		return nil, nil, err
	}
	select {
	case w.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if w.gone { // dropped while we waited for it
		<-w.lock
		return c.wired(ctx, a, i)
	}
	defer func() { <-w.lock }()
	if w.machine != nil {
		return w.machine, w, nil
	}
	m, err := call(ctx, c, a, Event{Op: "connect", ID: i.ID, Key: i.Mark.Key}, c.cfg.Deadlines.Call,
		func(ctx context.Context) (Machine, error) {
			m, err := con.Connect(ctx, i, c.access(a, i))
			if err == nil {
				if err = c.met(a, i, m); err != nil {
					_ = m.Close()
				}
			}
			return m, err
		})
	if err != nil {
		return nil, nil, err
	}
	if by, ok := m.(interface{ Over() string }); ok { // of several ways, which
		c.log.Info("connected", "provider", a.info.Name, "id", i.ID, "over", by.Over())
	}
	w.machine = m
	return m, w, nil
}

func (ws *wires) wire(id string) (*wire, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return nil, &Error{Kind: ErrClosed, Msg: "the client was closed"}
	}
	if ws.byID == nil {
		ws.byID = map[string]*wire{}
	}
	w := ws.byID[id]
	if w == nil {
		w = &wire{lock: make(chan struct{}, 1)}
		ws.byID[id] = w
	}
	return w, nil
}

// drop closes a machine's connection after its end; the next use connects again.
func (ws *wires) drop(id string) {
	ws.mu.Lock()
	w := ws.byID[id]
	delete(ws.byID, id)
	ws.mu.Unlock()
	if w != nil {
		w.shut()
	}
}

// dropBroken closes a connection that failed, and no newer one of the same machine.
func (ws *wires) dropBroken(id string, w *wire) {
	ws.mu.Lock()
	if ws.byID[id] == w {
		delete(ws.byID, id)
	}
	ws.mu.Unlock()
	w.shut()
}

func (ws *wires) close() {
	ws.mu.Lock()
	all := ws.byID
	ws.byID, ws.closed = nil, true
	ws.mu.Unlock()
	for _, w := range all {
		w.shut()
	}
}

// over reports whether the client was closed, and all connections with it.
func (ws *wires) over() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.closed
}

func (w *wire) shut() {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	if w.machine != nil && !w.gone {
		_ = w.machine.Close()
	}
	w.gone = true
}
