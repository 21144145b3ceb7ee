package sshmachine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// once runs a command that appends a line to a file and then waits for its input, and returns Exec's error.
func once(t *testing.T, m *sshmachine.Machine, file string) (began <-chan struct{}, ended <-chan error) {
	t.Helper()
	ready, end := make(chan struct{}), make(chan error, 1)
	stdin, hold := io.Pipe()
	t.Cleanup(func() { hold.Close() })
	go func() {
		_, err := m.Exec(t.Context(), []string{"sh", "-c", `echo ran >>"$1"; echo; cat`, "sh", file}, stdin, onFirst(func() { close(ready) }), io.Discard)
		end <- err
	}()
	return ready, end
}

func TestACommandOnACutLinkFailsAndIsNotRunAgain(t *testing.T) {
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	m := dial(t, through(t, config(t, s), p))
	file := filepath.Join(s.Dir, "runs")
	began, ended := once(t, m, file)
	<-began
	p.Cut()
	err := <-ended
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "ssh: "+s.Addr+": exec")
	assert.ErrorContains(t, err, "end is not known")
	code, out, _ := run(t, m, "", "cat", file) // connects again
	assert.Zero(t, code)
	assert.Equal(t, "ran\n", out)
	assert.Equal(t, 2, p.Connections())
}

func TestCommandsAfterARestartWork(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	for range 3 {
		s.Restart()
		eventually(t, func() bool {
			_, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
			return err == nil
		}, "a command after the restart")
	}
	s.Stop()
	eventually(t, func() bool {
		_, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
		return errors.Is(err, runctl.ErrUnavailable) && strings.Contains(err.Error(), "ssh: "+s.Addr+": connect: ")
	}, "an error that names the host and the step")
}

func TestASilentLinkIsNoticed(t *testing.T) {
	t.Parallel()
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	c := through(t, config(t, s), p)
	c.KeepAlive = time.Second
	m := dial(t, c)
	began, ended := once(t, m, filepath.Join(s.Dir, "runs"))
	<-began
	<-time.After(4 * c.KeepAlive) // the probes hold the link
	p.Stall()
	<-time.After(c.KeepAlive)
	p.Resume() // a short silence is none
	<-time.After(4 * c.KeepAlive)
	select {
	case err := <-ended:
		t.Fatal("cut in vain: ", err)
	default:
	}
	p.Blackhole()
	cut := time.Now()
	err := <-ended
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "nothing was heard for")
	assert.Greater(t, time.Since(cut), 3*c.KeepAlive/2)
	assert.Less(t, time.Since(cut), 30*c.KeepAlive)
	p.Resume()
	code, _, _ := run(t, m, "", "true")
	assert.Zero(t, code)
}

// TestALinkThatTakesNoBytesIsNoticedToo sends into the hole until every buffer is full.
func TestALinkThatTakesNoBytesIsNoticedToo(t *testing.T) {
	t.Parallel()
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	c := through(t, config(t, s), p)
	c.KeepAlive = time.Second
	m := dial(t, c)
	var stall sync.Once
	_, err := m.Exec(t.Context(), []string{"cat"}, zeros{}, writer(func(b []byte) (int, error) {
		stall.Do(p.Stall)
		return len(b), nil
	}), io.Discard)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "nothing was heard for")
}

func TestExecReturnsPromptlyOnAHungLink(t *testing.T) {
	t.Parallel()
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	m := dial(t, through(t, config(t, s), p)) // the keep-alive takes 45 s
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := m.Exec(ctx, []string{"cat"}, zeros{}, onFirst(func() { p.Stall(); began = time.Now(); cancel() }), io.Discard)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), 30*time.Second)
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	_, err = m.Exec(ctx, []string{"true"}, nil, nil, nil)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 30*time.Second)
	closed := make(chan struct{})
	go func() { _ = m.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close hangs")
	}
}

