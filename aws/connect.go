package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"strconv"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// loginUser is whom machines are entered as: what arms the guard lets the key in for root, whose supervisor it is.
const loginUser = "root"

// Connect implements [runctl.Connector]: SSH as root, to the machine's address or through SSM; see [Road]. The address is
// read anew each time, because it changes with every start. Data volumes are attached and mounted before it returns.
//
// A machine that was never met must prove itself: by its host key, read through SSM where that is the road, or by the
// nonce in its user data.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	if a.Signer == nil {
		return nil, invalid("machines are entered with a key that is made from Config.Secret: set that")
	}
	auth, err := sshmachine.Signer(a.Signer)
	if err != nil {
		return nil, err
	}
	v, seen, err := p.describe(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	m, err := p.enter(ctx, v, auth, a)
	if err != nil {
		if a.HostKey == "" {
			err = p.hopeless(ctx, v, seen, err)
		}
		return nil, err
	}
	if err := p.attach(ctx, v, m); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// enter takes the machine's road, and RoadCommand where nobody chose one and the credentials may not start sessions.
func (p *Provider) enter(ctx context.Context, v *types.Instance, auth ssh.AuthMethod, a runctl.Access) (_ runctl.Machine, err error) {
	if v.State == nil || v.State.Name != types.InstanceStateNameRunning {
		return nil, &runctl.Error{ID: awssdk.ToString(v.InstanceId), Kind: runctl.ErrUnavailable, Msg: notRunning(v)}
	}
	cfg, road := sshmachine.Config{User: loginUser, Auth: []ssh.AuthMethod{auth}}, p.roadOf(v)
	switch road {
	case RoadCommand:
		return p.commandMachine(ctx, v, a.HostKey)
	case RoadSSM:
		p.throughSSM(v, &cfg)
	default:
		err = p.reach(ctx, v, &cfg)
	}
	if err != nil {
		return nil, err
	}
	if cfg.Trust, err = p.trust(ctx, v, road, a); err != nil {
		return nil, err
	}
	m, err := sshmachine.Dial(ctx, cfg)
	switch {
	case err == nil:
		return &Machine{m, road}, nil
	case p.cfg.Road == "" && forbidden(err):
		return p.commandMachine(ctx, v, a.HostKey)
	}
	return nil, atRoot(err)
}

// atRoot is what AWS refused while a connection was dialled, where no wait mends it: sshmachine calls whatever keeps it from
// dialling unavailable.
func atRoot(err error) error {
	var e *runctl.Error
	for at := err; errors.As(at, &e); at = e.Err {
		if e.Kind == runctl.ErrAuth || e.Kind == runctl.ErrInvalid {
			return e
		}
	}
	return err
}

// notRunning says why a machine cannot be entered, and what helps.
func notRunning(v *types.Instance) string {
	switch {
	case v.State != nil && v.State.Name == types.InstanceStateNameStopped:
		return "the machine is stopped, and keeps its disk: start it again to read what is there"
	case v.State != nil:
		return "the machine does not run: it is " + string(v.State.Name)
	}
	return "EC2 does not say whether the machine runs"
}

// Machine is a machine that is entered: an [sshmachine.Machine], and how it is reached.
type Machine struct {
	*sshmachine.Machine
	road Road
}

// Over is the road, for people.
func (m *Machine) Over() string { return string(m.road) }

// roadOf is how a machine is entered.
func (p *Provider) roadOf(v *types.Instance) Road {
	switch {
	case p.cfg.Road != "":
		return p.cfg.Road
	case v.IamInstanceProfile != nil:
		return RoadSSM
	}
	return RoadSSH
}

// trust is why the host key will be believed. Who may not run commands on the machine has it prove itself, on both roads.
func (p *Provider) trust(ctx context.Context, v *types.Instance, road Road, a runctl.Access) (sshmachine.Trust, error) {
	if a.HostKey != "" {
		return sshmachine.Pinned(a.HostKey), nil
	}
	if road == RoadSSM {
		if t, err := p.readTrust(ctx, v); !forbidden(err) {
			return t, err
		}
	}
	id := awssdk.ToString(v.InstanceId)
	out, err := p.ec2.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		return sshmachine.Trust{}, classify(err)
	}
	var nonce string
	if out.UserData != nil {
		if data, err := base64.StdEncoding.DecodeString(awssdk.ToString(out.UserData.Value)); err == nil {
			nonce = nonceOf(data)
		}
	}
	if nonce == "" {
		return sshmachine.Trust{}, unsupported("the machine's user data is not runctl's, so that it cannot prove itself; give its host key in the reference")
	}
	return sshmachine.Challenge([]byte(nonce)), nil
}

// reach says at which address the machine's sshd is reached, and has it let this computer in.
func (p *Provider) reach(ctx context.Context, v *types.Instance, cfg *sshmachine.Config) error {
	addr := awssdk.ToString(v.PublicIpAddress)
	if p.cfg.Private {
		addr = awssdk.ToString(v.PrivateIpAddress)
	}
	if addr == "" {
		return &runctl.Error{Kind: runctl.ErrUnavailable, Msg: "the machine has no address that can be reached: its subnet gives none, or it is just starting"}
	}
	cfg.Addr, cfg.Dial = net.JoinHostPort(addr, strconv.Itoa(int(p.cfg.SSHPort))), p.cfg.Dial
	return p.letIn(ctx, v)
}
