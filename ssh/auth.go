package ssh

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// defaultKeys are the files that OpenSSH tries when none is configured.
var defaultKeys = []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"}

// dial connects to a host for its claims: with the root of one of them, or with none. pinned is a host key that was
// met before; nil: none.
func (p *Provider) dial(ctx context.Context, h *host, root string, pinned []string) (*sshmachine.Machine, error) {
	c, err := p.config(h.target, 0)
	if err != nil {
		return nil, err
	}
	if pinned != nil {
		c.Trust = sshmachine.Pinned(pinned...)
	}
	if root != "" {
		c.Env = map[string]string{rootEnv: root}
	}
	return sshmachine.Dial(ctx, c)
}

// config is how a target is reached, through its jump hosts.
func (p *Provider) config(t target, depth int) (sshmachine.Config, error) {
	c := sshmachine.Config{Addr: t.addr(), User: t.user, HostKeyAlias: t.keyAlias, Auth: []gossh.AuthMethod{gossh.PublicKeysCallback(t.signers)}}
	switch {
	case t.viaCommand:
		return c, refused(t, "OpenSSH's configuration has a ProxyCommand for it, which is not supported; use ProxyJump")
	case depth > 8:
		return c, refused(t, "more than 8 jump hosts in a row; does one of them lead back to itself?")
	}
	var err error
	if c.Trust, err = p.trust(t); err != nil {
		return c, refused(t, err.Error())
	}
	for n, name := range t.jumps {
		j, err := p.openssh.resolve(name)
		if err != nil {
			return c, refused(t, fmt.Sprintf("its jump host %s: %v", clip(name), err))
		}
		if n > 0 {
			j.jumps = nil // it is reached through the one before, whatever its own configuration says
		}
		if p.knownHosts != nil {
			j.known = p.knownHosts
		}
		own, err := p.config(j, depth+1)
		if err != nil {
			return c, err
		}
		if n > 0 {
			own.Jump = c.Jump
		}
		c.Jump = &own
	}
	return c, nil
}

// refused is for a host that is not even tried.
func refused(t target, msg string) error {
	return &runctl.Error{Op: "connect", Kind: runctl.ErrInvalid, Scope: runctl.ScopeOffer, NotStarted: true, Msg: "ssh: " + t.alias + ": " + msg}
}

// signers are the keys that log in, in OpenSSH's order: those of the configured files, which the agent may hold, then
// the agent's others, then the default files.
func (t target) signers() ([]gossh.Signer, error) {
	var held []gossh.Signer
	var errs []error
	if t.agent != "" {
		var err error
		if held, err = sshmachine.AgentSigners(t.agent); err != nil {
			errs = append(errs, err)
		}
	}
	var all []gossh.Signer
	add := func(s gossh.Signer) {
		if !slices.ContainsFunc(all, func(o gossh.Signer) bool { return string(o.PublicKey().Marshal()) == string(s.PublicKey().Marshal()) }) {
			all = append(all, s)
		}
	}
	from := func(files []string) {
		for _, f := range files {
			s, err := t.key(f, held)
			if err == nil {
				add(s)
			} else if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	from(t.identities)
	if !t.only {
		for _, s := range held {
			add(s)
		}
	}
	if t.identities == nil {
		from(t.defaults)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no key to log in with: start an agent (ssh-add), or set IdentityFile for %s in OpenSSH's configuration: %w", t.alias, errors.Join(errs...))
	}
	return all, nil
}

// key reads a private key. One with a passphrase is left to the agent, if that holds it.
func (t target) key(file string, held []gossh.Signer) (gossh.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := gossh.ParsePrivateKey(b)
	if err == nil {
		return s, nil
	}
	err = fmt.Errorf("%s holds no private key that can be read: %w", file, err)
	var public gossh.PublicKey
	if locked := (*gossh.PassphraseMissingError)(nil); errors.As(err, &locked) {
		err = fmt.Errorf("%s has a passphrase; run ssh-add %s", file, file)
		if public = locked.PublicKey; public == nil {
			b, _ = os.ReadFile(file + ".pub")
		}
	}
	if public == nil { // the file itself may be a public key, whose private half the agent holds
		public, _, _, _, _ = gossh.ParseAuthorizedKey(b)
	}
	for _, s := range held {
		if public != nil && string(s.PublicKey().Marshal()) == string(public.Marshal()) {
			return s, nil
		}
	}
	return nil, err
}

func defaultKeyFiles(home string) (files []string) {
	for _, k := range defaultKeys {
		files = append(files, filepath.Join(home, ".ssh", k))
	}
	return files
}
