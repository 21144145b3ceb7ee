package canary

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/local"
)

// Jobs on this computer, and on a machine over a real SSH server.
func TestNothingComesOutOfMachines(t *testing.T) {
	h := newHunt(t)
	p := plantJob(t, h)
	here, there, yonder := newGates(t), newGates(t), newGates(t)
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(bash, filepath.Join(there.dir, "sh"))) // which traces, when the environment tells it to
	plain := h.control("a variable of the machine")
	t.Setenv("CANARY_PLAIN", plain)
	t.Setenv("PATH", here.Path)
	around := around{h: h, mine: []string{"a secret from the environment"}} // of this process, and so of its children
	stop := around.watch("meanwhile")
	t.Run("", func(t *testing.T) {
		t.Run("local", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			provider, err := local.New(local.Config{Dir: dir})
			require.NoError(t, err)
			s := newSite(t, p, around, here, provider, dir)
			s.root = func(i runctl.Instance) string { return filepath.Join(dir, i.ID, "root") }
			s.everything(t)
		})
		t.Run("ssh", func(t *testing.T) {
			t.Parallel()
			b := newBox(t, h, p.config, enginetest.Env("PATH="+there.Path), enginetest.Env("SHELLOPTS=xtrace"), enginetest.Env("CANARY_PLAIN="+plain))
			root := filepath.Join(b.server.Home, ".runctl")
			s := newSite(t, p, around, there, b, root)
			s.root, s.server, s.box = func(runctl.Instance) string { return root }, b.server, b
			s.everything(t)
			t.Run("a cut while the job is sent", func(t *testing.T) { s.in(t).cutWhileSending() })
			t.Run("cuts while it is followed", func(t *testing.T) { s.in(t).cutWhileFollowing() })
			t.Run("a host that is gone", func(t *testing.T) { s.in(t).gone() })
			t.Run("a host that lets nobody in", func(t *testing.T) { s.in(t).shutOut() })
			t.Run("another host", func(t *testing.T) { s.in(t).another() })
		})
		t.Run("hosts", func(t *testing.T) {
			t.Parallel()
			s := newHosts(t, p, around, yonder, "PATH="+yonder.Path, "CANARY_PLAIN="+plain)
			t.Run("well", func(t *testing.T) { s.in(t).well() })
			t.Run("failing", func(t *testing.T) { s.in(t).failing() })
			t.Run("refused", func(t *testing.T) { s.in(t).refused() })
		})
	})
	stop()
	h.mustHaveSeen(atLog, atError, atEvent, atRef, atValue, atArgs, atEnviron, atReadable, atPrivate, atName, atServer)
}

// in is the site for another test.
func (s *site) in(t *testing.T) *site {
	own := &site{planted: s.planted, around: s.around, h: s.h, t: t, gates: s.gates, rec: s.rec, client: s.client, root: s.root, server: s.server, box: s.box, names: s.names}
	own.name = t.Name()
	t.Cleanup(func() {
		s.gates.open()
		s.tell()
	})
	return own
}

// everything is what both kinds of machines are tried with.
func (s *site) everything(t *testing.T) {
	t.Run("well", func(t *testing.T) { s.in(t).well() })
	t.Run("failing", func(t *testing.T) { s.in(t).failing() })
	t.Run("refused", func(t *testing.T) { s.in(t).refused() })
	t.Run("cancelled", func(t *testing.T) { s.in(t).cancelled() })
	t.Run("a killed supervisor", func(t *testing.T) { s.in(t).killed() })
	t.Run("with code and what is carried", func(t *testing.T) { s.in(t).code() })
	t.Run("killed while the job arrives", func(t *testing.T) { s.in(t).killedAt("wc", "start") })
	t.Run("killed before the job begins", func(t *testing.T) { s.in(t).killedAt("mkfifo", "sup") })
	t.Run("a job that is killed at the gate", func(t *testing.T) { s.in(t).killedForGood("stage") })
	t.Run("a job and its supervisor that are killed at the gate", func(t *testing.T) { s.in(t).killedForGood("stage", "sup") })
	t.Run("all that is killed at the gate", func(t *testing.T) { s.in(t).killedForGood("stage", "sup", "everything") })
}

