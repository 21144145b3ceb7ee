package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"runctl/internal/ssmsession"
	"runctl/sshmachine"
)

const (
	// sshDocument connects to a port of the machine itself. Every account has it, and it takes no command.
	sshDocument = "AWS-StartSSHSession"
	// sessionStep is how long one step of connecting may take: behind StartSession come the websocket and the agent's
	// handshake.
	sessionStep = 30 * time.Second
	// farewell bounds the end of a session that could not be used.
	farewell = 5 * time.Second
)

// throughSSM makes the connections of cfg sessions of Systems Manager to the machine's port.
func (p *Provider) throughSSM(v *types.Instance, cfg *sshmachine.Config) {
	id := awssdk.ToString(v.InstanceId)
	cfg.Addr, cfg.StepTimeout = net.JoinHostPort(id, strconv.Itoa(int(p.cfg.SSHPort))), sessionStep
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.session(ctx, id) }
}

// session connects to the port of a machine's sshd.
func (p *Provider) session(ctx context.Context, id string) (net.Conn, error) {
	doc := sshDocument
	out, err := p.ssm.StartSession(ctx, &ssm.StartSessionInput{Target: &id, DocumentName: &doc, Reason: awssdk.String("runctl"),
		Parameters: map[string][]string{"portNumber": {strconv.Itoa(int(p.cfg.SSHPort))}}})
	if err != nil {
		return nil, agentless(id, err)
	}
	err = p.checkStream(awssdk.ToString(out.StreamUrl))
	if err == nil {
		var c *ssmsession.Conn
		c, err = ssmsession.Dial(ctx, ssmsession.Session{URL: *out.StreamUrl, Token: awssdk.ToString(out.TokenValue), Client: sockets(p.sdk.HTTPClient)})
		if err == nil {
			return c, nil
		}
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_, _ = p.ssm.TerminateSession(own, &ssm.TerminateSessionInput{SessionId: out.SessionId}) // else it ends by itself, later
	return nil, err
}

// checkStream refuses to show the session's token where anybody could read it.
func (p *Provider) checkStream(stream string) error {
	u, err := url.Parse(stream)
	switch {
	case err != nil || u.Host == "":
		return errors.New("no address for the session was named by Systems Manager")
	case u.Scheme == "wss", u.Scheme == "ws" && strings.HasPrefix(awssdk.ToString(p.sdk.BaseEndpoint), "http:"):
		return nil
	}
	return fmt.Errorf("a session over %q is not encrypted, and Systems Manager asks for one", clip(u.Scheme))
}
