package sshmachine

import (
	"errors"
	"io"
	"reflect"
	"time"
)

// gate lets calls through to one of the caller's streams until it is shut, one at a time.
type gate struct{ free chan struct{} }

func newGate() gate {
	g := gate{make(chan struct{}, 1)}
	g.free <- struct{}{}
	return g
}

var errShut = errors.New("the command is over")

func (g gate) pass(f func() (int, error)) (int, error) {
	if _, open := <-g.free; !open {
		return 0, errShut
	}
	defer func() { g.free <- struct{}{} }()
	return f()
}

// shut lets no further call begin, and waits a moment for one under way. One that blocks for longer is left alone:
// nobody can take it back, and the gate stays held by it.
func (g gate) shut(moment time.Duration) {
	t := time.NewTimer(moment)
	defer t.Stop()
	select {
	case _, open := <-g.free:
		if open {
			close(g.free)
		}
	case <-t.C:
		go func() {
			if _, open := <-g.free; open {
				close(g.free)
			}
		}()
	}
}

// gatedWriter is a stream of output behind a gate.
type gatedWriter struct {
	gate
	w io.Writer
}

func (g gatedWriter) Write(p []byte) (int, error) {
	return g.pass(func() (int, error) { return g.w.Write(p) })
}

// gatedReader is stdin behind a gate. It keeps its own failure apart from the other side's.
type gatedReader struct {
	gate
	r      io.Reader
	failed error
}

func (g *gatedReader) Read(p []byte) (int, error) {
	return g.pass(func() (int, error) {
		n, err := g.r.Read(p)
		if err != nil && err != io.EOF {
			g.failed = err
		}
		return n, err
	})
}

// outputs puts the caller's writers behind gates. One writer for both is never written to concurrently.
func outputs(stdout, stderr io.Writer) (out, errs gatedWriter) {
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	out, errs = gatedWriter{newGate(), stdout}, gatedWriter{newGate(), stderr}
	if reflect.ValueOf(stdout).Comparable() && stdout == stderr {
		errs.gate = out.gate
	}
	return out, errs
}
