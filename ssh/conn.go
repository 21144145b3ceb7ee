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

	mu     sync.Mutex
	shared *shared // nil: none
}

// shared is a connection and who uses it. It is guarded by conn.mu.
type shared struct {
	*sshmachine.Machine
	users int
	timer *time.Timer // closes it
	given bool        // up: the last user closes it
}

// use runs f on the host's shared connection. When connecting fails nothing was sent. A connection that cannot be made
// again is given up, so that the next call reads anew how the host is reached and trusted.
func (h *host) use(ctx context.Context, p *Provider, f func(runctl.Machine) error) error {
	s, err := h.open(ctx, p)
	if err != nil {
		return err
	}
	err = f(s)
	h.leave(s, unsent(err) && ctx.Err() == nil)
	return err
}

func (h *host) open(ctx context.Context, p *Provider) (*shared, error) {
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, &runctl.Error{Op: "connect", Err: context.Cause(ctx)}
	}
	defer func() { <-h.lock }()
	if ctx.Err() != nil {
		return nil, &runctl.Error{Op: "connect", Err: context.Cause(ctx)}
	}
	if s := h.join(); s != nil {
		return s, nil
	}
	m, err := p.dial(ctx, h, "", nil)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shared = &shared{Machine: m, users: 1}
	return h.shared, nil
}

// join takes part in a connection that is there.
func (h *host) join() *shared {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shared != nil {
		h.shared.users++
		if h.shared.timer != nil {
			h.shared.timer.Stop()
		}
	}
	return h.shared
}

func (h *host) leave(s *shared, giveUp bool) {
	h.mu.Lock()
	s.users--
	if s.given = s.given || giveUp; s.given && h.shared == s {
		h.shared = nil
	}
	last := s.users == 0
	if last && !s.given {
		s.timer = time.AfterFunc(idle, func() { h.shut(s, false) })
	}
	h.mu.Unlock()
	if last && s.given {
		_ = s.Machine.Close()
	}
}

// shut closes a connection that nobody uses, or that must be closed. Nobody joins it any more.
func (h *host) shut(s *shared, must bool) {
	h.mu.Lock()
	if s.users > 0 && !must {
		h.mu.Unlock()
		return
	}
	if h.shared == s {
		h.shared = nil
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	h.mu.Unlock()
	_ = s.Machine.Close()
}

// Close closes the connections that the provider keeps. It ends no instance, and the provider can still be used.
func (p *Provider) Close() error {
	for _, h := range p.hosts {
		h.mu.Lock()
		s := h.shared
		h.mu.Unlock()
		if s != nil {
			h.shut(s, true)
		}
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
