package aws_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/clouds"
	"runctl/internal/cloudtest"
	"runctl/internal/memnet"
	"runctl/internal/wire"
	face "runctl/internal/wire/aws"
)

// The account's credentials in tests; the second and the third must be seen nowhere.
const (
	keyID     = "AKIAFACEFACEFACEFACE"
	secretKey = "canary/7f3e91+canary/7f3e91+canary/7f3e91"
	session   = "canary-session-token-5c1e0a"
	region    = "us-west-2"
)

var (
	secret            = cloudtest.Secret
	pass, cancelAfter = cloudtest.Pass, cloudtest.CancelAfter
	sshdPath          = cloudtest.SSHDPath
)

func TestMain(m *testing.M) {
	cloudtest.Main(m, "aws", "AWS's API models", clouds.Registry, alone)
}

// alone takes the AWS settings of whoever runs these tests away, who may have an account.
func alone() {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	log.SetOutput(io.Discard) // mocks of others are talkative
}

// sdkOver is the SDK's configuration for a face, over a transport.
func sdkOver(url string, transport http.RoundTripper) awssdk.Config {
	return awssdk.Config{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(keyID, secretKey, session),
		HTTPClient: &http.Client{Transport: transport}}
}

// account gives a face the tests' credentials.
func account(opt face.Options) face.Options {
	opt.Region, opt.AccessKey, opt.Secret, opt.SessionToken = region, keyID, secretKey, session
	return opt
}

// audit closes a face at the end of the test, and expects that no request in it was wrong.
func audit(t *testing.T, f *face.Face) { cloudtest.Audit(t, f) }

// serve serves a face on loopback until the test ends.
func serve(t *testing.T, f *face.Face) string { return cloudtest.Serve(t, f) }

// cloud is EC2, for the tests that all clouds have.
var cloud = cloudtest.Cloud{
	Open: func(t *testing.T, p cloudtest.Physics) *cloudtest.Account {
		return newTenant(t, face.Options{ListLag: p.ListLag, GetLag: p.GetLag, TokenDead: p.Quirk != "", Pending: 20 * time.Second}, func(c *aws.Config) {
			c.TokensIgnored, c.Road, c.SSHFrom, c.Dial = p.NoTokens, aws.RoadSSH, []string{"127.0.0.1/32"}, nobody
		}).Account
	},
	Launch: "RunInstances", Lists: []string{"DescribeInstances"}, Requests: 3, Quirks: []string{" dead tokens"}, // one for each zone that has the type
	Refuse: func(status int, text string) wire.Fault {
		return wire.Fault{Status: status, Code: cmp.Or(codes[status], "InvalidParameterValue"), Text: text}
	},
	Unreadable: face.Unreadable, NoCapacity: refused(500, "InsufficientInstanceCapacity"), // EC2 says it with this status
	Outcomes: []cloudtest.Outcome{
		{Name: "503, and nothing was started", Fault: face.Unavailable},
		{Name: "no quota", Fault: refused(400, "VcpuLimitExceeded"), Told: runctl.ErrCapacity}, // of all offers: none could be launched
		{Name: "no permission", Fault: refused(403, "UnauthorizedOperation"), Told: runctl.ErrAuth},
	},
	NoLists: []wire.Fault{{Status: 200, Kind: "text/xml", Body: "<DescribeInstancesResponse></DescribeInstancesResponse>"}},
	Job: func(key string) runctl.RunSpec {
		s := machine(key)
		return runctl.RunSpec{Key: key, Needs: s.Needs, Lifetime: s.Lifetime, MaxHourly: s.MaxHourly, Job: runctl.Job{Args: []string{"train"}}}
	},
	Secrets: []string{secretKey, session, "canary"},
	Calls: func(a *cloudtest.Account) []func() (any, error) {
		return []func() (any, error){func() (any, error) { // the other road, by Systems Manager
			p, err := aws.New(aws.Config{Config: sdkOver("http://aws.test", a.Net), Road: aws.RoadCommand})
			require.NoError(a.T, err)
			return p.Connect(cancelAfter(a.T, time.Minute), runctl.Instance{ID: a.Under("k1")[0]}, runctl.Access{Signer: newKey(a.T)})
		}}
	},
	Shown: func(a *cloudtest.Account) []any {
		f, cfg := a.Face.(*face.Face), aws.Config{Config: sdkOver("http://aws.test", a.Net)}
		shown := []any{cfg, &cfg, f.Groups()}
		for _, i := range f.Instances() {
			shown = append(shown, i, string(i.UserData))
		}
		for _, c := range f.Calls() {
			shown = append(shown, fmt.Sprint(c))
		}
		return shown
	},
}