// begin starts a job that says when it runs and waits for a word, with every gate looked at, and looks at what is left
// when it has begun.
func (s *site) begin(key string) (*runctl.Run, *pipe) {
	s.t.Helper()
	up, gate := newPipe(s.t), newPipe(s.t)
	s.gates.shut(func(program string, _ int) {
		s.processes("before " + program)
		s.files("before "+program, false)
	})
	r := s.start(s.t.Context(), s.spec(key, `echo `+key+` >"$RUNCTL_OUTPUT_DIR/out"; echo up >`+up.path+`; read x <`+gate.path))
	up.hear()
	assert.NotZero(s.t, s.gates.open(), "gates were passed")
	s.begun(key)
	return r, gate
}

// begun looks around while the job of a run runs and nothing else is under way.
func (s *site) begun(run string) {
	s.t.Helper()
	s.processes("while it runs")
	s.files("while it runs", true)
	for name, has := range s.jobHas(run, s.names...) {
		assert.True(s.t, has, "the job has %s", name)
	}
}

func (s *site) well() {
	key := s.h.control("a launch key")
	r, gate := s.begin(key)
	again, err := s.client.Attach(s.t.Context(), r.Ref())
	s.h.failure("Attach", err)
	gate.say()
	s.finish(s.t.Context(), again, 0)
}

// failing are jobs that end badly, each in its way.
func (s *site) failing() {
	for what, spec := range map[string]runctl.RunSpec{"exit": s.spec("failing", "echo x; exit 3"), "signal": s.spec("dying", "kill -s KILL $$")} {
		s.finish(s.t.Context(), s.start(s.t.Context(), spec), map[string]int{"exit": 3, "signal": 137}[what])
	}
	missing, plain := s.spec("missing", ""), s.spec("plain", "")
	missing.Job.Args, plain.Job.Args = []string{"no-such-command"}, []string{"/etc/passwd"}
	s.finish(s.t.Context(), s.start(s.t.Context(), missing), 127)
	s.finish(s.t.Context(), s.start(s.t.Context(), plain), 126)
}

