package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/enginetest"
	"runctl/internal/job"
	"runctl/internal/ssmsession"
	face "runctl/internal/wire/aws"
)

// site is a face whose machines are processes that are entered through Systems Manager alone.
type site struct {
	face *face.Face
	cfg  aws.Config
	p    *aws.Provider
	c    *runctl.Client
}

// provider is another process's, which remembers nothing.
func (s *site) provider(t *testing.T, change ...func(*aws.Config)) *aws.Provider {
	t.Helper()
	cfg := s.cfg
	for _, x := range change {
		x(&cfg)
	}
	p, err := aws.New(cfg)
	require.NoError(t, err)
	return p
}

// closedSite has no port that is open: who would enter its machines by their address finds nobody.
func closedSite(t *testing.T, opt face.Options, agent *ssmsession.Agent, change ...func(*aws.Config)) *site {
	t.Helper()
	asRoot(t)
	enginetest.SSHD(t) // where there is none at all, this says so
	if opt.Real == nil {
		opt.Real = &face.Real{}
	}
	opt.Real.Dir, opt.Real.SSHD, opt.Real.Port = enginetest.Dir(t), sshdPath(), freePort(t)
	f := face.New(account(opt))
	f.OnSession(agent.Serve)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	audit(t, f)
	s := &site{face: f, cfg: aws.Config{Config: sdkOver(srv.URL, srv.Client().Transport), InstanceProfile: face.Profile, Rate: 1000}}
	s.p = s.provider(t, change...)
	var err error
	s.c, err = runctl.New(runctl.Config{Owner: "tester", Secret: secret}, s.p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.c.Close() })
	return s
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

// metadata is where machines ask for EC2's word. Nobody may ask there, until it leads to a service.
type metadata struct {
	url string
	to  atomic.Pointer[url.URL]
}

func newMetadata(t *testing.T) *metadata {
	t.Helper()
	m := &metadata{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(m.to.Load()) }, ErrorLog: log.New(io.Discard, "", 0)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.to.Load() == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

// leads has the service give its notice from now on, to whoever asks with a token.
func (m *metadata) leads(t *testing.T) {
	t.Helper()
	to, err := url.Parse(enginetest.SpotNotice(t, time.Second))
	require.NoError(t, err)
	m.to.Store(to)
}

// TestEarlierTool06: without a token the service says 401, and that was read as "no notice".
func TestEarlierTool06TheSpotNoticeIsHeardWhereTokensAreRequiredAndA401IsNotItsAbsence(t *testing.T) {
	t.Parallel()
	imds := newMetadata(t)
	s := closedSite(t, face.Options{Real: &face.Real{Env: []string{"RUNCTL_IMDS=" + imds.url}}}, &ssmsession.Agent{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	train := short("taken")
	train.Needs.Market = runctl.Spot
	train.Job = runctl.Job{DiscardOutputs: true, Args: []string{"sh", "-c", `trap 'echo 41 >"$RUNCTL_CHECKPOINT_DIR/step-41"; echo step-41 >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 0' TERM
while :; do sleep 0.05; done`}}
	run, err := s.c.Start(ctx, train)
	require.NoError(t, err)
	m, err := s.c.Machine(ctx, run.Instance().Ref())
	require.NoError(t, err)
	told := func(word string) {
		t.Helper()
		require.Eventually(t, func() bool {
			h, err := job.Greet(ctx, m)
			return err == nil && h.Notice == word
		}, time.Minute, 100*time.Millisecond, word)
	}
	told("deaf")
	status, err := run.Status(ctx)
	require.NoError(t, err)
	assert.Equal(t, runctl.Alive, status.Live, "a 401 is no notice either")
	imds.leads(t)
	receipt, err := run.Wait(ctx)
	require.Error(t, err, "a program that was ended is no success, whatever its code")
	assert.Equal(t, []any{runctl.CausePreempted, 0, "step-41"}, []any{receipt.Cause, receipt.ExitCode, receipt.Checkpoint})
	told("taken")
	require.NoError(t, s.c.Terminate(ctx, run.Ref()))
}

// kept is all that the account's history shows of commands: what was sent, and what they printed.
func (s *site) kept(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, call := range s.face.Calls() {
		if call.Op == "SendCommand" {
			fmt.Fprintln(&all, call.Params)
		}
	}
	list, err := s.p.SSM().ListCommandInvocations(t.Context(), &ssm.ListCommandInvocationsInput{Details: true})
	require.NoError(t, err)
	for _, i := range list.CommandInvocations {
		for _, plugin := range i.CommandPlugins {
			fmt.Fprintln(&all, *plugin.Output)
		}
	}
	return all.String()
}

func TestAJobRunsByRunCommandAloneAndTheHistoryShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*aws.Config){"because it was chosen": func(c *aws.Config) { c.Road = aws.RoadCommand }, "because sessions are forbidden": func(*aws.Config) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := closedSite(t, face.Options{InvocationLag: 100 * time.Millisecond}, &ssmsession.Agent{}, change)
			s.face.Inject(face.Fault{On: "StartSession", Times: -1, Status: 400, Code: "AccessDeniedException", Text: "not authorized to perform: ssm:StartSession"})
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			job := short("by-command")
			job.Job.Args = []string{"sh", "-c", `echo "said $WORD"; head -c 30000 /dev/zero | tr '\0' x; echo canary-error >&2; exit 7`}
			run, err := s.c.Start(ctx, job)
			require.NoError(t, err)
			receipt, err := run.Wait(ctx)
			assert.ErrorContains(t, err, "7")
			assert.Equal(t, 7, receipt.ExitCode)
			var log bytes.Buffer
			for chunk, err := range run.Logs(ctx, runctl.LogQuery{}) {
				require.NoError(t, err)
				log.Write(chunk.Data)
			}
			assert.Equal(t, "said canary-word\n"+strings.Repeat("x", 30000)+"canary-error\n", log.String())
			history := s.kept(t)
			assert.Contains(t, history, "openssl")
			for _, word := range []string{"canary", "said", "http", "RUNCTL1"} {
				assert.NotContains(t, history, word)
			}
			require.NoError(t, s.c.Terminate(ctx, run.Ref()))
		})
	}
}

