package aws

import (
	"context"
	"errors"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// keyCommand prints the machine's public host keys. sshd may just be making them.
const keyCommand = "cat /etc/ssh/ssh_host_*_key.pub"

// keyTime bounds the command that reads host keys.
const keyTime = time.Minute

// readTrust believes the host keys that the machine's agent reads there: the way to it is AWS's, and leads to no other
// machine.
func (p *Provider) readTrust(ctx context.Context, v *types.Instance) (sshmachine.Trust, error) {
	id := awssdk.ToString(v.InstanceId)
	out, err := p.command(ctx, id, keyCommand, keyTime)
	if err != nil {
		return sshmachine.Trust{}, err
	}
	prints := fingerprints(out.stdout)
	if len(prints) == 0 {
		return sshmachine.Trust{}, &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Msg: "the machine has no SSH host key yet: it is just starting, or has no sshd"}
	}
	return sshmachine.Pinned(prints...), nil
}

// fingerprints are those of the public keys in a text, one a line.
func fingerprints(text string) (prints []string) {
	for line := range strings.Lines(text) {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err == nil {
			prints = append(prints, ssh.FingerprintSHA256(key))
		}
	}
	return prints
}

// forbidden reports whether the credentials may not do this, so that another way is to be tried.
func forbidden(err error) bool {
	return errors.Is(err, runctl.ErrAuth) && strings.HasPrefix(codeOf(err), "AccessDenied")
}
