package aws_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/enginetest"
	"runctl/internal/ssmsession"
	face "runctl/internal/wire/aws"
)

// site is a face whose machines are processes that are entered through Systems Manager alone.
type site struct {
	face *face.Face
	p    *aws.Provider
	c    *runctl.Client
}

// closedSite has no port that is open: who would enter its machines by their address finds nobody.
func closedSite(t *testing.T, opt face.Options, agent *ssmsession.Agent, change ...func(*aws.Config)) *site {
	t.Helper()
	asRoot(t)
	enginetest.SSHD(t) // where there is none at all, this says so
	if opt.Real == nil {
		opt.Real = &face.Real{}
	}
	opt.Real.Dir, opt.Real.SSHD, opt.Real.Port = t.TempDir(), sshdPath(), freePort(t)
	f := face.New(account(opt))
	f.OnSession(agent.Serve)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	audit(t, f)
	cfg := aws.Config{Config: sdkOver(srv.URL, srv.Client().Transport), InstanceProfile: face.Profile, Rate: 1000}
	for _, x := range change {
		x(&cfg)
	}
	p, err := aws.New(cfg)
	require.NoError(t, err)
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &site{f, p, c}
}

// short is a job that shows that all of it came about.
func short(key string) runctl.RunSpec {
	return runctl.RunSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(10), Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}},
		Job: runctl.Job{Args: []string{"sh", "-c", `echo "said $WORD"; head -c 200000 /dev/zero | tr '\0' x; echo made >"$RUNCTL_OUTPUT_DIR/result"; exit 7`},
			Env: map[string]string{"WORD": "canary-word"}}}
}

func TestAJobRunsThroughSystemsManagerWithoutAnOpenPort(t *testing.T) {
	t.Parallel()
	for name, agent := range map[string]*ssmsession.Agent{"over a good channel": {}, "over one that loses, repeats and mixes": {Seed: 3, Lose: 0.02, Twice: 0.05, Late: 0.05}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := closedSite(t, face.Options{AgentAfter: 300 * time.Millisecond, InvocationLag: 200 * time.Millisecond}, agent)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			run, err := s.c.Start(ctx, short("through-ssm"))
			require.NoError(t, err)
			var log bytes.Buffer
			for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
				require.NoError(t, err)
				log.Write(chunk.Data)
			}
			receipt, err := run.Wait(ctx)
			assert.ErrorContains(t, err, "7")
			assert.Equal(t, 7, receipt.ExitCode)
			assert.Equal(t, "said canary-word\n", string(log.Bytes()[:17]))
			assert.Equal(t, 200017, log.Len())
			assert.Equal(t, runctl.TrustRead, run.HostTrust(), "the host key was read where nobody stands in between")
			dir := t.TempDir()
			require.NoError(t, run.Download(ctx, ".", dir))
			made, err := os.ReadFile(filepath.Join(dir, "result"))
			require.NoError(t, err)
			assert.Equal(t, "made\n", string(made))
			require.NoError(t, s.c.Terminate(ctx, run.Ref()))
			for _, call := range s.face.Calls() {
				assert.NotContains(t, fmt.Sprint(call.Params), "canary-word", "%s", call.Op)
				if call.Op == "SendCommand" {
					assert.Equal(t, "map[commands:[cat /etc/ssh/ssh_host_*_key.pub] executionTimeout:[60]]", fmt.Sprint(call.Params["Parameters"]))
				}
				assert.NotEqual(t, "AuthorizeSecurityGroupIngress", call.Op, "no port was opened")
			}
			for _, g := range s.face.Groups() {
				assert.Empty(t, g.Ingress, g.Name)
			}
		})
	}
}

func TestWhoeverMayNotRunCommandsHasTheMachineProveItself(t *testing.T) {
	t.Parallel()
	s := closedSite(t, face.Options{}, &ssmsession.Agent{})
	s.face.Inject(face.Fault{On: "SendCommand", Times: -1, Status: 400, Code: "AccessDeniedException", Text: "not authorized to perform: ssm:SendCommand"})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run, err := s.c.Start(ctx, short("challenged"))
	require.NoError(t, err)
	assert.Equal(t, runctl.TrustChallenged, run.HostTrust())
	require.NoError(t, s.c.Terminate(ctx, run.Ref()))
}

func TestASpotMachineThatIsTakenBackCommitsItsCheckpointAndAnotherGoesOnFromIt(t *testing.T) {
	t.Parallel()
	var mock atomic.Pointer[url.URL] // nothing answers before the job runs
	metadata := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if to := mock.Load(); to != nil {
			r.SetURL(to)
		}
	}, ErrorLog: log.New(io.Discard, "", 0)})
	t.Cleanup(metadata.Close)
	s := closedSite(t, face.Options{Real: &face.Real{Env: []string{"RUNCTL_IMDS=" + metadata.URL}}}, &ssmsession.Agent{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	train := short("taken")
	train.Needs.Market = runctl.Spot
	train.Job = runctl.Job{DiscardOutputs: true, Args: []string{"sh", "-c", `trap 'echo 41 >"$RUNCTL_CHECKPOINT_DIR/step-41"; echo step-41 >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 0' TERM
echo "at $RUNCTL_CHECKPOINT_DIR"; while :; do sleep 0.05; done`}}
	run, err := s.c.Start(ctx, train)
	require.NoError(t, err)
	var at string
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
		require.NoError(t, err)
		if at += string(chunk.Data); strings.HasSuffix(at, "\n") && mock.Load() == nil {
			to, err := url.Parse(enginetest.SpotNotice(t, time.Second))
			require.NoError(t, err)
			mock.Store(to)
		}
	}
	receipt, err := run.Wait(ctx)
	require.Error(t, err, "a program that was ended is no success, whatever its code")
	assert.Equal(t, []any{runctl.CausePreempted, 0, "step-41"}, []any{receipt.Cause, receipt.ExitCode, receipt.Checkpoint})
	s.face.Terminate(run.Instance().ID)

	again := short("again")
	again.Job = runctl.Job{DiscardOutputs: true, Attempt: 2, Resume: strings.TrimPrefix(strings.SplitN(at, "\n", 2)[0], "at "), // as a network volume would have it
		Args: []string{"sh", "-c", `cat "$RUNCTL_RESUME/$(cat "$RUNCTL_RESUME/latest")"`}}
	next, err := s.c.Start(ctx, again)
	require.NoError(t, err)
	assert.NotEqual(t, run.Instance().ID, next.Instance().ID)
	_, err = next.Wait(ctx)
	require.NoError(t, err)
	var read bytes.Buffer
	for chunk, err := range next.Logs(ctx, runctl.LogQuery{}) {
		require.NoError(t, err)
		read.Write(chunk.Data)
	}
	assert.Equal(t, "41\n", read.String())
	require.NoError(t, s.c.Terminate(ctx, next.Ref()))
}
