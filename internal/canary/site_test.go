package canary

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
)

// site is a client over a machine with real processes.
type site struct {
	planted
	around
	h      *hunt
	t      *testing.T
	gates  *gates
	rec    *recorder
	client *runctl.Client
	root   func(i runctl.Instance) string // everything of a machine
	server *enginetest.Server             // nil: the machine is this computer
	box    *box                           // nil: there is none to cut
	names  []string                       // of the secrets of a job
}

// newSite makes the client and ends, afterwards, every process that lives below the roots.
func newSite(t *testing.T, p planted, a around, g *gates, provider runctl.Provider, roots ...string) *site {
	a.roots = roots
	s := &site{planted: p, around: a, h: p.h, t: t, gates: g, rec: &recorder{},
		names: []string{"a secret from memory", "a secret from a file", "a secret from the environment", "Job.Env"}}
	intents, err := runctl.OpenIntents(filepath.Join(t.TempDir(), "intents"))
	require.NoError(t, err)
	s.client, err = runctl.New(runctl.Config{Owner: "ann", Secret: []byte(p.config), OldSecrets: [][]byte{[]byte(p.old)}, Intents: intents,
		Logger: s.rec.logger(), Trace: s.rec.trace, Deadlines: runctl.Deadlines{Submit: 40 * time.Second}}, provider)
	require.NoError(t, err)
	for _, root := range roots {
		enginetest.Doom(t, root)
	}
	t.Cleanup(func() {
		assert.NoError(t, s.client.Close())
		g.open()
		s.tell()
		for _, root := range roots {
			end(t, root)
		}
	})
	return s
}

// end kills every process whose environment names a directory of this test's, until none is left.
func end(t *testing.T, root string) {
	late := time.After(10 * time.Second)
	for {
		left := 0
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, f := range files {
			env, err := os.ReadFile(f)
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err == nil && pid != os.Getpid() && bytes.Contains(env, []byte("="+root)) {
				left++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-late:
			t.Errorf("%d processes below %s cannot be killed", left, root)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tell looks at what the client and the server have logged.
func (s *site) tell() {
	s.rec.tell(s.h)
	if s.server != nil {
		s.h.look(atServer, "at DEBUG3", s.server.Log())
	}
}

// spec is a free machine and a job of sh's, which has the key among its arguments and the real PATH.
func (s *site) spec(key, script string) runctl.RunSpec {
	j := s.job("sh", "-c", script, key)
	j.Env["PATH"] = s.gates.Real
	return runctl.RunSpec{Key: key, Job: j, Lifetime: time.Hour, MaxHourly: runctl.USD(1)}
}

// start starts a job and fails the test when it cannot.
func (s *site) start(ctx context.Context, spec runctl.RunSpec) *runctl.Run {
	s.t.Helper()
	if spec.Job.Dir == "" && s.server == nil {
		spec.Job.Dir = s.t.TempDir()
	}
	s.h.hidden(atValue, "RunSpec", spec)
	r, err := s.client.Start(ctx, spec)
	s.h.failure("Start", err)
	require.NoError(s.t, err)
	s.h.hidden(atValue, "Run", r)
	s.h.value(atRef, "of a run", r.Ref())
	return r
}

// finish waits for the end of a run, and for the machine's, and looks at everything on the way.
func (s *site) finish(ctx context.Context, r *runctl.Run, code int) {
	s.t.Helper()
	h := s.h
	for c, err := range r.Logs(ctx, runctl.LogQuery{Follow: true}) {
		h.value(atValue, "LogChunk", c)
		h.failure("Logs", err)
	}
	receipt, err := r.Wait(ctx)
	h.value(atValue, "Receipt", receipt)
	h.failure("Wait", err)
	assert.Equal(s.t, code, receipt.ExitCode, "%v", err)
	status, err := r.Status(ctx)
	h.value(atValue, "Status", status)
	h.failure("Status", err)
	h.failure("Download", r.Download(ctx, "out", s.t.TempDir()))
	h.failure("Download", r.Download(ctx, "missing", s.t.TempDir()))
	h.failure("Terminate", s.client.Terminate(ctx, r.Ref()))
	h.value(atValue, "Instance", r.Instance())
	s.processes("after the end")
	s.files("after the end", true)
	s.tell()
}

// pipe is a fifo between the test and a job.
type pipe struct {
	t    *testing.T
	path string
	f    *os.File
}

func newPipe(t *testing.T) *pipe {
	p := &pipe{t: t, path: filepath.Join(t.TempDir(), "pipe")}
	require.NoError(t, syscall.Mkfifo(p.path, 0o600))
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	require.NoError(t, err)
	p.f = f
	t.Cleanup(func() { _ = f.Close() })
	return p
}

// hear waits for a word.
func (p *pipe) hear() {
	p.t.Helper()
	require.NoError(p.t, p.f.SetReadDeadline(time.Now().Add(40*time.Second)))
	_, err := p.f.Read(make([]byte, 100))
	require.NoError(p.t, err)
}

// say gives a word.
func (p *pipe) say() {
	_, err := p.f.WriteString("go\n")
	require.NoError(p.t, err)
}

// supervisor is the process that supervises a run, 0 when there is none.
func (s *site) supervisor(r *runctl.Run) int {
	links, _ := filepath.Glob(filepath.Join(s.root(r.Instance()), "own", r.Ref().Run, "[0-9]*"))
	pid := 0
	for _, l := range links {
		to, _ := os.Readlink(l)
		if parts := strings.Split(to, ":"); len(parts) == 3 {
			pid, _ = strconv.Atoi(parts[1])
		}
	}
	return pid
}
