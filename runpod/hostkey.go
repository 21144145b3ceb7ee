package runpod

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/job"
)

// hostLines is how far back a pod's host key is looked for: its first process prints it each minute, and little else.
const hostLines = 200

// hostKey reads the fingerprint of a pod's host key, "SHA256:…", from the pod's log. Public images ship host keys that
// everybody has, so the first process of ours makes a fresh one, and prints it with the launch's nonce. The log
// comes over TLS from RunPod, and only the pod's own container can write to it.
func (p *Provider) hostKey(ctx context.Context, v *Pod) (string, error) {
	nonce := v.Env[nonceEnv]
	if nonce == "" {
		return "", &runctl.Error{ID: v.ID, Kind: runctl.ErrInvalid, Err: errors.ErrUnsupported,
			Msg: "the pod was not launched by runctl, so its host key cannot be known"}
	}
	r := p.tail(v.ID, nonce, hostLines)
	err := r.snapshot(ctx, nil)
	if err != nil {
		return "", err
	}
	births := r.journal.Births()
	last := &job.Birth{}
	if len(births) > 0 {
		last = births[len(births)-1]
	}
	switch {
	case last.HostKey != "":
		return fingerprint(last.HostKey)
	case last.Start.Role == job.RoleRefused:
		return "", &runctl.Error{ID: v.ID, Kind: runctl.ErrInvalid, Err: errors.ErrUnsupported,
			Msg: fmt.Sprintf("the pod cannot be entered: %s; use an image with an sshd, such as %s", last.Start.Text, DefaultImage)}
	}
	return "", &runctl.Error{ID: v.ID, Kind: runctl.ErrUnavailable, Msg: "the pod has not printed its host key, without which it is not believed"}
}

// fingerprint is what ssh-keygen -l prints of a key in one line.
func fingerprint(line string) (string, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(rest) > 0 {
		return "", &runctl.Error{Kind: runctl.ErrUnavailable, Msg: "the pod has printed a host key that is none"}
	}
	return ssh.FingerprintSHA256(key), nil
}
