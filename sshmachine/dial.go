package sshmachine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// connect opens one more link, trusts the host, and logs in. A host that shows a key which is not believed is
// asked for its keys of other kinds, each on a connection of its own.
func (m *Machine) connect(ctx context.Context) (*link, error) {
	trust := m.trust()
	algorithms := plainKeys()
	if trust.algorithms != nil {
		algorithms = trust.algorithms(m.c.trusted())
	}
	var first error
	for {
		l, shown, err := m.attempt(ctx, trust, algorithms)
		var bad *HostKeyError
		switch {
		case err == nil:
			return l, nil
		case first == nil:
			first = err
		}
		if !errors.As(err, &bad) || shown == nil {
			return nil, first
		}
		tried := algorithmsOf(shown.Type())
		rest := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return slices.Contains(tried, a) })
		if len(rest) == 0 || len(rest) == len(algorithms) {
			return nil, first
		}
		algorithms = rest
	}
}

// attempt is one connection. It returns the key that the host showed, believed or not.
func (m *Machine) attempt(ctx context.Context, trust Trust, algorithms []string) (_ *link, shown ssh.PublicKey, _ error) {
	conn, err := m.dialNet(ctx)
	if err != nil {
		return nil, nil, err
	}
	w := newWire(conn)
	at, stop := newSteps(ctx, w, m.c.StepTimeout)
	defer stop()
	var believed bool
	at.begin("handshake", true)
	conf := &ssh.ClientConfig{
		User:              m.c.User,
		Auth:              m.c.Auth,
		ClientVersion:     "SSH-2.0-runctl",
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if believed { // keys are exchanged again now and then
				return exactly(m.c.Addr, shown).check("", key)
			}
			shown = key
			at.begin("host key", false)
			if err := trust.check(m.c.trusted(), key); err != nil {
				return err
			}
			believed = true
			at.begin("auth", true)
			return nil
		},
	}
	c, chans, reqs, err := ssh.NewClientConn(w, m.c.Addr, conf)
	if err != nil {
		kind := runctl.ErrUnavailable
		if believed && strings.Contains(err.Error(), "unable to authenticate") {
			kind, err = runctl.ErrAuth, m.refused(err)
		} else if ours, _ := w.reasons(); ours != nil {
			err = ours
		}
		return nil, shown, m.fail(ctx, at.now(), kind, err)
	}
	l := &link{client: ssh.NewClient(c, chans, reqs), conn: w, gone: make(chan struct{})}
	go func() {
		err := l.client.Wait()
		ours, theirs := w.reasons()
		l.cause = cmp.Or(ours, theirs, err, io.EOF)
		_ = w.Close()
		close(l.gone)
		m.wake()
	}()
	go l.watch(m.c.KeepAlive)
	if trust.prove != nil {
		at.begin("challenge", true)
		err := trust.prove(ctx, shown, func(ctx context.Context, command string) (string, error) { return ask(l, command) })
		if err != nil {
			var bad *HostKeyError
			if ours, _ := w.reasons(); errors.As(err, &bad) {
				bad.Host = m.c.Addr
			} else if ours != nil {
				err = ours
			}
			l.end(err)
			return nil, nil, m.fail(ctx, "challenge", runctl.ErrUnavailable, err)
		}
	}
	m.believe(shown, trust.grade)
	return l, shown, nil
}

// dialNet opens the network connection, through the jump host where there is one.
func (m *Machine) dialNet(ctx context.Context) (net.Conn, error) {
	own, cancel := context.WithTimeoutCause(ctx, m.c.StepTimeout, fmt.Errorf("no answer in %s", m.c.StepTimeout))
	defer cancel()
	dial := m.c.Dial
	switch {
	case m.jump != nil:
		c, err := m.jump.Client(ctx)
		if err != nil {
			return nil, err
		}
		dial = c.DialContext
	case dial == nil:
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(own, "tcp", m.c.Addr)
	if err != nil {
		if own.Err() != nil {
			err = context.Cause(own)
		}
		return nil, m.fail(ctx, "connect", runctl.ErrUnavailable, err)
	}
	return conn, nil
}

// refused says who was refused with how many ways to log in, without any of them.
func (m *Machine) refused(err error) error {
	if len(m.c.Auth) == 0 {
		return fmt.Errorf("the host wants user %q to log in, and no key was given", m.c.User)
	}
	_, tried, _ := strings.Cut(err.Error(), "attempted methods ")
	tried, _, _ = strings.Cut(tried, ",")
	return fmt.Errorf("the host refused user %q (tried %s); check the user and that the key is in its authorized_keys", m.c.User, tried)
}
