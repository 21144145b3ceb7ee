// Package memnet is a network in memory. Its connections are pipes, so that HTTP conversations between a real client and a
// real server run inside a testing/synctest bubble, on virtual time.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Net is a network. The zero value is empty and works; methods may be called concurrently.
type Net struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// Listen gives a host, or host:port, a listener. A host without a port has all ports.
func (n *Net) Listen(host string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[host] != nil {
		return nil, fmt.Errorf("memnet: %s is taken", host)
	}
	if n.hosts == nil {
		n.hosts = map[string]*listener{}
	}
	l := &listener{net: n, host: host, incoming: make(chan net.Conn), closed: make(chan struct{})}
	n.hosts[host] = l
	return l, nil
}

// DialContext connects to a listener, as net.Dialer does; http.Transport takes it. Nobody there is a refusal.
func (n *Net) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.hosts[addr]
	if l == nil {
		l = n.hosts[host]
	}
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: address(addr), Err: errors.New("connection refused")}
	if l == nil {
		return nil, refused
	}
	ours, theirs := net.Pipe()
	select {
	case l.incoming <- theirs:
		return ours, nil
	case <-l.closed:
		err = refused
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	_ = ours.Close()
	_ = theirs.Close()
	return nil, err
}

// Serve serves h at the host until the test ends, and returns a transport that reaches this network alone. Both
// are down before a surrounding synctest bubble ends.
func (n *Net) Serve(t testing.TB, host string, h http.Handler) *http.Transport {
	t.Helper()
	l, err := n.Listen(host)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	tr := &http.Transport{DialContext: n.DialContext}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		_ = srv.Close()
		<-done
	})
	return tr
}

type listener struct {
	net      *Net
	host     string
	incoming chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the host is free again.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.hosts, l.host)
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.host) }

// address is a host as a net.Addr.
type address string

// Network implements net.Addr.
func (address) Network() string { return "mem" }

// String implements net.Addr.
func (a address) String() string { return string(a) }
