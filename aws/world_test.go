package aws_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/clouds"
	"runctl/examples/runctl/cli"
	"runctl/internal/memnet"
	face "runctl/internal/wire/aws"
)

// The account's credentials in tests; the second and the third must be seen nowhere.
const (
	keyID     = "AKIAFACEFACEFACEFACE"
	secretKey = "canary/7f3e91+canary/7f3e91+canary/7f3e91"
	session   = "canary-session-token-5c1e0a"
	region    = "us-west-2"
)

var secret = []byte("the owner's secret")

// checkedRequests and checkedReplies count what all tests together have held against AWS's own models.
var checkedRequests, checkedReplies atomic.Int64

// cliEnv makes this test program the runctl command.
const cliEnv = "RUNCTL_TEST_CLI"

func TestMain(m *testing.M) {
	if os.Getenv(cliEnv) != "" {
		cli.Main(clouds.Registry())
	}
	for _, pair := range os.Environ() { // whoever runs these tests may have an account
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	log.SetOutput(io.Discard) // mocks of others are talkative
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // not asked for
		_ = flag.Set("test.parallel", "8") // most of these tests wait, for machines and for servers that are slow
	}
	code := m.Run()
	fmt.Printf("aws: %d requests and %d replies were held against AWS's API models\n", checkedRequests.Load(), checkedReplies.Load())
	os.Exit(code)
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
func audit(t *testing.T, f *face.Face) {
	t.Cleanup(func() {
		f.Close()
		assert.Empty(t, f.Violations(), "requests and replies that AWS's models do not have")
		requests, replies := f.Checked()
		checkedRequests.Add(int64(requests))
		checkedReplies.Add(int64(replies))
	})
}

// serve serves a face on loopback until the test ends.
func serve(t *testing.T, f *face.Face) string {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	audit(t, f)
	return srv.URL
}

// tenant is an account at EC2, in memory, with a client.
type tenant struct {
	t    *testing.T
	face *face.Face
	net  http.RoundTripper
	p    *aws.Provider
	c    *runctl.Client
}

// newTenant is made inside a synctest bubble.
func newTenant(t *testing.T, opt face.Options, change ...func(*aws.Config)) *tenant {
	t.Helper()
	w := &tenant{t: t, face: face.New(account(opt))}
	w.net = memnet.Whole(new(memnet.Net).Serve(t, "aws.test", w.face))
	audit(t, w.face)
	w.p = w.provider(change...)
	w.c = w.client()
	return w
}

// provider is a process's own: it remembers nothing of another's.
func (w *tenant) provider(change ...func(*aws.Config)) *aws.Provider {
	w.t.Helper()
	cfg := aws.Config{Config: sdkOver("http://aws.test", w.net), Rate: 1000}
	for _, f := range change {
		f(&cfg)
	}
	p, err := aws.New(cfg)
	require.NoError(w.t, err)
	return p
}

// client is another process of the same owner's.
func (w *tenant) client() *runctl.Client {
	w.t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, w.p)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// machine is a launch of one machine with one H100.
func machine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(10), Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}}}
}

// launch starts a machine and expects no trouble.
func (w *tenant) launch(key string) runctl.Instance {
	w.t.Helper()
	i, err := w.c.Launch(w.t.Context(), machine(key))
	require.NoError(w.t, err)
	return i
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

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// reapAll waits until every lifetime is over, and reaps.
func (w *tenant) reapAll() {
	w.t.Helper()
	pass(time.Hour + 10*time.Minute + time.Second)
	_, err := w.c.Reap(w.t.Context(), runctl.ReapRequest{Most: 100})
	require.NoError(w.t, err)
}

// cancelAfter is a context that its caller gives up.
func cancelAfter(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// sshdPath is where an sshd is: outside of PATH on most systems.
func sshdPath() string {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path
	}
	return "/usr/sbin/sshd"
}

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