// TestEveryStepHasItsTime hangs in one step after the other.
func TestEveryStepHasItsTime(t *testing.T) {
	t.Parallel()
	over := make(chan chan struct{}, 1)
	hang := func() error {
		block := <-over
		over <- block
		<-block
		return errors.New("over")
	}
	auth, err := sshmachine.Signer(enginetest.NewKey(t))
	require.NoError(t, err)
	for step, change := range map[string]func(*host, *sshmachine.Config){
		"connect": func(_ *host, c *sshmachine.Config) {
			c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		"handshake": func(h *host, _ *sshmachine.Config) { h.Banner = false },
		"auth":      func(h *host, _ *sshmachine.Config) { h.Auth = hang },
		"session":   func(h *host, _ *sshmachine.Config) { h.Open = func(ssh.NewChannel) bool { return true } },
		"exec":      func(h *host, _ *sshmachine.Config) { h.Answer = false },
	} {
		t.Run(step, func(t *testing.T) {
			h := newHost(t)
			c := h.enter()
			c.Auth = []ssh.AuthMethod{auth}
			change(h, &c)
			h.serve(t)
			block := make(chan struct{})
			over <- block
			defer func() { close(<-over) }()
			c.Addr = h.Addr
			c.StepTimeout = 3 * time.Second
			try := func(ctx context.Context) error {
				m, err := sshmachine.Dial(ctx, c)
				if err != nil {
					return err
				}
				defer m.Close()
				_, err = m.Exec(ctx, []string{"true"}, nil, nil, nil)
				return err
			}
			began := time.Now()
			err := try(t.Context())
			assert.ErrorIs(t, err, runctl.ErrUnavailable)
			assert.ErrorContains(t, err, h.Addr+": "+step+": ")
			assert.ErrorContains(t, err, "3s")
			assert.Less(t, time.Since(began), 40*time.Second)

			c.StepTimeout = time.Minute
			ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("enough"))
			defer cancel()
			began = time.Now()
			err = try(ctx)
			assert.ErrorContains(t, err, "enough")
			assert.ErrorContains(t, err, h.Addr+": "+step+": ")
			assert.Less(t, time.Since(began), 40*time.Second)
		})
	}
}

func TestAHostThatTakesNoSessionsIsNamedInTime(t *testing.T) {
	h := newHost(t)
	h.Open = func(c ssh.NewChannel) bool { return c.Reject(ssh.Prohibited, "no\nshell \x1b[31mhere") == nil }
	h.serve(t)
	c := h.enter()
	c.StepTimeout = time.Second
	_, err := dial(t, c).Exec(t.Context(), []string{"true"}, nil, nil, nil)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, `takes no sessions: no\nshell \x1b[31mhere`)
	assert.Equal(t, 1, h.connections(), "another connection is no use")
}

func TestAnEndWithoutAStatusIsNotKnown(t *testing.T) {
	h := newHost(t)
	h.Exec = func(c ssh.Channel, _ string, _ <-chan *ssh.Request) { _ = c.Close() }
	h.serve(t)
	_, err := dial(t, h.enter()).Exec(t.Context(), []string{"true"}, nil, nil, nil)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "without an exit status")
}

// TestHalfAnOutputIsNoSuccess: the server has told the code, and the link is cut before the rest of the output.
func TestHalfAnOutputIsNoSuccess(t *testing.T) {
	for range 20 {
		h := newHost(t)
		h.Exec = func(c ssh.Channel, _ string, _ <-chan *ssh.Request) {
			_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{0}))
			_, _ = c.Write([]byte("half"))
			h.cut()
		}
		h.serve(t)
		var out bytes.Buffer
		_, err := dial(t, h.enter()).Exec(t.Context(), []string{"true"}, nil, &out, nil)
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		require.ErrorContains(t, err, "cut")
	}
}

// TestServersThatPassNoSignalOn run commands in a group of their own, or in the server's.
func TestServersThatPassNoSignalOn(t *testing.T) {
	for name, ownGroup := range map[string]bool{"own group": true, "server's group": false} {
		for what, script := range map[string]string{"children": `sleep 1000 & echo ready; sleep 1000`, "tree": `(sh -c 'sleep 1000 & sleep 1000' & sleep 1000) & echo ready; wait`} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir := t.TempDir()
				t.Setenv("HOME", filepath.Join(dir, "home")) // how what is left is found
				h := newHost(t)
				h.really(ownGroup)
				h.serve(t)
				m := dial(t, h.enter())
				ctx, cancel := context.WithCancel(t.Context())
				_, err := m.Exec(ctx, []string{"sh", "-c", script}, nil, onFirst(cancel), io.Discard)
				assert.ErrorIs(t, err, context.Canceled)
				left := &enginetest.Server{Home: os.Getenv("HOME")}
				nothingLeft(t, left)
			})
		}
	}
}

func TestASpareConnectionIsUsedWhenTheFirstIsCut(t *testing.T) {
	s := enginetest.SSHD(t)
	p := enginetest.Proxy(t, s.Addr, 1)
	m := dial(t, through(t, config(t, s), p))
	for range 20 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { // a cut may hit a command; no command may hang, or fail otherwise
				_, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
				if err != nil {
					assert.ErrorIs(t, err, runctl.ErrUnavailable)
				}
			})
		}
		p.Cut()
		wg.Wait()
	}
	code, _, _ := run(t, m, "", "true")
	assert.Zero(t, code)
}
