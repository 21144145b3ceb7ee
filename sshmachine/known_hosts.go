package sshmachine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runctl"
)

// KnownHosts believes what OpenSSH known_hosts files say, with hashed names, @revoked and @cert-authority. A host
// that no file names is refused. Without files it reads ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts, where they
// exist. The files are read once, now. The grade is read.
//
// A host is asked only for keys of the kinds that the files hold for it: it may have others, which nobody knows.
func KnownHosts(files ...string) (Trust, error) {
	if len(files) == 0 {
		if home, err := os.UserHomeDir(); err == nil {
			files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
		}
		files = slices.DeleteFunc(append(files, "/etc/ssh/ssh_known_hosts"), func(f string) bool {
			_, err := os.Stat(f)
			return err != nil
		})
		if len(files) == 0 {
			return Trust{}, errors.New("ssh: there is no known_hosts file; enter the host once with ssh, or pin its key")
		}
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return Trust{}, fmt.Errorf("ssh: known_hosts: %w", err)
	}
	authorities, err := authorityLines(files)
	if err != nil {
		return Trust{}, fmt.Errorf("ssh: known_hosts: %w", err)
	}
	// The host's name decides; where it is reached does not, since that differs behind a jump host.
	somewhere := &net.TCPAddr{IP: net.IPv4zero}
	return Trust{
		grade:      runctl.TrustRead,
		algorithms: func(host string) []string { return kinds(known(host, somewhere, nobody{}), authorities) },
		check: func(host string, key ssh.PublicKey) error {
			err := known(host, somewhere, key)
			if err == nil {
				return nil
			}
			bad := &HostKeyError{Host: host, Got: ssh.FingerprintSHA256(key), Why: err.Error()}
			var unknown *knownhosts.KeyError
			var revoked *knownhosts.RevokedError
			switch {
			case errors.As(err, &revoked):
				bad.Why = fmt.Sprintf("%s line %d revokes it; nothing was sent", revoked.Revoked.Filename, revoked.Revoked.Line)
			case errors.As(err, &unknown) && len(unknown.Want) == 0:
				bad.Why = "no known_hosts file names this host; nothing was sent. Enter it once with ssh, or pin its key"
			case errors.As(err, &unknown):
				for _, k := range unknown.Want {
					bad.Want = append(bad.Want, ssh.FingerprintSHA256(k.Key))
				}
				bad.Why = fmt.Sprintf("%s line %d knows another; it may be another machine or someone between; nothing was sent. If the host was set up anew, replace the line",
					unknown.Want[0].Filename, unknown.Want[0].Line)
			}
			return bad
		},
	}, nil
}

// kinds are the algorithms of the keys that a look-up of nobody's key wanted: certificates of any kind where a line is
// an authority's. nil, for all, when the host is unknown: then the error can name its key.
func kinds(err error, authorities map[string]bool) []string {
	var e *knownhosts.KeyError
	if !errors.As(err, &e) {
		return nil
	}
	var certs, keys []string
	for _, k := range e.Want {
		if !authorities[at(k.Filename, k.Line)] {
			keys = append(keys, algorithmsOf(k.Key.Type())...)
		} else if certs == nil {
			certs = slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool { return slices.Contains(plainKeys(), a) })
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return append(certs, slices.Compact(keys)...)
}

// authorityLines are the lines of the files that hold a certificate authority's key, as at names them.
func authorityLines(files []string) (map[string]bool, error) {
	lines := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			if n++; strings.HasPrefix(strings.TrimSpace(line), "@cert-authority") {
				lines[at(f, n)] = true
			}
		}
	}
	return lines, nil
}

func at(file string, line int) string { return fmt.Sprint(file, ":", line) }

// nobody is a key that no file holds.
type nobody struct{}

func (nobody) Type() string                        { return "nobody" }
func (nobody) Marshal() []byte                     { return []byte("nobody") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("nobody's key") }
