package sshmachine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

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
	// The host's name decides; where it is reached does not, since that differs behind a jump host.
	somewhere := &net.TCPAddr{IP: net.IPv4zero}
	return Trust{
		grade:      runctl.TrustRead,
		algorithms: func(host string) []string { return kinds(known(host, somewhere, nobody{})) },
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

// kinds are the algorithms of the keys that a look-up of nobody's key wanted; nil, for all, when the host is unknown:
// then the error can name its key.
func kinds(err error) []string {
	var e *knownhosts.KeyError
	if !errors.As(err, &e) {
		return nil
	}
	var all []string
	for _, k := range e.Want {
		all = append(all, algorithmsOf(k.Key.Type())...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// nobody is a key that no file holds.
type nobody struct{}

func (nobody) Type() string                        { return "nobody" }
func (nobody) Marshal() []byte                     { return []byte("nobody") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("nobody's key") }
