package sshmachine

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// Machine is one host over SSH. Its methods may be called concurrently.
type Machine struct {
	c    Config
	jump *Machine

	dialing chan struct{} // held while a link is made, so that all who want one wait for the same attempt

	mu      sync.Mutex
	links   []*link
	key     ssh.PublicKey // believed; nil before
	grade   runctl.HostTrust
	closed  bool
	changed chan struct{} // closed when a link or a session ended
}

var (
	_ runctl.Machine = (*Machine)(nil)
	_ runctl.Hosted  = (*Machine)(nil)
)

const (
	maxLinks = 16                     // connections to one host, of as many sessions each as it takes
	linger   = time.Minute            // an idle link beside the first is closed after this
	fullFor  = 250 * time.Millisecond // after a refusal a link is left alone for this, or until a session on it ends
)

// Dial connects to a host, trusts it and logs in, in this order: before the host is trusted nothing of ours is
// sent, not even the user's name. The context bounds the call only. Errors are [*runctl.Error]: ErrInvalid for
// the config, ErrHostKey for a host key that is not believed (with a [*HostKeyError] in its chain), ErrAuth for a
// refused login, ErrUnavailable for a host that cannot be reached or has not answered a challenge yet, and the
// context's own.
func Dial(ctx context.Context, c Config) (*Machine, error) {
	c, err := c.checked(0)
	if err != nil {
		return nil, err
	}
	return dial(ctx, c)
}

func dial(ctx context.Context, c Config) (*Machine, error) {
	m := &Machine{c: c, dialing: make(chan struct{}, 1), changed: make(chan struct{})}
	if c.Jump != nil {
		j, err := dial(ctx, *c.Jump)
		if err != nil {
			return nil, err
		}
		m.jump = j
	}
	if _, err := m.live(ctx); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// HostKey returns the fingerprint, "SHA256:…", of the key that was believed, and why. Of a certificate it is the
// fingerprint of the key that was certified.
func (m *Machine) HostKey() (fingerprint string, trust runctl.HostTrust) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cert, ok := m.key.(*ssh.Certificate); ok {
		return ssh.FingerprintSHA256(cert.Key), m.grade
	}
	return ssh.FingerprintSHA256(m.key), m.grade
}

// Client returns the native connection, after connecting again where it was dead. It is the Machine's: closing it
// fails the commands on it.
func (m *Machine) Client(ctx context.Context) (*ssh.Client, error) {
	l, err := m.live(ctx)
	if err != nil {
		return nil, err
	}
	return l.client, nil
}

// Close ends the connections and leaves the host alone. Commands under way fail.
func (m *Machine) Close() error {
	m.mu.Lock()
	links := m.links
	m.links, m.closed = nil, true
	m.mu.Unlock()
	for _, l := range links {
		l.end(net.ErrClosed)
		<-l.gone
	}
	m.wake()
	if m.jump != nil {
		return m.jump.Close()
	}
	return nil
}

// trust is what a new link must pass: the key that was believed first, or else the Config's Trust.
func (m *Machine) trust() Trust {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, cert := m.key.(*ssh.Certificate); m.key == nil || cert {
		return m.c.Trust
	}
	t := exactly(m.c.Addr, m.key)
	t.grade = m.grade
	return t
}

func (m *Machine) believe(key ssh.PublicKey, grade runctl.HostTrust) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key, m.grade = key, grade
}

// wake tells everyone who waits for a session that something ended.
func (m *Machine) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

var errClosed = &runctl.Error{Op: "exec", Kind: runctl.ErrClosed, Msg: "ssh: the machine's connection was closed by its owner"}

// live returns a link that is not known to be dead, whether or not it takes another session.
func (m *Machine) live(ctx context.Context) (*link, error) {
	l, _, err := m.pick(ctx, func(*link) bool { return true })
	return l, err
}

// pick returns the first living link that fits, or a new one when none does. Where another is no use or cannot be made
// beside the living ones, it returns nil and a channel that is closed when something has changed.
func (m *Machine) pick(ctx context.Context, fits func(*link) bool) (*link, <-chan struct{}, error) {
	l, changed, err := m.look(fits)
	if l != nil || changed != nil || err != nil {
		return l, changed, err
	}
	select {
	case m.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, m.fail(ctx, "connect", "", nil)
	}
	defer func() { <-m.dialing }()
	if l, changed, err = m.look(fits); l != nil || changed != nil || err != nil {
		return l, changed, err
	}
	l, err = m.connect(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	var bad *HostKeyError
	switch {
	case err != nil && len(m.links) > 0 && ctx.Err() == nil && !errors.As(err, &bad):
		return nil, m.changed, nil // the others will do
	case err != nil:
		return nil, nil, err
	case m.closed:
		l.end(net.ErrClosed)
		return nil, nil, errClosed
	}
	m.links = append(m.links, l)
	fits(l)
	return l, nil, nil
}

// look is pick without making a link: with three nils one should be made.
func (m *Machine) look(fits func(*link) bool) (*link, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, errClosed
	}
	m.links = slices.DeleteFunc(m.links, (*link).dead)
	busy := len(m.links) == 0
	for _, l := range m.links {
		if fits(l) {
			return l, nil, nil
		}
		busy = busy || l.active > 0
	}
	if !busy || len(m.links) >= maxLinks {
		return nil, m.changed, nil
	}
	return nil, nil, nil
}

// retire closes a link that has been idle for a while, unless it is the first.
func (m *Machine) retire(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.links, l); i > 0 && l.active == 0 && time.Since(l.idle) >= linger {
		m.links = slices.Delete(m.links, i, i+1)
		l.end(net.ErrClosed)
	}
}
