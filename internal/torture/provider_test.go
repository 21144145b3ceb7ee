package torture

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/knownhosts"

	"runctl/internal/enginetest"
	"runctl/ssh"
)

const hostName = "gpu"

// provide writes down how the host is reached: through the line.
func provide(t *testing.T, dir string, host *enginetest.Server, line *enginetest.ProxyServer) ssh.Config {
	at := func(name string) string { return filepath.Join(dir, name) }
	addr, port, err := net.SplitHostPort(line.Addr())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at("known_hosts"), []byte(knownhosts.Line([]string{line.Addr()}, host.HostKey)+"\n"), 0o600))
	require.NoError(t, os.WriteFile(at("config"), fmt.Appendf(nil, "Host %s\n HostName %s\n Port %s\n User %s\n IdentityFile %s\n IdentityAgent none\n",
		hostName, addr, port, host.User, host.KeyFile()), 0o600))
	return ssh.Config{Hosts: []ssh.Host{{Name: hostName, Root: at("root")}}, ConfigFile: at("config"), KnownHosts: []string{at("known_hosts")}, StateDir: at("state")}
}
