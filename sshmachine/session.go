package sshmachine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// session is one command's channel. Its owner calls done once.
type session struct {
	*ssh.Session
	m    *Machine
	l    *link
	over chan struct{} // closed by done
}

// session opens a session. A server that takes no more on one connection is asked on another, or when one ends.
func (m *Machine) session(ctx context.Context) (*session, error) {
	began, lost := time.Now(), 0
	for {
		l, changed, err := m.pick(ctx, func(l *link) bool {
			if time.Now().Before(l.full) {
				return false
			}
			l.active++ // a reservation, under the lock
			return true
		})
		switch {
		case err != nil:
			return nil, err
		case l == nil:
			t := time.NewTimer(fullFor)
			select {
			case <-changed:
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return nil, m.fail(ctx, "session", "", nil)
			}
			t.Stop()
			continue
		}
		s, err := m.open(ctx, l)
		var no *ssh.OpenChannelError
		switch {
		case err == nil:
			return &session{Session: s, m: m, l: l, over: make(chan struct{})}, nil
		case errors.As(err, &no):
			if m.filled(l) && time.Since(began) > m.c.StepTimeout {
				return nil, m.fail(ctx, "session", runctl.ErrUnavailable, fmt.Errorf("the host takes no sessions: %s", printable(no.Message)))
			}
		case ctx.Err() == nil && l.dead() && lost < maxLost: // nothing was sent on it
			lost++
			if errors.Is(err, errNoSession) {
				lost = maxLost // once is a link that died unseen, twice is the host
			}
			m.release(l)
		default:
			m.release(l)
			return nil, m.fail(ctx, "session", runctl.ErrUnavailable, err)
		}
	}
}

// maxLost is how many links in a row may die before a session is open on one.
const maxLost = 4

var errNoSession = errors.New("no answer")

// open opens a session on a link, in a step's time. A link that said nothing at all for so long is dead.
func (m *Machine) open(ctx context.Context, l *link) (*ssh.Session, error) {
	type result struct {
		s   *ssh.Session
		err error
	}
	got := make(chan result, 1)
	go func() {
		s, err := l.client.NewSession()
		got <- result{s, err}
	}()
	t := time.NewTimer(m.c.StepTimeout)
	defer t.Stop()
	var err error
	select {
	case r := <-got:
		return r.s, r.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-t.C:
		err = fmt.Errorf("%w in %s", errNoSession, m.c.StepTimeout)
		if l.conn.silent() >= m.c.StepTimeout {
			l.end(err)
		}
	}
	go func() {
		if r := <-got; r.s != nil {
			_ = r.s.Close()
		}
	}()
	return nil, err
}

// filled notes that the server refused one more session on l. It is true when no link had any, so that there is
// no end of one to wait for; the server may still be busy with the end of the last.
func (m *Machine) filled(l *link) (alone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.active--
	l.full = time.Now().Add(fullFor)
	for _, l := range m.links {
		if l.active > 0 {
			return false
		}
	}
	return true
}

// release gives a session's place back.
func (m *Machine) release(l *link) {
	m.mu.Lock()
	if l.active--; l.active == 0 {
		l.idle = time.Now()
		time.AfterFunc(linger, func() { m.retire(l) })
	}
	l.full = time.Time{}
	m.mu.Unlock()
	m.wake()
}
