package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runctl/sshmachine"
)

// trust is what decides whether the key that a host shows is the host's: known_hosts files. With FirstUse, a host that
// none of them names is believed once, and held to that key from then on.
func (p *Provider) trust(t target) (sshmachine.Trust, error) {
	files := slices.DeleteFunc(slices.Clone(t.known), func(f string) bool {
		_, err := os.Stat(f)
		return errors.Is(err, fs.ErrNotExist)
	})
	if len(files) == 0 {
		files = []string{os.DevNull} // nothing is known, and the error says which key was shown
	}
	known, err := sshmachine.KnownHosts(files...)
	if err != nil || p.firstUse == "" {
		return known, err
	}
	if named, err := names(files, t.knownAs()); err != nil || named {
		return known, err
	}
	name := t.knownAs()
	if have, err := readPin(p.firstUse, name); err != nil {
		return known, err
	} else if have != "" {
		return sshmachine.Pinned(have), nil
	}
	return sshmachine.FirstUse(func(fingerprint string) error { return writePin(p.firstUse, name, fingerprint) }), nil
}

// addr is where a target is reached.
func (t target) addr() string { return net.JoinHostPort(t.host, t.port) }

// knownAs is the address by which known_hosts files name a target.
func (t target) knownAs() string {
	if t.keyAlias != "" {
		return net.JoinHostPort(t.keyAlias, "22")
	}
	return t.addr()
}

// names reports whether the files hold any key for the address, revoked ones too.
func names(files []string, addr string) (bool, error) {
	known, err := knownhosts.New(files...)
	if err != nil {
		return false, err
	}
	var e *knownhosts.KeyError
	err = known(addr, &net.TCPAddr{IP: net.IPv4zero}, nobody{})
	return !errors.As(err, &e) || len(e.Want) > 0, nil
}

// nobody is a key that no file holds.
type nobody struct{}

func (nobody) Type() string                          { return "nobody" }
func (nobody) Marshal() []byte                       { return []byte("nobody") }
func (nobody) Verify([]byte, *gossh.Signature) error { return errors.New("nobody's key") }

// readPin returns the fingerprint that a file of first uses has for an address, "" for none. The first line counts.
func readPin(file, addr string) (string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == addr {
			return f[1], nil
		}
	}
	return "", nil
}

// writePin writes down the key of a first use. Of several at once the first line counts, and the others are refused.
func writePin(file, addr, fingerprint string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(addr + " " + fingerprint + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	have, err := readPin(file, addr)
	if err == nil && have != fingerprint {
		err = fmt.Errorf("%s has another key for %s: %s", file, addr, have)
	}
	return err
}
