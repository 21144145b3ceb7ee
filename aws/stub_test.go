package aws

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"runctl"
)

// stub is AWS as far as one test needs it: it answers each action as the test says, and refuses all others.
type stub struct {
	t      *testing.T
	mu     sync.Mutex
	calls  []string // actions, in order
	asked  map[string][]url.Values
	answer map[string]func(url.Values) (status int, body string)
	date   time.Time         // the cloud's clock; zero: this computer's
	over   http.RoundTripper // takes all requests instead
}

// says answers an action of EC2 with a body, without its outermost element.
func (s *stub) says(action, body string) {
	s.does(action, func(url.Values) (int, string) { return 200, body })
}

// refuses answers with an error of EC2's.
func (s *stub) refuses(action string, status int, code string) {
	s.does(action, func(url.Values) (int, string) { return status, refusal(code) })
}

func (s *stub) does(action string, f func(url.Values) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer[action] = f
}

func refusal(code string) string {
	return "<Response><Errors><Error><Code>" + code + "</Code><Message>because</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
}

// RoundTrip implements [http.RoundTripper].
func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.over != nil {
		return s.over.RoundTrip(r)
	}
	var body []byte
	var err error
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	form, action := url.Values{"": {string(body)}}, r.URL.Host
	kind := "text/plain"
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, action, _ = strings.Cut(target, ".")
		kind = "application/x-amz-json-1.1"
	} else if r.Method == http.MethodPost {
		form, err = url.ParseQuery(string(body))
		action, kind = form.Get("Action"), "text/xml"
	}
	s.mu.Lock()
	s.calls = append(s.calls, action)
	s.asked[action] = append(s.asked[action], form)
	f, date := s.answer[action], s.date
	s.mu.Unlock()
	if date.IsZero() {
		date = time.Now()
	}
	status, text := 400, refusal("NotInTheStub."+action)
	if f != nil {
		status, text = f(form)
	}
	if kind == "text/xml" && status == 200 {
		text = "<" + action + "Response><requestId>r-1</requestId>" + text + "</" + action + "Response>"
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewBufferString(text)), Request: r,
		Header: http.Header{"Content-Type": {kind}, "Date": {date.UTC().Format(http.TimeFormat)}}}, err
}

// count is how often an action was asked for.
func (s *stub) count(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return c != action }))
}

// last is the newest request of an action.
func (s *stub) last(action string) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked[action]
	require.NotEmpty(s.t, all, "%s was not asked for", action)
	return all[len(all)-1]
}

// newStub is a region with the newest images, a default VPC and no security group of anybody's.
func newStub(t *testing.T, change ...func(*Config)) (*stub, *Provider) {
	t.Helper()
	s := &stub{t: t, asked: map[string][]url.Values{}, answer: map[string]func(url.Values) (int, string){}}
	s.does("GetParameter", func(v url.Values) (int, string) {
		id := "ami-0000000000000a86"
		if strings.Contains(v.Get(""), "arm64") {
			id = "ami-0000000000000a64"
		}
		return 200, `{"Parameter":{"Name":"x","Value":"` + id + `"}}`
	})
	s.does("DescribeImages", func(v url.Values) (int, string) {
		id := v.Get("ImageId.1")
		return 200, imageXML(id, map[bool]string{true: "arm64", false: "x86_64"}[strings.HasSuffix(id, "a64")], 8)
	})
	s.says("DescribeVpcs", "<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>")
	s.says("DescribeSecurityGroups", "<securityGroupInfo/>")
	s.says("CreateSecurityGroup", "<groupId>sg-0000000000000001</groupId>")
	s.does("RunInstances", func(v url.Values) (int, string) { return 200, "<reservationId>r-1</reservationId>" + born1(v) })
	cfg := Config{Config: awssdk.Config{Region: "eu-west-1", HTTPClient: &http.Client{Transport: s},
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "a-secret-key", "")}}
	for _, f := range change {
		f(&cfg)
	}
	p, err := New(cfg)
	require.NoError(t, err)
	return s, p
}

func imageXML(id, arch string, gib int) string {
	return fmt.Sprintf(`<imagesSet><item><imageId>%s</imageId><architecture>%s</architecture><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>%d</volumeSize></ebs></item></blockDeviceMapping></item></imagesSet>`, id, arch, gib)
}

// born1 is the machine that a request starts, with the tags and the token that it was given.
func born1(v url.Values) string {
	var tags strings.Builder
	for n := 1; v.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n)) != ""; n++ {
		at := fmt.Sprintf("TagSpecification.1.Tag.%d.", n)
		fmt.Fprintf(&tags, "<item><key>%s</key><value>%s</value></item>", v.Get(at+"Key"), v.Get(at+"Value"))
	}
	return instanceXML("i-00000000000000001", "pending", "<clientToken>"+v.Get("ClientToken")+"</clientToken><instanceType>"+v.Get("InstanceType")+"</instanceType><tagSet>"+tags.String()+"</tagSet>")
}

func instanceXML(id, state, more string) string {
	return "<instancesSet><item><instanceId>" + id + "</instanceId><instanceState><code>0</code><name>" + state + "</name></instanceState>" +
		"<launchTime>2026-11-02T09:59:00.000Z</launchTime><placement><availabilityZone>eu-west-1b</availabilityZone></placement>" + more + "</item></instancesSet>"
}

// described is the reply of DescribeInstances with one machine.
func described(instance string) string {
	return "<reservationSet><item><reservationId>r-1</reservationId>" + instance + "</item></reservationSet>"
}

const label = "rc1-me-train-abcaaaaabcdabcdefg"

// h100 is the request of a launch.
func h100(market runctl.Market) runctl.LaunchRequest {
	s := shape{"p5.48xlarge", "eu-west-1b", market, "x86_64", true}
	return runctl.LaunchRequest{Label: label, Token: "rc1-token", Boot: []byte("#!/bin/sh\necho guard\n"), Disk: 200 << 10,
		Offer: runctl.Offer{ID: s.String(), Market: market, Type: s.name, Zone: s.zone, Region: "eu-west-1", GPU: runctl.GPU{Model: "H100-SXM", Count: 8, Memory: 80 << 10},
			Price: runctl.Price{Hourly: runctl.USD(98.32)}}}
}
