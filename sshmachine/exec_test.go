package sshmachine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

func TestACommandHasItsStreamsAndItsCode(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	code, out, errs := run(t, m, "in", "sh", "-c", `cat; echo err >&2; exit 7`)
	assert.Equal(t, 7, code)
	assert.Equal(t, "in", out)
	assert.Equal(t, "err\n", errs)
	for name, want := range map[string]int{"TERM": 143, "KILL": 137, "SEGV": 139, "USR1": 138, "HUP": 129} {
		code, _, _ := run(t, m, "", "sh", "-c", `kill -s $1 $$`, "sh", name)
		assert.Equal(t, want, code, name)
	}
	code, _, errs = run(t, m, "", "no-such-command-anywhere")
	assert.Equal(t, 127, code, errs)
	code, _, _ = run(t, m, "", "/etc/passwd")
	assert.Equal(t, 126, code)
	code, err := m.Exec(t.Context(), []string{"sh", "-c", "echo x; echo y >&2; cat; exit 3"}, nil, nil, nil)
	assert.NoError(t, err, "streams may be nil")
	assert.Equal(t, 3, code)
}

func TestARequestThatNoHostCanRunIsInvalid(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	for name, argv := range map[string][]string{"none": nil, "empty": {""}, "NUL": {"echo", "a\x00b"}, "long": {"echo", strings.Repeat("x", 128<<10)}} {
		_, err := m.Exec(t.Context(), argv, nil, io.Discard, io.Discard)
		assert.ErrorIs(t, err, runctl.ErrInvalid, name)
	}
}

func TestOneConnectionCarriesAllCommands(t *testing.T) {
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	m := dial(t, through(t, config(t, s), p))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			var out bytes.Buffer
			code, err := m.Exec(t.Context(), []string{"sh", "-c", "cat; exit $1", "sh", fmt.Sprint(i)}, strings.NewReader(fmt.Sprint("in", i)), &out, io.Discard)
			assert.NoError(t, err)
			assert.Equal(t, i, code)
			assert.Equal(t, fmt.Sprint("in", i), out.String())
		})
	}
	wg.Wait()
	assert.Equal(t, 1, p.Connections())
}

func TestAServerThatTakesFewSessionsFailsNoCommand(t *testing.T) {
	for _, most := range []int{1, 3} {
		s := enginetest.SSHD(t, enginetest.Line(fmt.Sprint("MaxSessions ", most)))
		p := enginetest.Proxy(t, s.Addr, 1)
		m := dial(t, through(t, config(t, s), p))
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				code, err := m.Exec(t.Context(), []string{"sleep", "0.05"}, nil, io.Discard, io.Discard)
				assert.NoError(t, err)
				assert.Zero(t, code)
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, p.Connections(), 16)
	}
}

func TestTwoWritersThatAreOneAreNotWrittenToAtOnce(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	var both bytes.Buffer // the race detector watches
	_, err := m.Exec(t.Context(), []string{"sh", "-c", `i=0; while [ $i -lt 300 ]; do echo o; echo e >&2; i=$((i+1)); done`}, nil, &both, &both)
	require.NoError(t, err)
	assert.Equal(t, 1200, both.Len())
}

func TestNoiseOfStartUpFilesComesBeforeTheCommand(t *testing.T) {
	s := enginetest.SSHD(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.Home, ".bashrc"), []byte("echo noise; printf 'half a runctl-pid-' >&2\n"), 0o600))
	code, out, errs := run(t, dial(t, config(t, s)), "", "sh", "-c", "echo mine; echo mine too >&2")
	assert.Zero(t, code)
	assert.True(t, strings.HasSuffix(out, "mine\n"))
	if strings.Contains(out, "noise") { // the login shell is bash
		assert.Equal(t, "half a runctl-pid-mine too\n", errs)
	}
}

