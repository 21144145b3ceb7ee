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

// promptly is how long Exec goes on after the end of its context: for the host to confirm the end of a command, and for
// the caller's streams to come back.
const promptly = time.Second

// lag is how long Exec waits, once a command is over, for a Read of stdin that gives neither bytes nor an end.
const lag = 100 * time.Millisecond

// Exec runs argv by the user's login shell, in the login directory, and waits until it has ended and nobody holds its
// output open. A command that ended has a code and no error: 127 when it is not there, 126 when it cannot be run, 128+N
// when signal N ended it. An error means that its end is not known; it is never run again by itself. Arguments are passed
// byte for byte, together up to 128 KiB when quoted; NUL is refused. A nil stdin is empty, nil outputs are dropped.
//
// The end of the context ends the command by KILL, with all processes in its group or, on servers that make none, all
// its children; those that left on purpose live on. Exec then returns within about three seconds, whatever the host
// does. So it does when stdin or an output fails, so that a command never takes half an input for the whole. After Exec
// has returned no call of a stream begins; one that blocked may still be under way.
func (m *Machine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	word := newWord()
	line, err := commandLine(argv, m.c.Env, word)
	if err != nil {
		return -1, m.fail(ctx, "exec", runctl.ErrInvalid, err)
	}
	s, err := m.session(ctx)
	if err != nil {
		return -1, err
	}
	defer s.done()
	code, err := s.run(ctx, stdin, stdout, stderr, word, func() error { return s.Start(line) })
	if err != nil {
		return -1, m.fail(ctx, "exec", runctl.ErrUnavailable, err)
	}
	return code, nil
}

// run starts a command by start, and moves its streams until it has ended.
func (s *session) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, word string, start func() error) (int, error) {
	in, err1 := s.StdinPipe()
	from, err2 := s.StdoutPipe()
	fromErr, err3 := s.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return -1, err
	}
	if err := s.within(ctx, start); err != nil {
		return -1, err
	}
	out, errs := outputs(stdout, stderr)
	source := &gatedReader{gate: newGate(), r: stdin}
	born := &birthFilter{w: errs, word: word, over: word == ""}
	broken := make(chan error, 3)
	copied := make(chan struct{}, 2)
	fed := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		defer func() { copied <- struct{}{} }()
		if _, err := io.Copy(out, from); err != nil {
			broken <- fmt.Errorf("its output could not be passed on: %w", err)
		}
	}()
	go func() {
		defer func() { copied <- struct{}{} }()
		_, err := io.Copy(born, fromErr)
		if err == nil {
			err = born.flush(len(born.held))
		}
		if err != nil {
			broken <- fmt.Errorf("its error output could not be passed on: %w", err)
		}
	}()
	go func() {
		defer close(fed)
		if stdin != nil {
			_, _ = io.Copy(in, source)
		}
		if source.failed != nil { // the command must not take this for the end of its input
			broken <- fmt.Errorf("its input could not be read: %w", source.failed)
			return
		}
		_ = in.Close()
	}()
	go func() {
		err := s.Wait()
		<-copied
		<-copied
		ended <- err
	}()

	var err error
	select {
	case err = <-ended:
		source.shut(lag)
		select {
		case err = <-broken:
			return -1, err
		default:
			return s.verdict(err)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-broken:
	}
	s.kill(born, ended)
	for by, gates := time.Now().Add(promptly), []gate{out.gate, errs.gate, source.gate}; len(gates) > 0; gates = gates[1:] {
		gates[0].shut(time.Until(by))
	}
	return -1, err
}

// within calls a blocking request of the SSH library in a step's time. After the end of the context it waits a little
// for the answer, without which the command cannot be ended.
func (s *session) within(ctx context.Context, request func() error) error {
	got := make(chan error, 1)
	go func() { got <- request() }()
	t := time.NewTimer(s.m.c.StepTimeout)
	defer t.Stop()
	stop := context.AfterFunc(ctx, func() { t.Reset(min(promptly, s.m.c.StepTimeout)) })
	defer stop()
	select {
	case err := <-got:
		if err != nil && s.l.dead() {
			return s.cut()
		}
		return err
	case <-t.C:
		s.signal()
		return fmt.Errorf("the host did not answer in %s; whether the command runs is not known", s.m.c.StepTimeout)
	}
}

// moreSignals are the numbers that the SSH library leaves out, which makes them 128 alone. OpenSSH gives no name to others.
var moreSignals = map[string]int{"USR1": 10, "USR2": 12}

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
		return exit.ExitStatus() + moreSignals[exit.Signal()], nil
	case errors.As(err, &missing):
		return -1, errors.New("the host closed the session without an exit status; the command's end is not known")
	}
	return -1, err
}

// cut is the error for a link that ended below a command.
func (s *session) cut() error {
	select {
	case <-s.l.gone:
		return fmt.Errorf("the link was cut (%w); the command's end is not known", s.l.cause)
	case <-time.After(promptly):
		return errors.New("the link was cut; the command's end is not known")
	}
}

// done gives the session back. It does not wait for a link that takes no bytes.
func (s *session) done() {
	close(s.over)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(lag):
	}
	s.m.release(s.l)
}
