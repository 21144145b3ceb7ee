package aws

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// signer is the key of the owner of a machine.
func signer(t *testing.T) runctl.Access {
	t.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return runctl.Access{Signer: k}
}

const oneID = "i-00000000000000001"

func TestAMachineThatCannotBeEnteredSaysWhy(t *testing.T) {
	for what, row := range map[string]struct {
		record string
		kind   runctl.Kind
		says   string
	}{
		"stopped":         {instanceXML(oneID, "stopped", ""), runctl.ErrUnavailable, "start it again"},
		"on its way":      {instanceXML(oneID, "pending", ""), runctl.ErrUnavailable, "it is pending"},
		"without address": {instanceXML(oneID, "running", ""), runctl.ErrUnavailable, "no address"},
		"somebody else's": {instanceXML(oneID, "running", "<ipAddress>192.0.2.9</ipAddress>"), runctl.ErrInvalid, "user data is not runctl's"},
	} {
		t.Run(what, func(t *testing.T) {
			s, p := newStub(t, func(c *Config) {
				c.Road, c.Dial = RoadSSH, func(context.Context, string, string) (net.Conn, error) { panic("nobody is to be called") }
			})
			s.says("DescribeInstances", described(row.record))
			s.says("DescribeInstanceAttribute", "<instanceId>"+oneID+"</instanceId><userData><value>"+base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\necho theirs\n"))+"</value></userData>")
			_, err := p.Connect(t.Context(), runctl.Instance{ID: oneID}, signer(t))
			require.ErrorIs(t, err, row.kind)
			assert.ErrorContains(t, err, row.says)
		})
	}
	_, p := newStub(t)
	_, err := p.Connect(t.Context(), runctl.Instance{ID: oneID}, runctl.Access{})
	assert.ErrorContains(t, err, "Config.Secret")
}

func TestTheAddressIsReadAnewAndAMachineThatIsKnownIsNotAskedForItsNonce(t *testing.T) {
	for _, private := range []bool{false, true} {
		var dialled string
		s, p := newStub(t, func(c *Config) {
			c.Road, c.SSHPort, c.Private, c.SSHFrom = RoadSSH, 2222, private, []string{"10.0.0.0/8"}
			c.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
				dialled = addr
				return nil, errors.New("no route")
			}
		})
		s.says("DescribeInstances", described(instanceXML(oneID, "running", "<ipAddress>192.0.2.9</ipAddress><privateIpAddress>10.1.2.3</privateIpAddress>")))
		s.does("DescribeInstanceAttribute", func(url.Values) (int, string) { t.Error("asked for"); return 500, "" })
		a := signer(t)
		a.HostKey = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		_, err := p.Connect(t.Context(), runctl.Instance{ID: oneID, Addr: "198.51.100.1"}, a)
		assert.ErrorIs(t, err, runctl.ErrUnavailable)
		assert.Equal(t, map[bool]string{false: "192.0.2.9:2222", true: "10.1.2.3:2222"}[private], dialled)
	}
}

func TestTheRoadIsTheOneThatWasChosenOrThatCanWork(t *testing.T) {
	_, p := newStub(t)
	v := entered()
	assert.Equal(t, RoadSSH, p.roadOf(v))
	p.cfg.Road = RoadSSM
	assert.Equal(t, RoadSSM, p.roadOf(v))
}
