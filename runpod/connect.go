package runpod

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// Connect implements [runctl.Connector]: SSH to the pod's own address, as root. RunPod's proxy, which serves terminals
// only, is never used, and the account's SSH keys are never touched. The address is read anew each time, because it
// changes with every start and the first one that RunPod tells may be an earlier pod's.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	if a.Signer == nil {
		return nil, invalid("pods are entered with a key that is made from Config.Secret: set that")
	}
	v, _, err := p.pod(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	if v.Env[roadEnv] == runctl.RoadJob.String() {
		return nil, &runctl.Error{ID: v.ID, Kind: runctl.ErrInvalid, Err: errors.ErrUnsupported,
			Msg: "the pod runs one job, in an image that need not have an sshd: it cannot be entered, and its files cannot be read"}
	}
	d := v.SSH.Direct
	if d == nil || d.Host == "" || d.Port <= 0 || d.Port > 65535 {
		return nil, &runctl.Error{ID: v.ID, Kind: runctl.ErrUnavailable, Msg: "the pod, which is " + v.Status + ", has no public address for SSH yet"}
	}
	pin := a.HostKey
	if pin == "" {
		if pin, err = p.hostKey(ctx, v); err != nil {
			return nil, err
		}
	}
	auth, err := sshmachine.Signer(a.Signer)
	if err != nil {
		return nil, err
	}
	m, err := sshmachine.Dial(ctx, sshmachine.Config{
		Addr: net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), User: cmp.Or(d.Username, "root"), Auth: []ssh.AuthMethod{auth}, Trust: sshmachine.Pinned(pin),
	})
	var wrong *sshmachine.HostKeyError
	switch {
	case err == nil:
		return m, nil
	case a.HostKey == "" && errors.As(err, &wrong):
		return nil, &runctl.Error{ID: v.ID, Kind: runctl.ErrUnavailable,
			Msg: "at the pod's address answers a host with the key " + wrong.Got + ", and the pod's is " + pin + ": it may be the address of an earlier pod; nothing was sent"}
	}
	return nil, err
}

var _ runctl.Connector = (*Provider)(nil)
