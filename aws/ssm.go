package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"runctl"
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

// throughSSM makes the connections of cfg sessions of Systems Manager to the machine's port. What forbids that, and no wait
// can mend, is in the error that refusal returns afterwards; nil: there was no such thing.
func (p *Provider) throughSSM(v *types.Instance, cfg *sshmachine.Config) (refusal func() error) {
	id := awssdk.ToString(v.InstanceId)
	var last error
	cfg.Addr, cfg.StepTimeout = net.JoinHostPort(id, strconv.Itoa(int(p.cfg.SSHPort))), sessionStep
	first := true
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := p.session(ctx, id)
		if first {
			first, last = false, err // only Dial itself reads it
		}
		return c, err
	}
	return func() error {
		if errors.Is(last, runctl.ErrAuth) || errors.Is(last, runctl.ErrInvalid) {
			return last
		}
		return nil
	}
}

// session connects to the port of a machine's sshd.
func (p *Provider) session(ctx context.Context, id string) (net.Conn, error) {
	doc := sshDocument
	out, err := p.ssm.StartSession(ctx, &ssm.StartSessionInput{Target: &id, DocumentName: &doc, Reason: awssdk.String("runctl"),
		Parameters: map[string][]string{"portNumber": {strconv.Itoa(int(p.cfg.SSHPort))}}})
	if err != nil {
		if codeOf(err) == "TargetNotConnected" {
			return nil, &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: err, Msg: "the machine's agent is not connected to Systems Manager: " +
				"it is just starting, its image has none, its role lacks AmazonSSMManagedInstanceCore, or its network does not lead there"}
		}
		return nil, classify(err)
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

// sockets is a client for websockets, with the proxies and certificates of the SDK's configuration.
func sockets(c awssdk.HTTPClient) *http.Client {
	switch c := c.(type) {
	case nil:
		return &http.Client{Transport: awshttp.NewBuildableClient().GetTransport()}
	case *awshttp.BuildableClient:
		return &http.Client{Transport: c.GetTransport()}
	case *http.Client:
		own := *c
		own.Timeout = 0
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return &own
	default:
		return &http.Client{Transport: direct{c}}
	}
}

// direct is a client of the SDK's kind as a transport, with replies that can be written to.
type direct struct{ awssdk.HTTPClient }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) { return d.Do(r) }
