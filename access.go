package runctl

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
)

// signer derives the key that enters the machine with this label: any process with the owner's secret
// makes the same one, and nothing has to be stored. After a change of the secret, machines that were sealed
// with an old one are entered with its key. nil without a secret.
func (c *Client) signer(label string) ed25519.PrivateKey {
	secret := c.cfg.Secret
	for _, old := range c.cfg.OldSecrets {
		if _, ok := ParseMark(label, old); ok {
			secret = old
		}
	}
	if len(secret) == 0 {
		return nil
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "runctl machine access v1 "+label, ed25519.SeedSize)
	if err != nil {
		return nil // only for impossible lengths
	}
	return ed25519.NewKeyFromSeed(seed)
}

// secrets are those that a mark may be sealed with, the present one first.
func (c *Client) secrets() [][]byte { return append([][]byte{c.cfg.Secret}, c.cfg.OldSecrets...) }

// access is how the client enters a machine: with its key, and only if it shows the host key that it is known by.
func (c *Client) access(a *account, i Instance) Access {
	acc := Access{HostKey: a.pins.of(i.ID).key}
	if k := c.signer(i.Label); k != nil {
		acc.Signer = machineKey{k.Public(), k.Sign}
	}
	return acc
}

// machineKey is a private key that no printing reaches: it is inside of a function.
type machineKey struct {
	public crypto.PublicKey
	sign   func(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error)
}

// Public implements [crypto.Signer].
func (k machineKey) Public() crypto.PublicKey { return k.public }

// Sign implements [crypto.Signer].
func (k machineKey) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(rand, message, opts)
}

// authorizedKey is the public half in OpenSSH's one-line format, "" without a secret.
func (c *Client) authorizedKey(label string) string {
	k := c.signer(label)
	if k == nil {
		return ""
	}
	var b []byte
	for _, part := range [][]byte{[]byte("ssh-ed25519"), k.Public().(ed25519.PublicKey)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(b) + " runctl"
}