// refused are jobs that the machine does not take while one runs.
func (s *site) refused() {
	r, gate := s.begin("holder")
	i := r.Instance()
	try := func(change func(j *runctl.Job)) {
		j := s.spec("another", "true").Job
		j.ID = "another"
		change(&j)
		_, err := s.client.Submit(s.t.Context(), i.Ref(), j)
		s.h.failure("Submit", err)
		require.Error(s.t, err)
		s.processes("after a refusal")
		s.files("after a refusal", true)
	}
	try(func(*runctl.Job) {})
	try(func(j *runctl.Job) { j.ID = "holder" })
	if s.server == nil {
		try(func(j *runctl.Job) { j.Shared, j.Dir = true, filepath.Join(s.t.TempDir(), "missing") })
	}
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

func (s *site) cancelled() {
	r, _ := s.begin("cancelled")
	s.h.failure("Cancel", r.Cancel(s.t.Context(), time.Second))
	s.finish(s.t.Context(), r, 143)
}

func (s *site) killed() {
	r, gate := s.begin("killed")
	require.NoError(s.t, syscall.Kill(s.supervisor(r), syscall.SIGKILL))
	status, err := r.Status(s.t.Context())
	s.h.value(atValue, "Status", status)
	s.h.failure("Status", err)
	s.files("after the kill", true)
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

// killedAt kills the shell that stands at the gate of a program, once: what is started then is started again.
func (s *site) killedAt(program, verb string) {
	up, gate := newPipe(s.t), newPipe(s.t)
	key := "killed-at-" + program
	killed := false
	s.gates.shut(func(p string, parent int) {
		s.processes("before " + p)
		s.files("before "+p, false)
		if !killed && p == program && does(parent, verb, key) {
			killed = true
			assert.NoError(s.t, syscall.Kill(parent, syscall.SIGKILL))
		}
	})
	spec := s.spec(key, `echo up >`+up.path+`; read x <`+gate.path)
	if s.server == nil {
		spec.Job.Dir = s.t.TempDir()
	}
	short, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
	defer cancel()
	_, err := s.client.Start(short, spec)
	s.h.failure("Start", err)
	r := s.start(s.t.Context(), spec)
	up.hear()
	s.gates.open()
	assert.True(s.t, killed)
	s.begun(key)
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

// killedForGood kills the job before its first instruction, and maybe its supervisor, too.
func (s *site) killedForGood(verbs ...string) {
	key := "killed-with-" + verbs[len(verbs)-1]
	killed := 0
	s.gates.shut(func(p string, parent int) {
		s.processes("before " + p)
		s.files("before "+p, false)
		if p != "rm" || !does(parent, "stage", key) {
			return
		}
		for _, verb := range verbs {
			for _, pid := range doing(verb, key) {
				killed++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if slices.Contains(verbs, "everything") {
			for _, root := range s.roots {
				end(s.t, root)
			}
		}
	})
	r := s.start(s.t.Context(), s.spec(key, "true"))
	receipt, err := r.Wait(s.t.Context())
	s.gates.open()
	s.h.value(atValue, "Receipt", receipt)
	s.h.failure("Wait", err)
	assert.Error(s.t, err)
	assert.NotZero(s.t, killed)
	s.h.failure("Terminate", s.client.Terminate(s.t.Context(), r.Ref()))
	s.files("after the end", true)
	s.tell()
}

// doing are the processes of the supervisor that do a verb for a run.
func doing(verb, run string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f))); does(pid, verb, run) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// does reports whether a process does a verb of the supervisor for a run.
func does(pid int, verb, run string) bool {
	args, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return bytes.Contains(args, []byte("\x00"+verb+"\x00"+run+"\x00"))
}

// cutWhileSending cuts the network while the machine takes the job in.
func (s *site) cutWhileSending() {
	up, gate := newPipe(s.t), newPipe(s.t)
	cuts := 0
	s.gates.shut(func(p string, _ int) {
		s.processes("before " + p)
		s.files("before "+p, false)
		if p == "cat" && cuts < 2 {
			cuts++
			s.box.proxy.Cut()
		}
	})
	r := s.start(s.t.Context(), s.spec("cut", `echo up >`+up.path+`; read x <`+gate.path))
	up.hear()
	assert.Equal(s.t, 2, cuts)
	s.gates.open()
	s.begun("cut")
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

func (s *site) cutWhileFollowing() {
	r, gate := s.begin("followed")
	waited := make(chan error, 1)
	go func() {
		_, err := r.Wait(s.t.Context())
		waited <- err
	}()
	chunks := 0
	for range 2 {
		s.box.proxy.Cut()
		for c, err := range r.Logs(s.t.Context(), runctl.LogQuery{}) {
			s.h.failure("Logs", err)
			chunks += len(c.Data)
		}
		s.h.failure("Download", r.Download(s.t.Context(), "out", s.t.TempDir()))
	}
	gate.say()
	s.h.failure("Wait", <-waited)
	s.finish(s.t.Context(), r, 0)
}

func (s *site) gone() {
	r, gate := s.begin("gone")
	s.box.proxy.Blackhole()
	s.each(r, 2*time.Second)
	s.box.proxy.Resume()
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

// shutOut lets nobody in any more.
func (s *site) shutOut() {
	r, gate := s.begin("shut-out")
	s.box.server.AuthorizedKeys()
	s.box.proxy.Cut()
	s.each(r, 2*time.Second)
	s.box.mu.Lock()
	s.box.server.AuthorizedKeys(s.box.keys...)
	s.box.mu.Unlock()
	gate.say()
	s.finish(s.t.Context(), r, 0)
}

// another answers at the machine's address, with a key of its own.
func (s *site) another() {
	r, _ := s.begin("another-host")
	_, k, err := ed25519.GenerateKey(nil)
	require.NoError(s.t, err)
	s.h.key("another host's key", k)
	s.box.server.SetHostKey(k)
	s.box.server.Restart()
	s.box.proxy.Cut()
	s.each(r, 2*time.Second)
	s.tell()
}

// each calls every method that needs the machine, for so long.
func (s *site) each(r *runctl.Run, d time.Duration) {
	calls := map[string]func(ctx context.Context) error{
		"Status": func(ctx context.Context) error { _, err := r.Status(ctx); return err },
		"Wait":   func(ctx context.Context) error { _, err := r.Wait(ctx); return err },
		"Cancel": func(ctx context.Context) error { return r.Cancel(ctx, time.Minute) },
		"Logs": func(ctx context.Context) (err error) {
			for _, err = range r.Logs(ctx, runctl.LogQuery{Follow: true}) {
			}
			return err
		},
		"Download": func(ctx context.Context) error { return r.Download(ctx, "out", s.t.TempDir()) },
		"Submit": func(ctx context.Context) error {
			j := s.spec("another", "true").Job
			j.ID, j.Shared = "another", true
			_, err := s.client.Submit(ctx, r.Ref(), j)
			return err
		},
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for what, call := range calls {
		all.Go(func() {
			err := call(ctx)
			s.h.failure(what, err)
			assert.Error(s.t, err, what)
		})
	}
	all.Wait()
}
