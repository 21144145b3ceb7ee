package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/aws"
)

// daemon starts a server on loopback that answers at ready, and ends it with the test.
func daemon(t *testing.T, ready string, bin string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Dir = enginetest.Dir(t)
	cmd.Env = append(os.Environ(), "TMPDIR="+cmd.Dir, "MOTO_ENABLE_AMI_VALIDATION=1", "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION=1", "MOTO_ENABLE_KEYPAIR_VALIDATION=1")
	require.NoError(t, cmd.Start())
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	for deadline := time.After(time.Minute); ; {
		if reply, err := http.Get(ready); err == nil {
			_ = reply.Body.Close()
			return
		}
		select {
		case <-gone:
			t.Fatalf("%s ended at once:\n%s", bin, log.String())
		case <-deadline:
			t.Fatalf("%s does not answer", bin)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// toxiproxy stands between a client and a server, and breaks what it is told to.
type toxiproxy struct {
	t        *testing.T
	api, url string
}

func newToxiproxy(t *testing.T, upstream string) *toxiproxy {
	t.Helper()
	bin := enginetest.Find(t, "toxiproxy", "toxiproxy-server", "toxiproxy: go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0, and call the program toxiproxy-server")
	x := &toxiproxy{t: t, api: fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}
	daemon(t, x.api+"/version", bin, "-host", "127.0.0.1", "-port", x.api[strings.LastIndex(x.api, ":")+1:])
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	x.call("POST", "/proxies", map[string]any{"name": "ec2", "listen": listen, "upstream": strings.TrimPrefix(upstream, "http://")})
	x.url = "http://" + listen
	return x
}

func (x *toxiproxy) call(method, path string, body any) {
	x.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(x.t, err)
	req, err := http.NewRequest(method, x.api+path, bytes.NewReader(b))
	require.NoError(x.t, err)
	reply, err := http.DefaultClient.Do(req)
	require.NoError(x.t, err)
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	require.Less(x.t, reply.StatusCode, 300, string(text))
}

// resetReplies resets every connection when the reply begins; the server has done what it was asked by then.
func (x *toxiproxy) resetReplies() {
	x.call("POST", "/proxies/ec2/toxics", map[string]any{"name": "reset", "type": "reset_peer", "stream": "downstream", "attributes": map[string]int{"timeout": 0}})
}

func (x *toxiproxy) heal() { x.call("DELETE", "/proxies/ec2/toxics/reset", nil) }

// cutLaunch resets replies from the first launch on, until heal says so. It is the client's own transport, so that what is before
// the launch goes well.
type cutLaunch struct {
	http.RoundTripper
	before func()
	after  func()
}

func (c *cutLaunch) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if c.before == nil || !bytes.Contains(body, []byte("Action=RunInstances&")) {
		return c.RoundTripper.RoundTrip(r)
	}
	c.before()
	c.before = nil
	reply, err := c.RoundTripper.RoundTrip(r)
	c.after()
	return reply, err
}

// fresh is a transport that keeps no connection: a toxic is for those that come after it.
func fresh() *http.Transport { return &http.Transport{DisableKeepAlives: true} }

// TestResetRepliesAreOneLaunchAndOneMachine has toxiproxy between the client and a cloud, which resets the connection of the launch when its
// reply begins. The face honours the token; moto does not, and makes a machine of every request.
func TestResetRepliesAreOneLaunchAndOneMachine(t *testing.T) {
	t.Parallel()
	t.Run("over the face, by the token", func(t *testing.T) {
		t.Parallel()
		f := face.New(account(face.Options{}))
		x := newToxiproxy(t, serve(t, f))
		p, err := aws.New(aws.Config{Config: sdkOver(x.url, &cutLaunch{fresh(), x.resetReplies, x.heal}), Rate: 1000})
		require.NoError(t, err)
		i := launchThrough(t, p, machine("k1"))
		assert.Equal(t, []string{i.ID}, f.Billing())
		assert.GreaterOrEqual(t, f.Served("RunInstances"), 2, "the first reply was lost, and the same request was made again")
	})
	t.Run("over moto, by the key", func(t *testing.T) {
		t.Parallel()
		url := startMoto(t)
		x := newToxiproxy(t, url)
		p, err := aws.New(aws.Config{Config: motoConfig(x.url, &cutLaunch{fresh(), x.resetReplies, x.heal}), TokensIgnored: true, Rate: 1000, Image: motoImage(t, url)})
		require.NoError(t, err)
		i := launchThrough(t, p, motoMachine("k1"))
		all, err := p.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.Equal(t, i.ID, all[0].ID)
	})
}

func launchThrough(t *testing.T, p *aws.Provider, s runctl.LaunchSpec) runctl.Instance {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	i, err := c.Launch(ctx, s)
	require.NoError(t, err)
	return i
}