func TestACommandHasItsBytesItsCodeAndItsEnd(t *testing.T) {
	t.Parallel()
	s := closedSite(t, face.Options{}, &ssmsession.Agent{}, func(c *aws.Config) { c.Road = aws.RoadCommand })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	i, err := s.c.Launch(ctx, machine("bytes"))
	require.NoError(t, err)
	m, err := s.c.Machine(ctx, i.Ref())
	require.NoError(t, err)
	in := make([]byte, 40_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(in)
	var out, errs bytes.Buffer
	code, err := m.Exec(ctx, []string{"sh", "-c", `cat; printf %s "$1" >&2; exit 9`, "sh", "it's\na 'word'"}, bytes.NewReader(in), &out, &errs)
	require.NoError(t, err)
	assert.Equal(t, 9, code)
	assert.True(t, bytes.Equal(in, out.Bytes()), "%d of %d bytes", out.Len(), len(in))
	assert.Equal(t, "it's\na 'word'", errs.String())

	short, cancel2 := context.WithTimeout(ctx, 3*time.Second)
	defer cancel2()
	began := time.Now()
	blocked, w := io.Pipe()
	defer w.Close()
	out.Reset()
	_, err = m.Exec(short, []string{"sh", "-c", "echo $$; exec sleep 1000"}, blocked, &out, io.Discard)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 15*time.Second)
	assert.Zero(t, s.face.Kill(i.ID, "sleep 1000"), "it was killed on the machine")

	code, err = m.Exec(ctx, []string{"sh", "-c", "exit 3"}, blocked, io.Discard, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 3, code)
	require.NoError(t, ctx.Err(), "input that nobody reads, and that does not end, holds up nothing")

	_, err = m.Exec(ctx, []string{"cat"}, iotest.ErrReader(errors.New("the disk is gone")), io.Discard, io.Discard)
	assert.ErrorContains(t, err, "the disk is gone")
	require.NoError(t, s.c.Terminate(ctx, i.Ref()))
}
