package fake

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"runctl"
)

// HostKeys gives every machine a host key of its own, which its first connection believes for the reason given.
// Like a real one, a connection with another Access.HostKey is refused, and one with the same is TrustRead.
func HostKeys(first runctl.HostTrust) Option {
	return func(c *Cloud) { c.hosted, c.trust = true, first }
}

// Impostor lets somebody else answer at the machine's address from now on, with a host key of his own.
func (c *Cloud) Impostor(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		panic("fake: no machine " + id)
	}
	m.posers++
}

// HostKey returns the fingerprint of the key that the machine's address answers with, empty without [HostKeys].
func (c *Cloud) HostKey(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil || !c.hosted {
		return ""
	}
	return m.hostKey()
}

func (m *machine) hostKey() string {
	sum := sha256.Sum256(fmt.Append(nil, "host key of ", m.id, " ", m.posers))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// shake is the handshake of a connection. c.mu is held.
func (c *Cloud) shake(m *machine, a runctl.Access) (key string, trust runctl.HostTrust, err error) {
	switch key = m.hostKey(); a.HostKey {
	case "":
		return key, c.trust, nil
	case key:
		return key, runctl.TrustRead, nil
	}
	return "", 0, &runctl.Error{Kind: runctl.ErrHostKey, Scope: runctl.ScopeRequest, ID: m.id,
		Err: errors.New("the machine was known by host key " + a.HostKey + " and shows " + key)}
}

// hosted is a connection that showed a host key.
type hosted struct {
	*shell
	key   string
	trust runctl.HostTrust
}

// HostKey implements runctl.Hosted.
func (h *hosted) HostKey() (string, runctl.HostTrust) { return h.key, h.trust }

var _ runctl.Hosted = (*hosted)(nil)
