package job

import (
	"context"
	"fmt"
	"io"
	"strconv"
)

// Log writes the run's log from offset on, raw, each byte once. With follow it goes on until the run has ended and all
// was delivered, then returns nil; without, until what is there now was delivered. next is the offset
// reached, also after an error: a cut connection goes on from there. *Gap: the log is shorter than offset.
func Log(ctx context.Context, m Machine, run string, offset int64, follow bool, w io.Writer) (next int64, err error) {
	if !validRun(run) {
		return offset, &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	}
	if offset < 0 {
		return offset, &FieldError{"offset", "is negative"}
	}
	mode := "once"
	if follow {
		mode = "follow"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &stream{log: w, next: offset, stop: cancel}
	err = execute(ctx, m, nil, out, "log", run, strconv.FormatInt(offset, 10), mode)
	if out.failed != nil {
		return out.next, out.failed
	}
	if err == nil && !out.ended {
		err = fmt.Errorf("%w (log)", errDamaged)
	}
	return out.next, err
}
