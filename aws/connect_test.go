package aws

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

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

// hostKey is some machine's.
const hostKey = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestOnlyWhatNoWaitMendsIsToldAsSuch(t *testing.T) {
	const away, denied = `{"__type":"TargetNotConnected"}`, `{"__type":"AccessDeniedException"}`
	for what, row := range map[string]struct {
		age              time.Duration
		command, session string // what Run Command and sessions are refused with
		agents, system   string // what is known of the agent and of the system
		road             Road
		met              bool
		kind             runctl.Kind
		asked            int
	}{
		"it may still be starting":               {age: agentTime - time.Second, command: `{"__type":"InvalidInstanceId"}`, kind: runctl.ErrUnavailable},
		"its agent has never come":               {age: agentTime, command: `{"__type":"InvalidInstanceId"}`, kind: runctl.ErrInvalid, asked: 1},
		"nor where SSM was chosen":               {age: agentTime, command: denied, session: away, road: RoadSSM, kind: runctl.ErrInvalid, asked: 1},
		"it was there once":                      {age: agentTime, command: `{"__type":"InvalidInstanceId"}`, agents: `{"InstanceInformationList":[{"PingStatus":"ConnectionLost"}]}`, kind: runctl.ErrUnavailable, asked: 1},
		"no list of agents":                      {age: agentTime, command: `{"__type":"InvalidInstanceId"}`, agents: `{}`, kind: runctl.ErrUnavailable, asked: 1},
		"its system is not up":                   {age: agentTime, command: `{"__type":"InvalidInstanceId"}`, system: "initializing", kind: runctl.ErrUnavailable, asked: 1},
		"it was entered before":                  {age: agentTime, session: away, met: true, kind: runctl.ErrUnavailable},
		"the credentials allow neither":          {command: denied, session: denied, kind: runctl.ErrInvalid},
		"nor what was chosen":                    {command: denied, session: denied, road: RoadSSM, kind: runctl.ErrInvalid},
		"they did when it was entered":           {command: denied, session: denied, met: true, kind: runctl.ErrAuth},
		"nor what was chosen then":               {session: denied, road: RoadSSM, met: true, kind: runctl.ErrAuth},
		"they are too old for sessions":          {session: `{"__type":"ExpiredTokenException"}`, met: true, kind: runctl.ErrAuth},
		"the credentials are no credentials now": {command: `{"__type":"ExpiredTokenException"}`, kind: runctl.ErrAuth},
	} {
		t.Run(what, func(t *testing.T) {
			s, p := newStub(t, func(c *Config) { c.Road = row.road })
			s.date = time.Date(2026, 11, 2, 9, 59, 0, 0, time.UTC).Add(row.age)
			data, err := userData(nil, publicKey, nil)
			require.NoError(t, err)
			s.says("DescribeInstances", described(instanceXML(oneID, "running", "<iamInstanceProfile><arn>arn:aws:iam::1:instance-profile/x</arn></iamInstanceProfile><ipAddress>192.0.2.9</ipAddress>")))
			s.says("DescribeInstanceAttribute", "<userData><value>"+base64.StdEncoding.EncodeToString(data)+"</value></userData>")
			s.does("SendCommand", func(url.Values) (int, string) { return 400, row.command })
			s.does("StartSession", func(url.Values) (int, string) { return 400, row.session })
			s.does("DescribeInstanceInformation", func(url.Values) (int, string) { return 200, cmp.Or(row.agents, `{"InstanceInformationList":[]}`) })
			s.says("DescribeInstanceStatus", "<instanceStatusSet><item><instanceStatus><status>"+cmp.Or(row.system, "ok")+"</status></instanceStatus></item></instanceStatusSet>")
			a := signer(t)
			if row.met {
				a.HostKey = hostKey
			}
			m, err := p.Connect(t.Context(), runctl.Instance{ID: oneID}, a)
			require.Nil(t, m)
			var e *runctl.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, row.kind, e.Kind, "%v", err)
			assert.Equal(t, row.asked, s.count("DescribeInstanceInformation"))
			if row.met {
				assert.Equal(t, row.road == "" && row.session == denied, s.count("SendCommand") > 0, "Run Command is for who chose nothing and may not start sessions")
			}
			if e.Kind == runctl.ErrInvalid {
				assert.ErrorContains(t, err, "RUNCTL_AWS_ROAD")
			}
		})
	}
}

