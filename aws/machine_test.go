//go:build linux

package aws_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// yard is an account whose machines are processes of this computer, each with an sshd, with a client that enters them.
type yard struct {
	t    *testing.T
	face *face.Face
	url  string
	port int
	p    *aws.Provider
	c    *runctl.Client
}

func newYard(t *testing.T, opt face.Options) *yard {
	t.Helper()
	asRoot(t)
	enginetest.SSHD(t) // where there is none at all, this says so
	s := &yard{t: t, port: freePort(t)}
	opt.Real = &face.Real{Dir: enginetest.Dir(t), SSHD: sshdPath(), Port: s.port}
	s.face = face.New(account(opt))
	srv := httptest.NewServer(s.face)
	t.Cleanup(srv.Close)
	audit(t, s.face)
	s.url = srv.URL
	var err error
	s.p, err = aws.New(aws.Config{Config: sdkOver(s.url, http.DefaultTransport.(*http.Transport).Clone()), Rate: 1000, Road: aws.RoadSSH, SSHFrom: []string{"127.0.0.1/32"}, SSHPort: int32(s.port)})
	require.NoError(t, err)
	s.c = s.client()
	return s
}

// near is the provider with a poll that does not keep tests waiting.
type near struct{ *aws.Provider }

func (n near) Info() runctl.Info {
	i := n.Provider.Info()
	i.Poll = 100 * time.Millisecond
	return i
}

// client is a process of the owner's.
func (s *yard) client() *runctl.Client {
	s.t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret}, near{s.p})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// start launches a machine and hands it what sh does.
func (s *yard) start(script string, change ...func(*runctl.RunSpec)) *runctl.Run {
	s.t.Helper()
	spec := runctl.RunSpec{Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}}, MaxHourly: runctl.USD(10), Lifetime: time.Hour,
		Job: runctl.Job{Args: []string{"sh", "-c", script}, Grace: 10 * time.Second}}
	for _, f := range change {
		f(&spec)
	}
	r, err := s.c.Start(s.t.Context(), spec)
	require.NoError(s.t, err)
	return r
}

// log is what the run has printed up to now.
func (s *yard) log(r *runctl.Run) string {
	s.t.Helper()
	var b bytes.Buffer
	for chunk, err := range r.Logs(s.t.Context(), runctl.LogQuery{}) {
		require.NoError(s.t, err)
		b.Write(chunk.Data)
	}
	return b.String()
}

func (s *yard) prints(r *runctl.Run, text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.log(r), text) }, time.Minute, 50*time.Millisecond, text)
}

func TestEarlierTool03And04TheTrainerIsToldAndHasTheWholeGrace(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	// The trainer is a child of the shell that was started, and takes three seconds to save.
	r := s.start(`sh -c 'trap "echo saving; sleep 3; echo saved >$RUNCTL_OUTPUT_DIR/model; echo saved; exit 5" TERM; echo trains; while :; do sleep 0.1; done'; exit $?`)
	s.prints(r, "trains")
	require.NoError(t, r.Cancel(t.Context(), 10*time.Second))
	_, err := r.Wait(t.Context())
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, runctl.CauseCancel, exit.Result.Cause)
	assert.Contains(t, s.log(r), "saving\nsaved\n", "TERM reached the trainer, and nobody killed it before it was done")
}

func TestEarlierTool05And16NobodyElsesProcessAndNoSuccessWithoutAReceipt(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	stranger := exec.Command("sh", "-c", "exec -a 'python train.py' sleep 1000")
	if err := exec.Command("bash", "-c", "true").Run(); err == nil {
		stranger = exec.Command("bash", "-c", "exec -a 'python train.py' sleep 1000")
	}
	require.NoError(t, stranger.Start())
	gone := make(chan struct{})
	go func() {
		_ = stranger.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		<-gone
	})
	r := s.start(`echo trains; exec sleep 2000`)
	s.prints(r, "trains")
	require.Equal(t, 1, s.face.Kill(r.Instance().ID, "sleep 2000"), "the kernel kills it when memory is out")
	_, err := r.Wait(t.Context())
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit, "that there is no exit file is no success")
	assert.Equal(t, "KILL", strings.TrimPrefix(exit.Result.Signal, "SIG"))
	require.NoError(t, s.c.Terminate(t.Context(), r.Instance().Ref()))
	select {
	case <-gone:
		t.Error("a process that only looks like a trainer was killed")
	default:
	}
}

func TestEarlierTool07And14ARunOutlivesItsClientAndItsLogIsWhole(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	r := s.start(`i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "line $i: $(printf '%s' "a b  'c' \"d\"")"; done; sleep 1; echo end; exit 0`)
	ref := r.Ref()
	require.NoError(t, s.c.Close())
	again, err := s.client().Attach(t.Context(), ref)
	require.NoError(t, err)
	_, err = again.Wait(t.Context())
	require.NoError(t, err)
	var want strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&want, "line %d: a b  'c' \"d\"\n", n+1)
	}
	want.WriteString("end\n")
	require.Greater(t, want.Len(), 24_000, "more than Run Command shows")
	assert.Equal(t, want.String(), s.log(again))
}

func TestEarlierTool17AnotherHostKeyIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	r := s.start("echo hello; exec sleep 1000")
	s.prints(r, "hello")
	ref := r.Ref()
	other := s.start("exec sleep 1000")
	poser := ref
	poser.ID, poser.Key = other.Ref().ID, other.Ref().Key
	m, err := s.p.Connect(t.Context(), other.Instance(), runctl.Access{Signer: newKey(t), HostKey: "SHA256:" + strings.Repeat("A", 43)})
	if err == nil {
		_ = m.Close()
	}
	require.ErrorIs(t, err, runctl.ErrHostKey)
}

// TestAMachineEndsItselfWhenItsLifetimeIsOver has the whole chain that ends a bill without us: the boothook arms the guard, the guard
// turns the machine off, and EC2 terminates what shuts down.
func TestAMachineEndsItselfWhenItsLifetimeIsOver(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	r := s.start("echo on; exec sleep 1000", func(spec *runctl.RunSpec) { spec.Lifetime, spec.Job.Grace = 12*time.Second, time.Second })
	s.prints(r, "on")
	require.NoError(t, s.c.Close())
	assert.Eventually(t, func() bool { return len(s.face.Billing()) == 0 }, 90*time.Second, 100*time.Millisecond, "nobody of ours is there any longer")
	assert.Equal(t, "terminate", s.face.Instance(r.Instance().ID).Shutdown)
}
