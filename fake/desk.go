package fake

import (
	"context"
	"io"
	"time"
)

// supervisor is what the fake needs of job.Emulator.
type supervisor interface {
	Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
}

// desk is where jobs on the shell road run.
type desk struct{}

func (d *desk) touched() bool                                  { return false }
func (d *desk) idle(up, now time.Time) (since, next time.Time) { return up, time.Time{} }
func (d *desk) die(at time.Time)                               {}
func (d *desk) finish(key string, all bool, code int) int      { return 0 }