// codes are EC2's for some statuses.
var codes = map[int]string{401: "AuthFailure", 403: "UnauthorizedOperation", 429: "RequestLimitExceeded", 500: "InternalError", 503: "Unavailable"}

// refused is what every launch request comes to.
func refused(status int, code string) wire.Fault {
	return wire.Fault{Times: -1, Status: status, Code: code}
}

// nobody is there to be entered.
func nobody(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }

// tenant is an account at EC2, in memory, with a client.
type tenant struct {
	*cloudtest.Account
	t    *testing.T
	face *face.Face
	p    *aws.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, change ...func(*aws.Config)) *tenant {
	t.Helper()
	w := &tenant{t: t, face: face.New(account(opt))}
	w.Account = cloudtest.NewAccount(t, w.face, memnet.Whole(new(memnet.Net).Serve(t, "aws.test", w.face)), func(net http.RoundTripper) (runctl.Provider, error) {
		cfg := aws.Config{Config: sdkOver("http://aws.test", net), Rate: 1000}
		for _, f := range change {
			f(&cfg)
		}
		return aws.New(cfg)
	})
	w.Machine, w.Under = machine, w.under
	w.p, w.c = w.P.(*aws.Provider), w.C
	return w
}

// provider is a process's own: it remembers nothing of another's.
func (w *tenant) provider() *aws.Provider { return w.Provider().(*aws.Provider) }

// client is another process of the same owner's.
func (w *tenant) client() *runctl.Client {
	w.P = w.p
	return w.Client()
}

func (w *tenant) launch(key string) runctl.Instance { return w.Launch(key) }
func (w *tenant) reapAll()                          { w.ReapAll() }

// machine is a launch of one machine with one H100.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(10), Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}}}
}

// under returns the machines that live under a key of ours.
func (w *tenant) under(key string) (ids []string) {
	for _, i := range w.face.Instances() {
		if i.State != "terminated" && strings.HasPrefix(i.Token, "rc1-tester-"+key+"-") {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// runs reports whether there is nothing to wait for any longer.
func runs(i runctl.Instance) bool { return i.State == runctl.StateRunning }

// asRoot skips a test whose machines are entered, where the tests' user cannot be: EC2's machines are entered as root.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: machines of EC2 are entered as root")
	}
}

// nextPort counts the ports that tests of this process have had: below those that the system gives to whoever asks for any.
var nextPort atomic.Int64

// freePort is one that nobody listens on now, and that no other test of this process gets.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 12000 + (os.Getpid()*61+int(nextPort.Add(1)))%18000
		l, err := net.Listen("tcp", fmt.Sprint(":", port)) // at every address: machines have their own
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// newKey is some key to enter machines with.
func newKey(t *testing.T) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return key
}

// words are EC2's for the states of an instance.
var words = map[runctl.State]string{runctl.StatePending: "pending", runctl.StateRunning: "running", runctl.StateStopping: "stopping", runctl.StateStopped: "stopped",
	runctl.StateTerminated: "terminated"}

// isLaunch recognises RunInstances.
func isLaunch(r *http.Request) bool {
	if r.Body == nil {
		return false
	}
	b, err := io.ReadAll(r.Body)
	return err == nil && bytes.Contains(b, []byte("Action=RunInstances&"))
}

// enters reports whether a row's business is within a machine.
func enters(row string) bool {
	part, _, _ := strings.Cut(row, "/")
	return part == "Exec" || part == "Shell" || row == "Launch/Boot"
}
