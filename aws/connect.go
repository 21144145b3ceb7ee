package aws

import (
	"cmp"
	"context"
	"encoding/base64"
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
	v, _, err := p.describe(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	if v.State == nil || v.State.Name != types.InstanceStateNameRunning {
		return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrUnavailable, Msg: notRunning(v)}
	}
	cfg, road := sshmachine.Config{User: loginUser, Auth: []ssh.AuthMethod{auth}}, p.roadOf(v)
	if road == RoadCommand {
		return p.byCommand(ctx, v, a)
	}
	refusal := func() error { return nil }
	if road == RoadSSM {
		refusal = p.throughSSM(v, &cfg)
	} else if err := p.reach(ctx, v, &cfg); err != nil {
		return nil, err
	}
	if cfg.Trust, err = p.trust(ctx, v, road, a); err != nil {
		return nil, err
	}
	m, err := sshmachine.Dial(ctx, cfg)
	if err != nil {
		why := refusal()
		if p.cfg.Road == "" && forbidden(why) {
			return p.byCommand(ctx, v, a)
		}
		return nil, cmp.Or(why, err)
	}
	if err := p.attach(ctx, v, m); err != nil {
		_ = m.Close()
		return nil, err
	}
	return &Machine{m, road}, nil
}

// byCommand enters a machine without SSH.
func (p *Provider) byCommand(ctx context.Context, v *types.Instance, a runctl.Access) (runctl.Machine, error) {
	m, err := p.commandMachine(ctx, v, a.HostKey)
	if err == nil {
		err = p.attach(ctx, v, m)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
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
