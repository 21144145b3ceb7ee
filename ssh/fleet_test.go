//go:build linux

package ssh_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/ssh"
)

// fleet is hosts that are one real sshd, each with a root of its own.
type fleet struct {
	sshd *enginetest.Server
	cfg  ssh.Config
	dir  string
}

// newFleet makes n hosts, named host-g, host-h and so on.
func newFleet(t testing.TB, sshd *enginetest.Server, n int) *fleet {
	t.Helper()
	f := &fleet{sshd: sshd, dir: t.TempDir()}
	var text strings.Builder
	for k := range n {
		name := "host-" + string(rune('g'+k))
		fmt.Fprintf(&text, "Host %s\n%s", name, entry(t, sshd))
		f.cfg.Hosts = append(f.cfg.Hosts, ssh.Host{Name: name, Root: f.root(k)})
	}
	f.cfg.ConfigFile, f.cfg.StateDir = filepath.Join(f.dir, "config"), filepath.Join(f.dir, "state")
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(text.String()), 0o600))
	return f
}

// entry is how OpenSSH's configuration says to reach a server.
func entry(t testing.TB, s *enginetest.Server) string {
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	return fmt.Sprintf(" HostName %s\n Port %s\n User %s\n IdentityFile %s\n IdentityAgent none\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n",
		host, port, s.User, s.KeyFile(), s.KnownHosts())
}

func (f *fleet) root(k int) string { return filepath.Join(f.dir, fmt.Sprint("root-", k)) }

// provider makes one of the fleet's hosts.
func (f *fleet) provider(t testing.TB) *ssh.Provider {
	t.Helper()
	p, err := ssh.New(f.cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// claims are the numbers of a host's claims that are not free.
func (f *fleet) claims(k int) (held []string) {
	links, _ := filepath.Glob(filepath.Join(f.root(k), "claim.*"))
	for _, l := range links {
		n := strings.TrimPrefix(filepath.Ext(l), ".")
		if _, err := os.Lstat(filepath.Join(f.root(k), "free."+n)); err != nil {
			held = append(held, n)
		}
	}
	return held
}

// claim plants a claim by hand on the first free host.
func (f *fleet) claim(t testing.TB, text string) (id string) {
	for k, h := range f.cfg.Hosts {
		if len(f.claims(k)) == 0 {
			links, _ := filepath.Glob(filepath.Join(f.root(k), "claim.*"))
			n := fmt.Sprint(len(links) + 1)
			require.NoError(t, os.MkdirAll(f.root(k), 0o700))
			require.NoError(t, os.Symlink(text, filepath.Join(f.root(k), "claim."+n)))
			return h.Name + ":" + n
		}
	}
	return ""
}

// busy makes every claim have a run that does not end, whatever is done to it.
func (f *fleet) busy(t testing.TB) {
	for k := range f.cfg.Hosts {
		for _, n := range f.claims(k) {
			d := filepath.Join(f.root(k), n)
			require.NoError(t, os.MkdirAll(filepath.Join(d, "own", "hold"), 0o700))
			require.NoError(t, os.Symlink("d", filepath.Join(d, "own", "hold", "d")))
			require.NoError(t, os.MkdirAll(filepath.Join(d, "v1"), 0o700))
			stub := filepath.Join(d, "v1", "sup-0")
			require.NoError(t, os.WriteFile(stub, []byte("echo 'RUNCTL1 status run=hold phase=running '; echo RUNCTL1 end"), 0o600))
			require.NoError(t, os.Chtimes(stub, time.Now(), time.Now().Add(time.Hour)))
		}
	}
}