// TestTheEndOfAContextEndsTheCommand runs commands that must leave nothing.
func TestTheEndOfAContextEndsTheCommand(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	for name, script := range map[string]string{
		"with children":         `sleep 1000 & echo ready; sleep 1000`,
		"that ignores signals":  `trap '' TERM INT HUP; sleep 1000 & echo ready; while :; do sleep 1000; done`,
		"that left an heir":     `sleep 1000 & echo ready; exit 3`,
		"with a deep tree":      `(sh -c '(sleep 1000 & sleep 1000) & sleep 1000' & sleep 1000) & echo ready; wait`,
		"that reads its stdin":  `echo ready; cat >/dev/null`,
		"that writes for ever":  `echo ready; yes`,
		"that closed its pipes": `echo ready; exec >/dev/null 2>&1 </dev/null; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("why not")
			stdin, hold := io.Pipe()
			defer hold.Close()
			began := time.Now()
			_, err := m.Exec(ctx, []string{"sh", "-c", script}, stdin, onFirst(func() { began = time.Now(); cancel(why) }), io.Discard)
			assert.ErrorIs(t, err, why)
			assert.Less(t, time.Since(began), 30*time.Second)
			nothingLeft(t, s)
		})
	}
}

func TestTheEndOfAContextRightAtTheStartLeavesNothing(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/2)
		_, err := m.Exec(ctx, []string{"sh", "-c", "sleep 1000 & sleep 1000"}, nil, io.Discard, io.Discard)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, runctl.ErrTimeout)
	}
	nothingLeft(t, s)
}

func TestWhatLeftTheCommandOnPurposeLivesOn(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := m.Exec(ctx, []string{"sh", "-c", `setsid sleep 1000 </dev/null >/dev/null 2>&1 & while ! pgrep -s 0 >/dev/null; do :; done; sleep 0.2; echo ready; sleep 1000`}, nil, onFirst(cancel), io.Discard)
	assert.ErrorIs(t, err, context.Canceled)
	eventually(t, func() bool { return len(s.Left()) == 1 }, "one process, that of setsid")
}

func TestAnOutputThatFailsEndsTheCommand(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	full := errors.New("disk full")
	_, err := m.Exec(t.Context(), []string{"yes"}, nil, writer(func([]byte) (int, error) { return 0, full }), io.Discard)
	assert.ErrorIs(t, err, full)
	_, err = m.Exec(t.Context(), []string{"sh", "-c", "yes >&2"}, nil, io.Discard, writer(func([]byte) (int, error) { return 0, full }))
	assert.ErrorIs(t, err, full)
	nothingLeft(t, s)
}

func TestAnInputThatFailsIsNotTakenForItsEnd(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	took := filepath.Join(s.Dir, "took")
	bad := errors.New("no such tape")
	_, err := m.Exec(t.Context(), []string{"sh", "-c", `cat >/dev/null; echo whole >"$1"`, "sh", took}, io.MultiReader(strings.NewReader("half"), reader(func([]byte) (int, error) { return 0, bad })), io.Discard, io.Discard)
	assert.ErrorIs(t, err, bad)
	nothingLeft(t, s)
	assert.NoFileExists(t, took)
}

func TestACommandNeedNotReadItsInput(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	code, err := m.Exec(t.Context(), []string{"true"}, reader(func(p []byte) (int, error) { return len(p), nil }), io.Discard, io.Discard)
	assert.NoError(t, err, "an endless input")
	assert.Zero(t, code)
	stuck, hold := io.Pipe()
	defer hold.Close()
	began := time.Now()
	_, err = m.Exec(t.Context(), []string{"true"}, stuck, io.Discard, io.Discard)
	assert.NoError(t, err, "an input that gives nothing")
	assert.Less(t, time.Since(began), 30*time.Second)
}

func TestABlockedOutputDoesNotHoldExecUpAfterItsContext(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	began := time.Now()
	_, err := m.Exec(ctx, []string{"yes"}, nil, writer(func(p []byte) (int, error) {
		began = time.Now()
		cancel()
		<-release
		return len(p), nil
	}), io.Discard)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), 30*time.Second)
	close(release)
	nothingLeft(t, s)
}

func TestNoStreamIsTouchedAfterExecHasReturned(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	for range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer // the race detector watches
		n := 0
		_, err := m.Exec(ctx, []string{"yes"}, nil, writer(func(p []byte) (int, error) {
			if n++; n == 5 {
				cancel()
			}
			return out.Write(p)
		}), io.Discard)
		require.ErrorIs(t, err, context.Canceled)
		out.Reset()
	}
}

func TestASlowReaderHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	s := enginetest.SSHD(t)
	c := config(t, s)
	c.KeepAlive = time.Second
	m := dial(t, c)
	release, full := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := make(chan error, 1)
	var got int
	go func() {
		_, err := m.Exec(t.Context(), []string{"head", "-c", "30000000", "/dev/zero"}, nil, writer(func(p []byte) (int, error) {
			once.Do(func() { close(full) })
			<-release
			got += len(p)
			return len(p), nil
		}), io.Discard)
		slow <- err
	}()
	<-full
	for began := time.Now(); time.Since(began) < 5*c.KeepAlive; {
		code, out, _ := run(t, m, "", "echo", "quick")
		require.Zero(t, code)
		require.Equal(t, "quick\n", out)
	}
	<-time.After(5 * c.KeepAlive) // the link is silent now but for its probes
	close(release)
	require.NoError(t, <-slow)
	assert.Equal(t, 30000000, got)
}

func TestAClosedMachineRunsNothing(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	running := make(chan error, 1)
	ready := make(chan struct{})
	stdin, hold := io.Pipe()
	defer hold.Close()
	go func() {
		_, err := m.Exec(t.Context(), []string{"sh", "-c", "echo; cat"}, stdin, onFirst(func() { close(ready) }), io.Discard)
		running <- err
	}()
	<-ready
	require.NoError(t, m.Close())
	assert.ErrorIs(t, <-running, runctl.ErrUnavailable, "its end is not known")
	_, err := m.Exec(t.Context(), []string{"true"}, nil, io.Discard, io.Discard)
	assert.ErrorIs(t, err, runctl.ErrClosed)
	require.NoError(t, m.Close(), "twice is once")
}

var _ runctl.Machine = (*sshmachine.Machine)(nil)
