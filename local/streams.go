package local

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"time"
)

// lag is how long Exec waits, once a command is over, for who has inherited its pipes, and for a stdin that
// gives neither bytes nor an end.
const lag = 500 * time.Millisecond

// streams are the pipes of one command. They are our own, because os/exec waits for a stdin that never
// ends, and loses what a slow reader has not taken when the wait for an inherited pipe is over.
type streams []*stream

// stream is one pipe: ours is our end of it, theirs the command's.
type stream struct {
	ours, theirs *os.File
	input        bool
	move         func() error  // moves bytes until the end of the stream
	done         chan struct{} // closed when err is set
	err          error
}

// connect gives cmd its streams. Those that were made before an error are returned with it.
func connect(cmd *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) (streams, error) {
	var all streams
	if _, file := stdin.(*os.File); file || stdin == nil {
		cmd.Stdin = stdin
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			return all, err
		}
		cmd.Stdin = r
		all = append(all, &stream{ours: w, theirs: r, input: true, move: func() error { return feed(w, stdin) }})
	}
	out := func(to io.Writer) (io.Writer, error) {
		if to == nil {
			return nil, nil
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		all = append(all, &stream{ours: r, theirs: w, move: func() error { return drain(to, r) }})
		return w, nil
	}
	var err error
	if cmd.Stdout, err = out(stdout); err != nil {
		return all, err
	}
	if stdout != nil && reflect.TypeOf(stdout).Comparable() && stdout == stderr {
		cmd.Stderr = cmd.Stdout // one pipe: a writer is never written to concurrently
		return all, nil
	}
	cmd.Stderr, err = out(stderr)
	return all, err
}

// feed gives the command its stdin. That it does not read all of it is no error; a stdin that fails is.
func feed(w io.Writer, stdin io.Reader) error {
	r := &reader{Reader: stdin}
	_, _ = io.Copy(w, r)
	return r.err
}

// drain takes the command's output to its reader, without a loss however slow that is.
func drain(to io.Writer, r *os.File) error {
	_, err := io.Copy(to, &reader{Reader: r})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	// The command is over, and an heir holds the pipe or the reader was slow. What the command had written
	// is in the pipe, and one read of the size of the largest pipe takes all of it.
	last := make([]byte, 1<<20)
	if err := r.SetReadDeadline(time.Now().Add(lag)); err != nil {
		return err
	}
	n, _ := r.Read(last)
	_, err = to.Write(last[:n])
	return err
}

// reader keeps the error of what it reads, and hides what else that can do from io.Copy.
type reader struct {
	io.Reader
	err error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// begin closes the command's ends, which it has by now, and moves bytes.
func (all streams) begin() {
	for _, s := range all {
		_ = s.theirs.Close()
		s.done = make(chan struct{})
		go func() {
			defer close(s.done)
			s.err = s.move()
			_ = s.ours.Close()
		}()
	}
}

// drop closes everything, for a command that did not start.
func (all streams) drop() {
	for _, s := range all {
		_ = s.theirs.Close()
		_ = s.ours.Close()
	}
}

// finish waits, after the command's end, until its output is with its readers. A reader that never returns
// is left alone when the context is over.
func (all streams) finish(ctx context.Context) error {
	for _, s := range all {
		_ = s.ours.SetDeadline(time.Now().Add(lag)) // fails when the stream has ended already
	}
	var errs []error
	for _, s := range all {
		if !s.input {
			select {
			case <-s.done:
			case <-ctx.Done():
			}
		}
		t := time.NewTimer(2 * lag)
		select {
		case <-s.done:
			errs = append(errs, s.err)
		case <-t.C:
			errs = append(errs, context.Cause(ctx)) // nil for a stdin without an end
		}
		t.Stop()
	}
	return errors.Join(errs...)
}
