//go:build linux

package aws_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/aws"
	"runctl/providertest"
)

// refusal is one of EC2's own.
func refusal(status int, code, text string) providertest.Reply {
	return providertest.Reply{Status: status, Header: http.Header{"Content-Type": {"text/xml;charset=UTF-8"}}, Body: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>8f7724cf-496f-496e-8fe3-example</RequestID></Response>`, code, text)}
}

// harness is the contract over a face with these physics, whose machines are processes; with sick they are records, and nobody enters them.
func harness(t *testing.T, opt face.Options, sick []face.Fault, change ...func(*aws.Config)) providertest.Harness {
	var skips map[string]string
	if sick == nil {
		asRoot(t)
		enginetest.SSHD(t) // where there is none at all, this says so
	} else {
		var same []string
		for _, r := range providertest.Rows() {
			if enters(r.Name) || !opt.Extra && strings.HasSuffix(r.Name, "/MissingField") {
				same = append(same, r.Name)
			}
		}
		skips = cloudtest.Variant(same...)
	}
	opt.AnyTime = true // a row lets the cloud's clock be elsewhere, and the SDK signs by it
	faces := map[runctl.Provider]*face.Face{}
	key := newKey(t)
	return providertest.Harness{
		New: func(t *testing.T, net http.RoundTripper) runctl.Provider {
			port := freePort(t)
			if sick == nil {
				opt.Real = &face.Real{Dir: enginetest.Dir(t), SSHD: sshdPath(), Port: port}
			}
			f := face.New(account(opt))
			url := serve(t, f)
			cloudtest.Always(f, sick...)
			cfg := aws.Config{Config: sdkOver(url, net), Road: aws.RoadSSH, SSHFrom: []string{"127.0.0.1/32"}, SSHPort: int32(port)}
			for _, c := range change {
				c(&cfg)
			}
			p, err := aws.New(cfg)
			require.NoError(t, err)
			faces[p] = f
			return p
		},
		IsLaunch: isLaunch,
		Request:  func(req *runctl.LaunchRequest) { req.AuthorizedKey = enginetest.AuthorizedKey(t, key) },
		Access:   runctl.Access{Signer: key},
		Cloud: func(p runctl.Provider) providertest.Cloud {
			f := faces[p]
			return providertest.Cloud{
				Billing: f.Billing, HoldEnds: f.HoldEnds,
				Stranger: func(label string) string {
					return f.Add(label+"Xyz", map[string]string{"runctl:mark": label, "runctl:owner": "stranger", "Name": label})
				},
				SetState: func(id string, s runctl.State) bool {
					if words[s] != "" {
						f.SetState(id, words[s])
					}
					return words[s] != ""
				},
			}
		},
		Refusals: map[runctl.Kind]providertest.Reply{
			runctl.ErrCapacity:  refusal(500, "InsufficientInstanceCapacity", "We currently do not have sufficient capacity in the Availability Zone you requested."),
			runctl.ErrQuota:     refusal(400, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 0 allows."),
			runctl.ErrAuth:      refusal(401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
			runctl.ErrRateLimit: refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
			runctl.ErrPayment:   refusal(400, "Blocked", "This account is currently blocked and not recognized as a valid account."),
			runctl.ErrInvalid:   refusal(400, "InvalidParameterValue", "Invalid value for instanceType."),
		},
		States: words, Secrets: []string{secretKey, session}, Many: 2*max(opt.MaxPage, 3) + 1, Patience: 30 * time.Second, Slow: 4 * time.Second, Skip: skips,
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, harness(t, face.Options{}, nil))
}

// TestContractPasses is the contract over an EC2 that is newer, or slow and ill.
func TestContractPasses(t *testing.T) {
	for _, x := range []struct {
		name string
		opt  face.Options
		sick []face.Fault
	}{
		{"over a newer API, which says more, in small pages, and forgets tokens of what has ended", face.Options{Extra: true, MaxPage: 5, TokenDead: true, Tombstone: time.Second}, []face.Fault{}},
		{"over a region that is slow, and where every third answer fails", face.Options{Pending: 200 * time.Millisecond, Stopping: 100 * time.Millisecond,
			ShuttingDown: 100 * time.Millisecond}, []face.Fault{
			{On: "DescribeInstances", Every: 3, Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."},
			{On: "TerminateInstances", Every: 3, Cut: face.NoReply}, {On: "DescribeInstanceTypes", Every: 3, Status: 500, Code: "InternalError", Text: "An internal error has occurred"},
			{On: "DescribeImages", Every: 3, Status: 503, Code: "Unavailable"}, {On: "GetParameter", Every: 3, Status: 500, Code: "InternalServerError"},
			{On: "GetProducts", Every: 3, Status: 502, Kind: "text/html", Body: "<html>"}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, harness(t, x.opt, x.sick))
		})
	}
}
