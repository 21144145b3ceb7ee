package sshmachine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// promptly is how long Exec goes on after its end is clear: for the host to confirm the end of a command, and for
// the caller's streams to come back.
const promptly = time.Second

// Exec runs argv by the user's login shell, in the login directory, and waits until it has ended and nobody holds
// its output open. A command that ended has a code and no error: 128+N by the signal's name when a signal ended it.
// An error means that its end is not known; it is never run again by itself. Arguments are passed byte for byte,
// together up to 128 KiB; NUL is refused.
//
// The end of the context ends the command and its children by KILL, if they are still in the session's process group,
// and Exec returns within about a second, whatever the host does. So does a stdin or stdout that fails, so that a
// command never takes half an input for the whole. A Read of stdin that blocks is not waited for.
func (m *Machine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	line, err := commandLine(argv, m.c.Env)
	if err != nil {
		return -1, &runctl.Error{Op: "exec", Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, Msg: "ssh: " + m.c.Addr + ": exec", Err: err}
	}
	s, err := m.session(ctx)
	if err != nil {
		return -1, err
	}
	defer s.done()
	code, err := s.run(ctx, stdin, stdout, stderr, func() error { return s.Start(line) })
	if err != nil {
		return -1, fail(ctx, m.c.Addr, "exec", runctl.ErrUnavailable, err)
	}
	return code, nil
}

// run starts a command by start, and moves its streams until it has ended.
func (s *session) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, start func() error) (int, error) {
	in, err1 := s.StdinPipe()
	out, err2 := s.StdoutPipe()
	errs, err3 := s.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return -1, err
	}
	if err := s.within(ctx, start); err != nil {
		return -1, err
	}
	broken := make(chan error, 3)
	copied := make(chan struct{}, 2)
	move := func(w io.Writer, r io.Reader) {
		if _, err := io.Copy(w, r); err != nil {
			broken <- fmt.Errorf("its output could not be passed on: %w", err)
		}
		copied <- struct{}{}
	}
	go move(stdout, out)
	go move(stderr, errs)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		if err := feed(in, stdin); err != nil {
			broken <- fmt.Errorf("its input could not be read: %w", err)
		}
	}()
	ended := make(chan error, 1)
	go func() {
		err := s.Wait()
		<-copied
		<-copied
		ended <- err
	}()

	select {
	case err := <-ended:
		select {
		case <-fed:
		case <-time.After(promptly):
		}
		select {
		case bad := <-broken:
			return -1, bad
		default:
		}
		return s.verdict(err)
	case <-ctx.Done():
		s.kill(ended)
		return -1, context.Cause(ctx)
	case err := <-broken:
		s.kill(ended)
		return -1, err
	}
}

// within calls a blocking request of the SSH library in a step's time. When it returns an error the request may still
// be under way, on a session that is about to be closed.
func (s *session) within(ctx context.Context, request func() error) error {
	got := make(chan error, 1)
	go func() { got <- request() }()
	t := time.NewTimer(s.m.c.StepTimeout)
	defer t.Stop()
	select {
	case err := <-got:
		if err != nil && s.l.dead() {
			return s.cut()
		}
		return err
	case <-ctx.Done():
		s.kill(nil)
		return context.Cause(ctx)
	case <-t.C:
		return fmt.Errorf("the host did not answer in %s; whether the command runs is not known", s.m.c.StepTimeout)
	}
}

// feed copies stdin to the command and closes it. Only a failing reader is an error: a command need not read all.
func feed(w io.WriteCloser, r io.Reader) error {
	var err error
	if r != nil {
		in := &reader{Reader: r}
		_, _ = io.Copy(w, in)
		err = in.failed
	}
	if err == nil {
		_ = w.Close()
	}
	return err
}

// reader tells its own failures from the writer's.
type reader struct {
	io.Reader
	failed error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.failed = err
	}
	return n, err
}

// verdict is the code of a command that has ended, if the server closed the session itself: a link that is cut looks
// the same from inside of the session, and its output may be half.
func (s *session) verdict(err error) (int, error) {
	if closed := s.Close(); closed != io.EOF || s.l.conn.broken.Load() {
		return -1, s.cut()
	}
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	case errors.As(err, &missing):
		return -1, errors.New("the host closed the session without an exit status; the command's end is not known")
	}
	return -1, err
}

// cut is the error for a link that ended below a command.
func (s *session) cut() error {
	select {
	case <-s.l.gone:
	case <-time.After(promptly):
		return errors.New("the link was cut; the command's end is not known")
	}
	return fmt.Errorf("the link was cut (%w); the command's end is not known", s.l.cause)
}

// kill ends the command and its process group, and waits a moment for that to be confirmed. OpenSSH signals the whole
// group; the command's own children are in it, unless they left it on purpose.
func (s *session) kill(ended <-chan error) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		_, _ = s.SendRequest("signal", true, ssh.Marshal(struct{ Signal string }{string(ssh.SIGKILL)}))
	}()
	t := time.NewTimer(promptly)
	defer t.Stop()
	select {
	case <-told:
	case <-ended:
	case <-t.C:
	}
}

// done gives the session back.
func (s *session) done() {
	_ = s.Close()
	close(s.over)
	s.m.release(s.l)
}
