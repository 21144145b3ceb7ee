package aws

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestASessionsTokenIsShownOverTLSAlone(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.Road = RoadSSM })
	s.does("StartSession", func(url.Values) (int, string) {
		return 200, `{"SessionId":"me-1","StreamUrl":"ws://ssmmessages.example/v1/data-channel/me-1","TokenValue":"the-token"}`
	})
	s.does("TerminateSession", func(url.Values) (int, string) { return 200, `{"SessionId":"me-1"}` })
	_, err := p.session(t.Context(), oneID)
	require.ErrorContains(t, err, "not encrypted")
	assert.NotContains(t, err.Error(), "the-token")
	assert.Equal(t, 1, s.count("TerminateSession"), "it does not stay open")
	assert.Equal(t, 2, len(s.calls), "and nobody else was called")
	p.sdk.BaseEndpoint = awssdk.String("http://127.0.0.1:4566")
	assert.NoError(t, p.checkStream("ws://127.0.0.1:4566/x"), "but for an endpoint that was typed so")
	assert.Error(t, p.checkStream("wss:///v1/data-channel"))
	p.sdk.BaseEndpoint = awssdk.String("https://127.0.0.1:4566")
	assert.Error(t, p.checkStream("ws://127.0.0.1:4566/x"))
	assert.Error(t, p.checkStream(""))
	assert.Error(t, p.checkStream("http://127.0.0.1/"))
}

// other is a client of a kind that nobody knows.
type other struct{ asked *string }

func (o other) Do(r *http.Request) (*http.Response, error) {
	*o.asked = r.URL.String()
	return nil, io.EOF
}

func TestWebsocketsGoTheWayOfTheSDKsRequests(t *testing.T) {
	own := &http.Transport{}
	assert.Same(t, own, sockets(&http.Client{Transport: own, Timeout: time.Second}).Transport)
	assert.Zero(t, sockets(&http.Client{Timeout: time.Second}).Timeout)
	proxied := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.MaxIdleConns = 3 })
	assert.Equal(t, 3, sockets(proxied).Transport.(*http.Transport).MaxIdleConns)
	assert.NotNil(t, sockets(nil).Transport)
	var asked string
	_, err := sockets(other{&asked}).Get("http://ssm.test/session")
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, "http://ssm.test/session", asked)
}

// invoked is the record of the command c-1 on the one machine.
func invoked(more string) string {
	return `{"InstanceId":"` + oneID + `","CommandId":"c-1",` + more + "}"
}

func TestACommandsEndIsWaitedForAsLongAsItsRecordMayBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, row := range map[string]struct {
			reply func(age time.Duration) (int, string)
			kind  runctl.Kind
			after time.Duration // it took at least so long
		}{
			"a record that comes late": {reply: func(age time.Duration) (int, string) {
				if age < 20*time.Second {
					return 400, `{"__type":"InvocationDoesNotExist"}`
				}
				return 200, invoked(`"Status":"Success","ResponseCode":0,"StandardOutputContent":"ok"`)
			}, after: 20 * time.Second},
			"none at all": {reply: func(time.Duration) (int, string) { return 400, `{"__type":"InvocationDoesNotExist"}` }, kind: runctl.ErrNotFound, after: invisible},
			"an end without a code": {reply: func(time.Duration) (int, string) {
				return 200, invoked(`"Status":"Failed","StatusDetails":"Undeliverable","ResponseCode":-1`)
			}, kind: runctl.ErrUnavailable},
			"a status of another world":   {reply: func(time.Duration) (int, string) { return 200, invoked(`"Status":"Exploded","ResponseCode":0`) }, kind: runctl.ErrUnavailable},
			"one that is never delivered": {reply: func(time.Duration) (int, string) { return 200, invoked(`"Status":"Pending","ResponseCode":-1`) }, kind: runctl.ErrTimeout, after: time.Minute},
		} {
			s, p := newStub(t)
			began := time.Now()
			s.does("SendCommand", func(url.Values) (int, string) { return 200, `{"Command":{"CommandId":"c-1"}}` })
			s.does("GetCommandInvocation", func(url.Values) (int, string) { return row.reply(time.Since(began)) })
			out, err := p.command(t.Context(), oneID, "true", time.Second)
			if row.kind != "" {
				assert.ErrorIs(t, err, row.kind, what)
			} else if assert.NoError(t, err, what) {
				assert.Equal(t, "ok", out.stdout)
			}
			assert.GreaterOrEqual(t, time.Since(began), row.after, what)
			assert.Less(t, s.count("GetCommandInvocation"), 70, what)
		}
	})
}

