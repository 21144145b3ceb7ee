package sshmachine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// Ask says where a machine keeps what [Challenge] asks it for. Empty fields have the defaults.
type Ask struct {
	Nonce string // file; /etc/runctl/nonce
	Keys  string // shell pattern of the public host key files; /etc/ssh/ssh_host_*_key.pub
}

const minNonce = 22 // characters: 128 bits in base64

// Challenge believes a host that knows the nonce, which its launch wrote to a file there: it must answer with
// SHA-256(nonce ‖ host key as it reads it from its own file ‖ nonce), of the very key that the connection was made
// with. It is the first command; before it only the login is sent, and without the right answer nothing after it. A wrong
// answer is ErrHostKey, none is ErrUnavailable: a machine that has just started may not have written the file.
// Someone between shows a key of his own, and cannot make that answer. The nonce never goes over the wire; it
// is at least 22 printable characters without spaces, and ends of line after it in the file do not count. The login
// user must be able to read the file. The grade is challenged.
func Challenge(nonce []byte, ask ...Ask) Trust {
	a := Ask{Nonce: "/etc/runctl/nonce", Keys: "/etc/ssh/ssh_host_*_key.pub"}
	for _, o := range ask {
		if o.Nonce != "" {
			a.Nonce = o.Nonce
		}
		if o.Keys != "" {
			a.Keys = o.Keys
		}
	}
	n := bytes.Clone(nonce)
	t := Trust{grade: runctl.TrustChallenged, check: func(string, ssh.PublicKey) error { return nil }}
	if len(n) < minNonce || bytes.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.err = errors.New("Challenge needs a nonce of at least 22 printable characters without spaces; write 32 random bytes in hex")
	}
	command := question(a)
	t.prove = func(ctx context.Context, key ssh.PublicKey, put func(context.Context, string) (string, error)) error {
		reply, err := put(ctx, command)
		if err != nil {
			return err
		}
		h := sha256.New()
		h.Write(n)
		h.Write(key.Marshal())
		h.Write(n)
		if strings.Contains(reply, hex.EncodeToString(h.Sum(nil))) {
			return nil
		}
		if !digest.MatchString(reply) {
			return fmt.Errorf("the host does not answer: it has not written %s yet, or it is not the machine that was launched; nothing else was sent. Its key is %s",
				a.Nonce, ssh.FingerprintSHA256(key))
		}
		return &HostKeyError{Got: ssh.FingerprintSHA256(key),
			Why: "the host did not prove that the key is its own and that it is the machine that was launched: it may be another machine, " +
				"or someone between; nothing else was sent"}
	}
	return t
}

var digest = regexp.MustCompile("[0-9a-f]{64}")

// question prints the answer for every host key of the machine, one a line, with base tools only.
func question(a Ask) string {
	return "exec sh -c " + quote(`n=$(cat "$1") && [ -n "$n" ] || exit 1
for f in $2; do
	read -r _ k _ <"$f" || [ -n "$k" ] || continue
	{ printf %s "$n"; printf %s "$k" | base64 -d; printf %s "$n"; } | sha256sum
done`) + " sh " + quote(a.Nonce) + " " + quote(a.Keys) + " </dev/null"
}

const maxAnswer = 64 << 10

// ask runs one command on a link and returns the start of its output.
func ask(l *link, command string) (string, error) {
	s, err := l.client.NewSession()
	if err != nil {
		return "", err
	}
	defer s.Close()
	var out head
	s.Stdout = &out
	var exit *ssh.ExitError
	if err := s.Run(command); err != nil && !errors.As(err, &exit) {
		return "", err
	}
	return string(out), nil
}

// head keeps the first bytes written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), maxAnswer-len(*h))]...)
	return len(p), nil
}
