package sshmachine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// Trust decides whether a host key is its host's. It is made by [Pinned], [KnownHosts], [FirstUse] or
// [Challenge]; the zero value is refused. After the first connection the key is pinned for the life of the
// [Machine], whatever the Trust.
type Trust struct {
	grade runctl.HostTrust
	err   error // why it cannot be used
	// algorithms are those that the host may prove its key with; nil: all.
	algorithms func(host string) []string
	// check is called within the key exchange, when nothing but the exchange itself has been sent.
	check func(host string, key ssh.PublicKey) error
	// prove, where set, is called after the login and before any other command.
	prove func(ctx context.Context, key ssh.PublicKey, ask func(ctx context.Context, command string) (string, error)) error
}

// Pinned believes the keys with these fingerprints, "SHA256:…", as ssh-keygen -l prints them. The grade is
// read. A host that has several keys is asked for each kind.
func Pinned(fingerprints ...string) Trust {
	t := Trust{grade: runctl.TrustRead}
	if len(fingerprints) == 0 {
		t.err = errors.New("Pinned without a fingerprint would believe no key")
	}
	for _, f := range fingerprints {
		b64, ok := strings.CutPrefix(f, "SHA256:")
		if sum, err := base64.RawStdEncoding.DecodeString(b64); !ok || err != nil || len(sum) != 32 {
			t.err = fmt.Errorf("%q is not a fingerprint; it has the form SHA256:… and 43 characters after it", f)
		}
	}
	want := slices.Clone(fingerprints)
	t.check = func(host string, key ssh.PublicKey) error {
		if got := ssh.FingerprintSHA256(key); !slices.Contains(want, got) {
			return &HostKeyError{Host: host, Got: got, Want: want,
				Why: "it may be another machine or someone between; nothing was sent. If the host was set up anew, pin its new key"}
		}
		return nil
	}
	return t
}

// FirstUse believes the first key that it sees, after pin was told its fingerprint, "SHA256:…", and has returned
// nil: nothing is sent before. An error of pin refuses the host. The grade is first-use: nobody vouches for the
// first time.
func FirstUse(pin func(fingerprint string) error) Trust {
	t := Trust{grade: runctl.TrustFirstUse}
	if pin == nil {
		t.err = errors.New("FirstUse needs a function that keeps the key")
	}
	t.check = func(host string, key ssh.PublicKey) error {
		if err := pin(ssh.FingerprintSHA256(key)); err != nil {
			return fmt.Errorf("the host's key could not be pinned: %w", err)
		}
		return nil
	}
	return t
}

// exactly believes one key and asks for no other kind. Certificates are left to the authority that signed them.
func exactly(host string, key ssh.PublicKey) Trust {
	want := ssh.FingerprintSHA256(key)
	return Trust{
		algorithms: func(string) []string { return algorithmsOf(key.Type()) },
		check: func(_ string, got ssh.PublicKey) error {
			if string(got.Marshal()) != string(key.Marshal()) {
				return &HostKeyError{Host: host, Got: ssh.FingerprintSHA256(got), Want: []string{want},
					Why: "its key changed since this process first reached it; it may be another machine or someone between; nothing was sent. If the host was set up anew, connect anew"}
			}
			return nil
		},
	}
}

// plainKeys are the algorithms for host keys without a certificate, the preferred first.
func plainKeys() []string {
	all := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool { return strings.Contains(a, "cert-v0") })
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	return all
}

func rank(algorithm string) int {
	return (slices.Index([]string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, algorithm) + 100) % 100
}

// algorithmsOf are those that a key of this type can prove itself with. SHA-1 is not among them.
func algorithmsOf(keyType string) []string {
	switch keyType {
	case ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	case ssh.CertAlgoRSAv01:
		return []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
	}
	return []string{keyType}
}
