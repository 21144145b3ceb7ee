package sshmachine_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

func TestAKeyFileLogsIn(t *testing.T) {
	s := enginetest.SSHD(t)
	c := config(t, s)
	a, err := sshmachine.KeyFile(s.KeyFile())
	require.NoError(t, err)
	c.Auth = []ssh.AuthMethod{a}
	dial(t, c)
}

func TestAKeyFileThatCannotBeReadSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKeyWithPassphrase(enginetest.NewKey(t), "", []byte("hunter2"))
	require.NoError(t, err)
	locked, junk := filepath.Join(dir, "locked"), filepath.Join(dir, "junk")
	require.NoError(t, os.WriteFile(locked, pem.EncodeToMemory(block), 0o600))
	require.NoError(t, os.WriteFile(junk, []byte("secret stuff"), 0o600))
	_, err = sshmachine.KeyFile(locked)
	assert.ErrorContains(t, err, "ssh-add "+locked)
	_, err = sshmachine.KeyFile(junk)
	assert.ErrorContains(t, err, junk)
	assert.NotContains(t, err.Error(), "secret stuff")
	_, err = sshmachine.KeyFile(filepath.Join(dir, "absent"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = sshmachine.Signer(nil)
	assert.Error(t, err)
}

func TestTheAgentLogsIn(t *testing.T) {
	s := enginetest.SSHD(t)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, key := range map[string]any{"ed25519": s.Signer, "rsa": r} {
		t.Run(name, func(t *testing.T) {
			if name == "rsa" {
				k, err := ssh.NewSignerFromSigner(r)
				require.NoError(t, err)
				s.AuthorizedKeys(string(ssh.MarshalAuthorizedKey(k.PublicKey())))
			}
			ring := agent.NewKeyring()
			require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: enginetest.NewKey(t)}))
			require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
			sock := filepath.Join(t.TempDir(), "agent")
			t.Setenv("SSH_AUTH_SOCK", sock)
			l, err := net.Listen("unix", sock)
			require.NoError(t, err)
			defer l.Close()
			go func() {
				for c, err := l.Accept(); err == nil; c, err = l.Accept() {
					go func() { _ = agent.ServeAgent(ring, c); c.Close() }()
				}
			}()
			a, err := sshmachine.Agent()
			require.NoError(t, err)
			c := config(t, s)
			c.Auth = []ssh.AuthMethod{a}
			m := dial(t, c)
			s.Restart()
			eventually(t, func() bool { _, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil); return err == nil }, "a second login")
		})
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	_, err = sshmachine.Agent()
	assert.ErrorContains(t, err, "ssh-add")
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "none"))
	_, err = sshmachine.Agent()
	assert.ErrorContains(t, err, "does not answer")
}

func TestARefusedLoginSaysWho(t *testing.T) {
	s := enginetest.SSHD(t)
	c := config(t, s)
	wrong, err := sshmachine.Signer(enginetest.NewKey(t))
	require.NoError(t, err)
	for name, methods := range map[string][]ssh.AuthMethod{"wrong": {wrong}, "none": nil, "password": {ssh.Password("hunter2")}} {
		c.Auth = methods
		_, err := sshmachine.Dial(t.Context(), c)
		require.ErrorIs(t, err, runctl.ErrAuth, name)
		assert.ErrorContains(t, err, "ssh: "+s.Addr+": auth: ")
		assert.ErrorContains(t, err, `"`+s.User+`"`)
		assert.NotContains(t, err.Error(), "hunter2")
		var bad *sshmachine.HostKeyError
		assert.NotErrorAs(t, err, &bad)
	}
	c.Auth = append(c.Auth, wrong, auth(t, s)[0])
	c.Auth = c.Auth[len(c.Auth)-1:]
	dial(t, c)
}

func TestConfigsThatCannotWorkAreRefused(t *testing.T) {
	h := newHost(t).serve(t)
	for name, change := range map[string]func(*sshmachine.Config){
		"no address":  func(c *sshmachine.Config) { c.Addr = "" },
		"a scheme":    func(c *sshmachine.Config) { c.Addr = "ssh://host" },
		"a user":      func(c *sshmachine.Config) { c.Addr = "user@host" },
		"no host":     func(c *sshmachine.Config) { c.Addr = ":22" },
		"no port":     func(c *sshmachine.Config) { c.Addr = "host:" },
		"no user":     func(c *sshmachine.Config) { c.User = "" },
		"env name":    func(c *sshmachine.Config) { c.Env = map[string]string{"A B": ""} },
		"env digit":   func(c *sshmachine.Config) { c.Env = map[string]string{"1A": ""} },
		"env nothing": func(c *sshmachine.Config) { c.Env = map[string]string{"": ""} },
		"env NUL":     func(c *sshmachine.Config) { c.Env = map[string]string{"A": "\x00"} },
		"time":        func(c *sshmachine.Config) { c.StepTimeout = -time.Second },
		"jump":        func(c *sshmachine.Config) { c.Jump = &sshmachine.Config{Addr: "jump"} },
		"circle":      func(c *sshmachine.Config) { c.Jump = c },
	} {
		c := h.enter()
		change(&c)
		_, err := sshmachine.Dial(t.Context(), c)
		assert.ErrorIs(t, err, runctl.ErrInvalid, name)
	}
	assert.Zero(t, h.connections())
}

func TestAHostIsReachedThroughAnother(t *testing.T) {
	outer, inner := enginetest.SSHD(t), enginetest.SSHD(t)
	jump := config(t, outer)
	c := config(t, inner)
	c.Jump = &jump
	c.Dial = func(context.Context, string, string) (net.Conn, error) { panic("the jump's is used") }
	m := dial(t, c)
	_, out, _ := run(t, m, "", "printenv", "HOME")
	assert.Equal(t, inner.Home+"\n", out)
	fp, _ := m.HostKey()
	assert.Equal(t, fingerprint(inner.HostKey), fp)

	outer.Restart()
	eventually(t, func() bool { _, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil); return err == nil }, "a command after the jump host's restart")

	jump.Trust = sshmachine.Pinned(fingerprint(inner.HostKey)) // each is trusted on its own
	_, err := sshmachine.Dial(t.Context(), c)
	refusal(t, err, fingerprint(outer.HostKey), fingerprint(inner.HostKey))
	assert.ErrorContains(t, err, outer.Addr)
	jump.Trust = sshmachine.Pinned(fingerprint(outer.HostKey))
	c.Trust = sshmachine.Pinned(fingerprint(outer.HostKey))
	_, err = sshmachine.Dial(t.Context(), c)
	refusal(t, err, fingerprint(inner.HostKey))
	assert.ErrorContains(t, err, inner.Addr)

	c.Trust = sshmachine.Pinned(fingerprint(inner.HostKey))
	inner.Stop()
	_, err = sshmachine.Dial(t.Context(), c)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "ssh: "+inner.Addr+": connect: ")
}
