package sshmachine_test

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// TestMain checks that nothing of this package is left running.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8") // those that are parallel wait
	}
	code := m.Run()
	deadline := time.After(time.Minute)
	for code == 0 {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		left := 0
		for g := range strings.SplitSeq(stacks.String(), "\n\n") {
			if strings.Contains(g, "runctl/sshmachine.") || strings.Contains(g, "crypto/ssh.") {
				left++
			}
		}
		if left == 0 {
			break
		}
		select {
		case <-deadline:
			os.Stderr.WriteString("goroutines are left:\n" + stacks.String())
			code = 1
		case <-time.After(20 * time.Millisecond):
		}
	}
	os.Exit(code)
}

// config enters s by known_hosts.
func config(t testing.TB, s *enginetest.Server) sshmachine.Config {
	t.Helper()
	trust, err := sshmachine.KnownHosts(s.KnownHosts())
	require.NoError(t, err)
	return sshmachine.Config{Addr: s.Addr, User: s.User, Auth: auth(t, s), Trust: trust}
}

func auth(t testing.TB, s *enginetest.Server) []ssh.AuthMethod {
	t.Helper()
	a, err := sshmachine.Signer(s.Signer)
	require.NoError(t, err)
	return []ssh.AuthMethod{a}
}

// through reaches the same host by way of p.
func through(t testing.TB, c sshmachine.Config, p *enginetest.ProxyServer) sshmachine.Config {
	t.Helper()
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		require.Equal(t, c.Addr, addr)
		return new(net.Dialer).DialContext(ctx, network, p.Addr())
	}
	return c
}

func dial(t testing.TB, c sshmachine.Config) *sshmachine.Machine {
	t.Helper()
	m, err := sshmachine.Dial(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// run runs argv and returns what it wrote.
func run(t testing.TB, m runctl.Machine, stdin string, argv ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := m.Exec(t.Context(), argv, strings.NewReader(stdin), &out, &errs)
	require.NoError(t, err, "%.200q: %s", argv, errs.String())
	return code, out.String(), errs.String()
}

func eventually(t testing.TB, f func() bool, what string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-deadline:
			t.Fatal("never: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func nothingLeft(t testing.TB, s *enginetest.Server) {
	t.Helper()
	eventually(t, func() bool { return len(s.Left()) == 0 }, "no process of a session is left")
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

type reader func([]byte) (int, error)

func (f reader) Read(p []byte) (int, error) { return f(p) }

// onFirst calls f at the first write.
func onFirst(f func()) writer {
	var once sync.Once
	return func(p []byte) (int, error) {
		once.Do(f)
		return len(p), nil
	}
}
