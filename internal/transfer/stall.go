package transfer

import (
	"context"
	"errors"
	"io"
	"time"
)

var errStalled = errors.New("the connection is silent")

// watched calls f with a context that ends when nothing was written to, or read from, what touch is put in the way of
// for as long as limit.
func watched(ctx context.Context, limit time.Duration, f func(ctx context.Context, touch func()) error) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := time.AfterFunc(limit, func() { cancel(errStalled) })
	defer t.Stop()
	err := f(own, func() { t.Reset(limit) })
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(own), errStalled) {
		return errStalled
	}
	return err
}

// hashing is how long a machine may be silent while it reads a file of this size.
func hashing(size int64) time.Duration {
	return stallLimit + time.Duration(size/hashRate)*time.Second
}

// touching is a writer that says so.
type touching struct {
	io.Writer
	touch func()
}

func (w touching) Write(b []byte) (int, error) {
	w.touch()
	n, err := w.Writer.Write(b)
	w.touch()
	return n, err
}