func TestAnotherMachinesHostKeysAndThoseOfACommandThatDidNotEndAreNotBelieved(t *testing.T) {
	own := `"StandardOutputContent":"` + publicKey + `\n"`
	for what, row := range map[string]struct {
		reply string
		good  bool
	}{
		"its own":                        {invoked(`"Status":"Success","ResponseCode":0,` + own), true},
		"all but one":                    {invoked(`"Status":"Failed","ResponseCode":1,` + own), true},
		"another machine's":              {`{"InstanceId":"i-00000000000000002","CommandId":"c-1","Status":"Success","ResponseCode":0,` + own + `}`, false},
		"of nobody":                      {`{"Status":"Success","ResponseCode":0,` + own + `}`, false},
		"what another command printed":   {`{"InstanceId":"` + oneID + `","CommandId":"c-2","Status":"Success","ResponseCode":0,` + own + `}`, false},
		"of one that was cut off":        {invoked(`"Status":"TimedOut","ResponseCode":-1,` + own), false},
		"of one that somebody cancelled": {invoked(`"Status":"Cancelled","ResponseCode":0,` + own), false},
		"a key that is cut":              {invoked(`"Status":"Success","ResponseCode":0,"StandardOutputContent":"` + publicKey[:60] + `"`), false},
		"none":                           {invoked(`"Status":"Failed","ResponseCode":1,"StandardErrorContent":"cat: no such file"`), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, p := newStub(t)
			s.does("SendCommand", func(url.Values) (int, string) { return 200, `{"Command":{"CommandId":"c-1"}}` })
			s.does("GetCommandInvocation", func(url.Values) (int, string) { return 200, row.reply })
			trust, err := p.readTrust(t.Context(), entered())
			sent := s.last("SendCommand").Get("")
			assert.Contains(t, sent, `"executionTimeout":["60"]`)
			assert.Contains(t, sent, `"InstanceIds":["`+oneID+`"]`)
			assert.Contains(t, sent, keyCommand)
			if row.good {
				require.NoError(t, err, what)
				assert.NotZero(t, trust)
				return
			}
			require.Error(t, err, what)
			assert.Zero(t, trust, what)
		})
	}
}

func TestAMachineIsEnteredAtItsAddressByWhoWasLetIn(t *testing.T) {
	s, p := newStub(t, func(c *Config) {
		c.Road, c.SSHFrom = RoadSSH, []string{"198.51.100.7/32"}
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	})
	s.says("DescribeInstances", described(instanceXML(oneID, "running", "<ipAddress>192.0.2.9</ipAddress><tagSet><item><key>runctl:owner</key><value>me</value></item></tagSet>"+
		"<groupSet><item><groupId>"+ownGroup+"</groupId><groupName>runctl-me</groupName></item></groupSet>")))
	a := signer(t)
	a.HostKey = hostKey
	withRules(s)
	_, err := p.Connect(t.Context(), runctl.Instance{ID: oneID}, a)
	assert.ErrorContains(t, err, "no route")
	assert.Equal(t, 1, s.count("AuthorizeSecurityGroupIngress"))
	s.refuses("DescribeSecurityGroups", 403, "UnauthorizedOperation")
	p.rules.clear()
	_, err = p.Connect(t.Context(), runctl.Instance{ID: oneID}, a)
	assert.ErrorIs(t, err, runctl.ErrAuth, "who cannot be let in does not try")
}
