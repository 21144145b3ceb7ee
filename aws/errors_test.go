package aws

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// launched is the error of a launch that EC2 answers so.
func launched(t *testing.T, status int, body string) (*stub, *runctl.Error, error) {
	t.Helper()
	s, p := newStub(t)
	s.does("RunInstances", func(url.Values) (int, string) { return status, body })
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.Error(t, err)
	var e *runctl.Error
	_ = errors.As(err, &e)
	return s, e, err
}

func TestEveryRefusalSaysWhatItCondemnsAndWhetherSomethingStarted(t *testing.T) {
	for _, row := range []struct {
		status int
		code   string
		kind   runctl.Kind
		scope  runctl.Scope
		may    bool
	}{
		{500, "InsufficientInstanceCapacity", runctl.ErrCapacity, runctl.ScopeZone, false},
		{500, "InsufficientHostCapacity", runctl.ErrCapacity, runctl.ScopeZone, false},
		{400, "InsufficientFreeAddressesInSubnet", runctl.ErrCapacity, runctl.ScopeZone, false},
		{400, "Unsupported", runctl.ErrCapacity, runctl.ScopeZone, false},
		{400, "MissingInput", runctl.ErrCapacity, runctl.ScopeZone, false},
		{400, "SpotMaxPriceTooLow", runctl.ErrCapacity, runctl.ScopeZone, false},
		{400, "VcpuLimitExceeded", runctl.ErrQuota, runctl.ScopeRegion, false},
		{400, "MaxSpotInstanceCountExceeded", runctl.ErrQuota, runctl.ScopeRegion, false},
		{400, "InstanceLimitExceeded", runctl.ErrQuota, runctl.ScopeRegion, false},
		{401, "AuthFailure", runctl.ErrAuth, runctl.ScopeAccount, false},
		{403, "UnauthorizedOperation", runctl.ErrAuth, runctl.ScopeAccount, false},
		{400, "ExpiredToken", runctl.ErrAuth, runctl.ScopeAccount, false},
		{503, "RequestLimitExceeded", runctl.ErrRateLimit, runctl.ScopeAccount, false},
		{400, "Throttling", runctl.ErrRateLimit, runctl.ScopeAccount, false},
		{400, "IdempotentParameterMismatch", runctl.ErrConflict, runctl.ScopeUnknown, true},
		{400, "IdempotentInstanceTerminated", runctl.ErrConflict, runctl.ScopeRequest, false},
		{400, "InvalidParameterValue", runctl.ErrInvalid, runctl.ScopeRequest, false},
		{400, "InvalidAMIID.NotFound", runctl.ErrInvalid, runctl.ScopeRequest, false},
		{400, "InvalidGroup.NotFound", runctl.ErrInvalid, runctl.ScopeRequest, false},
		{400, "InvalidSomethingOfTomorrow", runctl.ErrInvalid, runctl.ScopeRequest, false},
		{400, "VPCIdNotSpecified", runctl.ErrInvalid, runctl.ScopeRequest, false},
		{400, "Client.InstanceLimitExceeded", runctl.ErrQuota, runctl.ScopeRegion, false},
		{500, "Server.InsufficientInstanceCapacity", runctl.ErrCapacity, runctl.ScopeZone, false},
		{500, "InternalError", runctl.ErrUnavailable, runctl.ScopeUnknown, true},
		{503, "Unavailable", runctl.ErrUnavailable, runctl.ScopeUnknown, true},
		{500, "InvalidState.OfTheirs", "", 0, true}, // a family of codes counts only for what EC2 blames us for
		{400, "NobodyKnowsThis", "", 0, true},
		{500, "NobodyKnowsThis", "", 0, true},
	} {
		t.Run(row.code, func(t *testing.T) {
			s, e, err := launched(t, row.status, refusal(row.code))
			assert.Equal(t, 1, s.count("RunInstances"), "a launch is never repeated here")
			if row.kind == "" {
				assert.Nil(t, e, "what is not known claims nothing")
			} else {
				require.NotNil(t, e)
				assert.Equal(t, []any{row.kind, row.scope, !row.may}, []any{e.Kind, e.Scope, e.NotStarted})
			}
			var api smithy.APIError
			require.ErrorAs(t, err, &api, "the SDK's own error is in the chain")
			assert.Equal(t, row.code, api.ErrorCode())
		})
	}
}

func TestARefusalWithoutWordsGoesByItsStatus(t *testing.T) {
	_, e, _ := launched(t, 429, "")
	require.NotNil(t, e)
	assert.Equal(t, runctl.ErrRateLimit, e.Kind)
	_, e, _ = launched(t, 401, "<html>who are you</html>")
	require.NotNil(t, e)
	assert.Equal(t, runctl.ErrAuth, e.Kind)
	for _, status := range []int{404, 500, 502, 503} {
		_, e, _ = launched(t, status, "<html>proxy</html>")
		assert.Nil(t, e, status)
	}
	_, e, _ = launched(t, 200, "<oops")
	assert.Nil(t, e, "a reply that cannot be read proves nothing")
	_, e, _ = launched(t, 200, "<RunInstancesResponse/>")
	assert.Nil(t, e)
}

