//go:build linux

package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// enter launches an instance and connects to it.
func enter(t *testing.T) runctl.Machine {
	p := newProvider(t)
	m, err := p.Connect(t.Context(), launch(t, p, "t"), runctl.Access{})
	require.NoError(t, err)
	return m
}

// sh runs a script on m and returns what it printed.
func sh(t *testing.T, m runctl.Machine, script string) (int, string) {
	var out bytes.Buffer
	code, err := m.Exec(t.Context(), []string{"sh", "-c", script}, nil, &out, &out)
	require.NoError(t, err)
	return code, out.String()
}

func TestExecRunsHereWithTheRootOfTheInstance(t *testing.T) {
	t.Setenv("RUNCTL_ROOT", "/of/an/outer/run")
	t.Setenv("SEEN", "yes")
	p := newProvider(t)
	i := launch(t, p, "t")
	m, err := p.Connect(t.Context(), i, runctl.Access{})
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	code, out := sh(t, m, `pwd; echo $SEEN; echo $RUNCTL_ROOT; [ -d "$RUNCTL_ROOT" ] && cat`)
	assert.Zero(t, code)
	assert.Equal(t, here+"\nyes\n"+filepath.Join(p.dir, i.ID, "root")+"\n", out)
	require.NoError(t, m.Close())
}

func TestExecGivesTheExitCode(t *testing.T) {
	m := enter(t)
	notRunnable := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(notRunnable, nil, 0o600))
	for code, argv := range map[int][]string{
		0: {"true"}, 7: {"sh", "-c", "exit 7"}, 143: {"sh", "-c", "kill $$"}, 137: {"sh", "-c", "kill -9 $$"},
		127: {"runctl-no-such-command"}, 126: {notRunnable}, 255: {"sh", "-c", "exit 255"},
	} {
		got, err := m.Exec(t.Context(), argv, nil, nil, nil)
		assert.NoError(t, err, argv)
		assert.Equal(t, code, got, argv)
	}
	_, err := m.Exec(t.Context(), nil, nil, nil, nil)
	assert.ErrorIs(t, err, runctl.ErrInvalid)
}

func TestExecMovesBytesUnchanged(t *testing.T) {
	m := enter(t)
	in := make([]byte, 3<<20)
	_, _ = rand.Read(in)
	var out, errOut bytes.Buffer
	code, err := m.Exec(t.Context(), []string{"sh", "-c", "echo oops >&2; cat"}, bytes.NewReader(in), &out, &errOut)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.True(t, bytes.Equal(in, out.Bytes()))
	assert.Equal(t, "oops\n", errOut.String())
}

func TestExecReportsBrokenStreams(t *testing.T) {
	m := enter(t)
	_, err := m.Exec(t.Context(), []string{"cat"}, io.MultiReader(strings.NewReader("half"), failing{}), nil, nil)
	assert.ErrorIs(t, err, errBroken, "a torn stdin must not pass as a whole one")
	_, err = m.Exec(t.Context(), []string{"sh", "-c", "yes"}, nil, failing{}, nil)
	assert.ErrorIs(t, err, errBroken, "the command ends by SIGPIPE and the reader's error is told")
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errBroken }
func (failing) Write([]byte) (int, error) { return 0, errBroken }

func TestTheContextEndsTheWholeGroupAndNoSession(t *testing.T) {
	m := enter(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		// The child belongs to the group; the other one has a session of its own, as the supervisor has.
		_, err := m.Exec(ctx, []string{"sh", "-c", `sleep 600 & echo $!; setsid sh -c 'echo $$; exec sleep 600' & wait`}, nil, w, nil)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	child, other := pidOn(t, r), pidOn(t, r)
	t.Cleanup(func() { _ = syscall.Kill(other, syscall.SIGKILL) })
	reason := errors.New("enough")
	cancel(reason)
	assert.ErrorIs(t, <-done, reason)
	require.Eventually(t, func() bool { return !alive(child) }, 5*time.Second, time.Millisecond)
	assert.True(t, alive(other), "a supervisor outlives the command that started it")
}

func TestAnInheritedPipeHoldsNobodyUp(t *testing.T) {
	m := enter(t)
	for name, heir := range map[string]string{"silent": "sleep 600", "flooding": "yes"} {
		t.Run(name, func(t *testing.T) {
			var out, pid bytes.Buffer // apart, since the heir may write before its pid is told
			begun := time.Now()
			code, err := m.Exec(t.Context(), []string{"sh", "-c", `setsid ` + heir + ` & echo $! >&2; exit 3`}, nil, &out, &pid)
			require.NoError(t, err)
			assert.Equal(t, 3, code)
			assert.Less(t, time.Since(begun), 10*time.Second)
			endProcess(pidOn(t, &pid))
		})
	}
}

func TestAStdinWithoutAnEndHoldsNobodyUp(t *testing.T) {
	m := enter(t)
	r, w := io.Pipe()
	defer w.Close()
	code, err := m.Exec(t.Context(), []string{"sh", "-c", "exit 4"}, r, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, 4, code)
}

// slow is a reader that is busy until released, far longer than an heir of the pipe would be waited for.
type slow struct {
	got     bytes.Buffer
	release <-chan time.Time
}

func (s *slow) Write(b []byte) (int, error) {
	if s.release != nil {
		<-s.release
		s.release = nil
	}
	return s.got.Write(b)
}

func TestASlowReaderLosesNothing(t *testing.T) {
	out := &slow{release: time.After(3 * lag)}
	code, err := enter(t).Exec(t.Context(), []string{"sh", "-c", "echo first; head -c 60000 /dev/zero"}, nil, out, nil)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, 6+60000, out.got.Len())
}

func TestAReaderThatNeverReturnsIsLeftWithTheContext(t *testing.T) {
	out := &slow{release: make(chan time.Time)}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := enter(t).Exec(ctx, []string{"echo", "x"}, nil, out, nil)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}
