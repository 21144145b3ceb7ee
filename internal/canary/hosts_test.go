package canary

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/ssh"
	"runctl/sshmachine"
)

// hostConfig is a host of package ssh that is a real server, entered with a file of a key.
func hostConfig(t *testing.T, s *enginetest.Server, key, root string) ssh.Config {
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	dir := t.TempDir()
	config := fmt.Sprintf("Host canary\n HostName %s\n Port %s\n User %s\n IdentityFile %s\n IdentityAgent none\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n",
		host, port, s.User, key, s.KnownHosts())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	return ssh.Config{Hosts: []ssh.Host{{Name: "canary", Root: root}}, ConfigFile: filepath.Join(dir, "config"), StateDir: filepath.Join(dir, "state")}
}

// newHosts is a site of package ssh.
func newHosts(t *testing.T, p planted, a around, g *gates, env ...string) *site {
	opts := []enginetest.Option{enginetest.Line("LogLevel DEBUG3")}
	for _, pair := range env {
		opts = append(opts, enginetest.Env(pair))
	}
	server := enginetest.SSHD(t, opts...)
	p.h.key("the key of a person who may enter the host", server.Signer)
	p.h.known("the server's directory", server.Dir+"/authorized_keys")
	root := filepath.Join(t.TempDir(), "root")
	cfg := hostConfig(t, server, server.KeyFile(), root)
	provider, err := ssh.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = provider.Close() })
	p.h.hidden(atValue, "ssh.Config", cfg, "%s", "%d")
	p.h.hidden(atValue, "ssh.Provider", provider, "%s", "%d")
	s := newSite(t, p, a, g, provider, root)
	s.server = server
	s.root = func(i runctl.Instance) string { return filepath.Join(root, i.ID[strings.LastIndexByte(i.ID, ':')+1:]) }
	return s
}

// Files with private keys that cannot be read, and keys that do not let in.
func TestKeyFilesShowNothing(t *testing.T) {
	h := newHunt(t)
	server := enginetest.SSHD(t, enginetest.Line("LogLevel DEBUG3"))
	h.known("the server's directory", server.Dir+"/authorized_keys")
	h.key("the key in a file", server.Signer)
	whole, err := os.ReadFile(server.KeyFile())
	require.NoError(t, err)
	locked, err := gossh.MarshalPrivateKeyWithPassphrase(server.Signer, "", []byte(h.token("a passphrase")))
	require.NoError(t, err)
	block, _ := pem.Decode(whole)
	server.AuthorizedKeys() // nobody
	dir := t.TempDir()
	for what, text := range map[string]string{
		"a whole one":              string(whole),
		"a locked one":             string(pem.EncodeToMemory(locked)),
		"a cut one":                string(whole[:len(whole)*3/4]),
		"one that is cut inside":   string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:len(block.Bytes)*3/4]})),
		"one of another kind":      string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: block.Bytes})),
		"one of no kind":           string(pem.EncodeToMemory(&pem.Block{Type: "SOME KEY", Bytes: server.Signer.Seed()})),
		"one without its frame":    strings.Join(strings.Split(string(whole), "\n")[1:4], "\n"),
		"the seed":                 string(server.Signer.Seed()),
		"a password":               h.token("a password in the place of a key"),
		"one with headers":         string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Headers: map[string]string{"Proc-Type": h.token("a header of a key")}, Bytes: block.Bytes})),
		"one with a broken middle": strings.Replace(string(whole), "\n", "\n!", 3),
	} {
		h.doing(what)
		file := filepath.Join(dir, "id")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		auth, err := sshmachine.KeyFile(file)
		h.failure("KeyFile", err)
		if err == nil {
			trust, err := sshmachine.KnownHosts(server.KnownHosts())
			require.NoError(t, err)
			_, err = sshmachine.Dial(t.Context(), sshmachine.Config{Addr: server.Addr, User: server.User, Auth: []gossh.AuthMethod{auth}, Trust: trust})
			require.Error(t, err)
			h.failure("Dial", err)
		}
		provider, err := ssh.New(hostConfig(t, server, file, filepath.Join(dir, "root")))
		require.NoError(t, err)
		var rec recorder
		c, err := runctl.New(runctl.Config{Owner: "ann", Secret: []byte(h.token("Config.Secret")), Logger: rec.logger(), Trace: rec.trace, Deadlines: brief}, provider)
		require.NoError(t, err)
		_, err = c.Offers(t.Context(), runctl.OfferQuery{})
		h.failure("Offers", err)
		_, err = c.Launch(t.Context(), runctl.LaunchSpec{Key: "k", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
		assert.Error(t, err)
		h.failure("Launch", err)
		var own *runctl.Error
		assert.True(t, errors.As(err, &own))
		assert.NoError(t, errors.Join(c.Close(), provider.Close()))
		rec.tell(h)
	}
	h.look(atServer, "at DEBUG3", server.Log())
	h.mustHaveSeen(atServer)
}