func TestReadsAreTriedThreeTimesAndCallsThatChangeSomethingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		for _, action := range []string{"DescribeInstances", "TerminateInstances", "StopInstances", "StartInstances"} {
			s.refuses(action, 503, "RequestLimitExceeded")
		}
		const id = "i-00000000000000001"
		began := time.Now()
		_, err := p.List(t.Context(), runctl.ListQuery{})
		assert.ErrorIs(t, err, runctl.ErrRateLimit)
		assert.LessOrEqual(t, time.Since(began), 2*longestPause)
		assert.ErrorIs(t, p.Terminate(t.Context(), id), runctl.ErrRateLimit)
		assert.ErrorIs(t, p.Stop(t.Context(), id), runctl.ErrRateLimit)
		assert.ErrorIs(t, p.Start(t.Context(), id), runctl.ErrRateLimit)
		for action, want := range map[string]int{"DescribeInstances": 3, "TerminateInstances": 3, "StopInstances": 1, "StartInstances": 1} {
			assert.Equal(t, want, s.count(action), action)
		}
	})
}

// failing is a network on which nothing gets through.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestOnlyAConnectionThatNeverCameAboutProvesThatNothingWasSent(t *testing.T) {
	for _, row := range []struct {
		err    error
		proves bool
	}{
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, true},
		{&net.OpError{Op: "read", Err: errors.New("connection reset")}, false},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, false},
		{errors.New("EOF"), false},
		{context.DeadlineExceeded, false},
	} {
		s, p := newStub(t)
		_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
		require.NoError(t, err)
		s.over = failing{row.err}
		req := h100(runctl.OnDemand)
		req.Token = "next"
		_, err = p.Launch(t.Context(), req)
		var e *runctl.Error
		if errors.As(err, &e); row.proves {
			require.NotNil(t, e, row.err)
			assert.Equal(t, []any{runctl.ErrUnavailable, true}, []any{e.Kind, e.NotStarted})
		} else {
			assert.Nil(t, e, row.err)
		}
	}
}

// poor has no credentials.
type poor struct{}

func (poor) Retrieve(context.Context) (awssdk.Credentials, error) {
	return awssdk.Credentials{}, errors.New("no EC2 IMDS role found")
}

func TestWithoutCredentialsNothingIsSentAndTheErrorSaysWhatToDo(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.Config.Credentials = poor{} })
	_, err := p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorIs(t, err, runctl.ErrAuth)
	assert.ErrorContains(t, err, "aws sso login")
	_, err = p.Launch(t.Context(), h100(runctl.OnDemand))
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, []any{runctl.ErrAuth, true}, []any{e.Kind, e.NotStarted})
	assert.Empty(t, s.calls)
}

func TestNoErrorShowsTheKeys(t *testing.T) {
	_, p := newStub(t)
	_, err := p.List(t.Context(), runctl.ListQuery{})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "a-secret-key")
	assert.NotContains(t, strings.ToLower(err.Error()), "signature=")
}

func TestEveryRowOfTheTableIsWhole(t *testing.T) {
	for code, r := range codes {
		assert.NotEmpty(t, r.kind, code)
		if !r.mayRun {
			assert.NotEqual(t, runctl.ErrUnavailable, r.kind, "%s: what is not known to have failed proves nothing", code)
			assert.NotEqual(t, runctl.ScopeUnknown, r.scope, code)
		}
	}
}

func TestRepliesWithoutAnEndAndRedirectsAreRefused(t *testing.T) {
	defer func(n int64) { maxReply = n }(maxReply)
	maxReply = 2 << 20
	s, p := newStub(t)
	endless := &zeros{}
	s.over = tripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("<DescribeInstancesResponse>"), endless)), Request: r, Header: http.Header{}}, nil
	})
	_, err := p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "2 MiB")
	assert.LessOrEqual(t, endless.n, 3*int(maxReply)+3<<16, "in all tries together")

	went := 0
	s.over = tripper(func(r *http.Request) (*http.Response, error) {
		went++
		return &http.Response{StatusCode: 302, Body: http.NoBody, Request: r, Header: http.Header{"Location": {"https://elsewhere.example/"}}}, nil
	})
	_, err = p.Launch(t.Context(), h100(runctl.OnDemand))
	assert.Error(t, err)
	assert.Equal(t, 1, went)
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// zeros is a text without an end.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	z.n += len(p)
	return len(p), nil
}

func TestHowLongAReplyAsksToBeLeftAloneIsPassedOn(t *testing.T) {
	s, p := newStub(t)
	_, err := p.Launch(t.Context(), h100(runctl.OnDemand))
	require.NoError(t, err)
	s.over = tripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Body: io.NopCloser(strings.NewReader(refusal("RequestLimitExceeded"))), Request: r,
			Header: http.Header{"Content-Type": {"text/xml"}, "Retry-After": {"7"}}}, nil
	})
	req := h100(runctl.OnDemand)
	req.Token = "next"
	_, err = p.Launch(t.Context(), req)
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, []any{runctl.ErrRateLimit, 7 * time.Second}, []any{e.Kind, e.RetryAfter})
}

func TestAnErrorOfOthersStaysAsItIs(t *testing.T) {
	theirs := &runctl.Error{Kind: runctl.ErrNotFound}
	var e *runctl.Error
	require.ErrorAs(t, beforehand(theirs), &e)
	assert.Equal(t, []any{runctl.ErrInvalid, true}, []any{e.Kind, e.NotStarted})
	assert.Equal(t, &runctl.Error{Kind: runctl.ErrNotFound}, theirs)
}

func TestAPageInThePlaceOfAReplyIsAnErrorAndAskedForOnce(t *testing.T) {
	s, p := newStub(t)
	went := 0
	s.over = tripper(func(r *http.Request) (*http.Response, error) {
		went++
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("<html>log in to the hotel's network</html>")), Request: r, Header: http.Header{}}, nil
	})
	_, err := p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "not EC2's")
	assert.Equal(t, 1, went)
	assert.Equal(t, 3*time.Second, careful(awshttp.NewBuildableClient().WithTimeout(3*time.Second)).Timeout)
}