func TestWhatIsSealedComesBackAndShowsNothing(t *testing.T) {
	key := newSeal()
	text, err := key.encrypt([]byte("a secret"))
	require.NoError(t, err)
	again, err := key.encrypt([]byte("a secret"))
	require.NoError(t, err)
	assert.NotEqual(t, text, again, "the same is not seen to be the same")
	plain, err := key.decrypt(text)
	require.NoError(t, err)
	assert.Equal(t, "a secret", string(plain))
	other, err := newSeal().decrypt(text)
	require.NoError(t, err)
	assert.NotEqual(t, plain, other)
}

func FuzzPrinted(f *testing.F) {
	key := newSeal()
	good, _ := key.encrypt([]byte("outerr"))
	for _, s := range []string{"- 3 3\n" + good, "0 6 0\n" + good, "256 3 3\n" + good, "- 3\n", "", "7 9 9\n" + good, "- -1 7\n" + good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, out, errs, err := key.printed(text)
		assert.LessOrEqual(t, len(out)+len(errs), len(text))
		assert.True(t, code >= -1 && code <= 255)
		if err != nil {
			assert.Empty(t, out)
		}
	})
}

func FuzzFingerprints(f *testing.F) {
	f.Add(publicKey + "\n")
	f.Add("ssh-rsa AAAA\n\n# x\nnonsense")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range fingerprints(text) {
			assert.True(t, strings.HasPrefix(p, "SHA256:"))
		}
	})
}

func TestASessionThatCannotBeUsedIsEndedWhoeverHasLeft(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.SSHPort = 2222 })
	ctx, leave := context.WithCancel(t.Context())
	s.does("StartSession", func(url.Values) (int, string) {
		return 200, `{"SessionId":"me-1","StreamUrl":"wss://ssmmessages.example/v1/data-channel/me-1","TokenValue":"the-token"}`
	})
	s.does("ssmmessages.example", func(url.Values) (int, string) { leave(); return 500, "" })
	s.does("TerminateSession", func(url.Values) (int, string) { return 200, `{"SessionId":"me-1"}` })
	_, err := p.session(ctx, oneID)
	require.Error(t, err)
	assert.Equal(t, 1, s.count("TerminateSession"))
	assert.Contains(t, s.last("StartSession").Get(""), `"portNumber":["2222"]`)
}

func TestACommandWhoseCallerLeavesIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		ctx, leave := context.WithCancel(t.Context())
		s.does("SendCommand", func(url.Values) (int, string) { return 200, `{"Command":{"CommandId":"c-1"}}` })
		s.does("GetCommandInvocation", func(url.Values) (int, string) {
			leave()
			return 200, invoked(`"Status":"InProgress","ResponseCode":-1`)
		})
		s.does("CancelCommand", func(url.Values) (int, string) { return 200, `{}` })
		_, err := p.command(ctx, oneID, "sleep 1000", time.Hour)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Contains(t, s.last("CancelCommand").Get(""), `"c-1"`)
		s.does("SendCommand", func(url.Values) (int, string) { return 200, `{"Command":{}}` })
		_, err = p.command(t.Context(), oneID, "true", time.Hour)
		assert.ErrorContains(t, err, "not said which")
		assert.Equal(t, 1, s.count("GetCommandInvocation"))
	})
}

func TestWhatAMachinePrintedIsWholeOrAnError(t *testing.T) {
	key := newSeal()
	good, err := key.encrypt([]byte("outerr"))
	require.NoError(t, err)
	code, out, errs, err := key.printed("255 3 3\n" + good)
	require.NoError(t, err)
	assert.Equal(t, []any{255, "out", "err"}, []any{code, string(out), string(errs)})
	code, _, _, err = key.printed("- 3 3\n" + good)
	require.NoError(t, err)
	assert.Equal(t, -1, code)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	for what, text := range map[string]string{"shorter": "0 3 2\n" + good, "longer": "0 3 4\n" + good, "a code that is none": "256 3 3\n" + good, "no head": good,
		"cut": "0 3 3\n" + good[:len(good)-4], "no salt": "0 0 0\n" + base64.StdEncoding.EncodeToString(raw[:12]), "another format": "0 3 3\n" + base64.StdEncoding.EncodeToString(append([]byte("Peppered"), raw[8:]...))} {
		_, _, _, err := key.printed(text)
		assert.Error(t, err, what)
	}
}
