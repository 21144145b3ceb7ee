package ssh

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"runctl"
	"runctl/sshmachine"
)

// idle is how long the connection for the provider's own calls stays after the last of them.
const idle = time.Minute

// conn is the one connection to a host that the provider's own calls share. It is made by the first of them, heals
// itself, and is closed when none came for a while.
type conn struct {
	lock chan struct{} // held while connecting, so that all who want it wait for the same attempt

	mu      sync.Mutex
	machine *sshmachine.Machine
	users   int
	timer   *time.Timer
}

// use runs f on the host's shared connection. When connecting fails nothing was sent.
func (h *host) use(ctx context.Context, p *Provider, f func(runctl.Machine) error) error {
	m, err := h.open(ctx, p)
	if err != nil {
		return err
	}
	defer h.leave()
	return f(m)
}

func (h *host) open(ctx context.Context, p *Provider) (runctl.Machine, error) {
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, &runctl.Error{Op: "connect", Err: context.Cause(ctx)}
	}
	defer func() { <-h.lock }()
	if err := ctx.Err(); err != nil {
		return nil, &runctl.Error{Op: "connect", Err: context.Cause(ctx)}
	}
	if m := h.join(); m != nil {
		return m, nil
	}
	m, err := p.dial(ctx, h, "", nil)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.machine, h.users = m, 1
	return m, nil
}

// join takes part in a connection that is there.
func (h *host) join() *sshmachine.Machine {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.machine != nil {
		h.users++
		if h.timer != nil {
			h.timer.Stop()
		}
	}
	return h.machine
}

func (h *host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users--; h.users == 0 {
		h.timer = time.AfterFunc(idle, func() { h.shut(false) })
	}
}

// shut closes the connection, when nobody uses it or when it must be.
func (h *host) shut(must bool) {
	h.mu.Lock()
	m := h.machine
	if m == nil || h.users > 0 && !must {
		h.mu.Unlock()
		return
	}
	h.machine = nil
	h.mu.Unlock()
	_ = m.Close()
}

// Close closes the connections that the provider keeps. It ends no instance, and the provider can still be used.
func (p *Provider) Close() error {
	for _, h := range p.hosts {
		h.shut(true)
	}
	return nil
}

// rooted runs commands for one claim on the shared connection.
type rooted struct {
	runctl.Machine
	root string
}

func (r rooted) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	return r.Machine.Exec(ctx, append([]string{"env", rootEnv + "=" + r.root}, argv...), stdin, stdout, stderr)
}

// rootEnv tells a command on a host where everything of its claim lies.
const rootEnv = "RUNCTL_ROOT"

// unsent reports whether an error is from before any command was sent to a host.
func unsent(err error) bool {
	var e *runctl.Error
	return errors.As(err, &e) && e.Op != "" && e.Op != "exec"
}
