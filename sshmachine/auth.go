package sshmachine

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Signer logs in with a key that is held in memory or in hardware, such as [runctl.Access]'s.
func Signer(s crypto.Signer) (ssh.AuthMethod, error) {
	if s == nil {
		return nil, errors.New("ssh: there is no key to log in with")
	}
	k, err := ssh.NewSignerFromSigner(s)
	if err != nil {
		return nil, fmt.Errorf("ssh: this kind of key cannot log in: %w", err)
	}
	return ssh.PublicKeys(k), nil
}

// KeyFile logs in with a private key in a file. A file with a passphrase is refused: the agent is for those.
func KeyFile(path string) (ssh.AuthMethod, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ssh: key file: %w", err)
	}
	k, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fmt.Errorf("ssh: key file %s has a passphrase; run ssh-add %s and use the agent", path, path)
	case err != nil:
		return nil, fmt.Errorf("ssh: key file %s holds no private key that can be read: %w", path, err)
	}
	return ssh.PublicKeys(k), nil
}

// Agent logs in with the keys of the agent that SSH_AUTH_SOCK names. The agent is asked at each login; no
// connection to it is kept, and it is never forwarded.
func Agent() (ssh.AuthMethod, error) {
	sock := os.Getenv("SSH_AUTH_SOCK")
	if sock == "" {
		return nil, errors.New("ssh: SSH_AUTH_SOCK is not set; start an agent (eval $(ssh-agent); ssh-add) or give a key file")
	}
	if err := askAgent(sock, func(agent.ExtendedAgent) error { return nil }); err != nil {
		return nil, err
	}
	return ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return AgentSigners(sock) }), nil
}

// AgentSigners returns the keys of the agent that listens on a socket, to be put together with others: of several
// methods that use keys, only the first is tried. The agent is asked again for each signature.
func AgentSigners(sock string) (signers []ssh.Signer, err error) {
	err = askAgent(sock, func(a agent.ExtendedAgent) error {
		keys, err := a.List()
		for _, k := range keys {
			signers = append(signers, agentSigner{sock: sock, key: k})
		}
		return err
	})
	return signers, err
}

func askAgent(sock string, f func(agent.ExtendedAgent) error) error {
	c, err := net.Dial("unix", sock)
	if err != nil {
		return fmt.Errorf("ssh: the agent does not answer: %w", err)
	}
	defer c.Close()
	return f(agent.NewClient(c))
}

// agentSigner is one key of an agent.
type agentSigner struct {
	sock string
	key  *agent.Key
}

func (s agentSigner) PublicKey() ssh.PublicKey { return s.key }

func (s agentSigner) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(r, data, "")
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner], without which RSA keys would sign with SHA-1.
func (s agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (sig *ssh.Signature, err error) {
	flags := map[string]agent.SignatureFlags{ssh.KeyAlgoRSASHA256: agent.SignatureFlagRsaSha256, ssh.KeyAlgoRSASHA512: agent.SignatureFlagRsaSha512}
	err = askAgent(s.sock, func(a agent.ExtendedAgent) error {
		sig, err = a.SignWithFlags(s.key, data, flags[algorithm])
		return err
	})
	return sig, err
}
