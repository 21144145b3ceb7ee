package runctl

import (
	"context"
	"iter"
	"time"
)

// reconnect is the pause before a log that was being read is asked for again.
const reconnect = 100 * time.Millisecond

// Logs yields the run's log from q.Offset on. With q.Follow it ends when the run has ended and every byte was
// given, and goes on by itself after a cut: each byte comes once, and what is truly lost is a chunk with Lost
// set. An error is the last thing it yields; with q.Follow ErrTimeout of an overdue machine, as from Wait.
func (r *Run) Logs(ctx context.Context, q LogQuery) iter.Seq2[LogChunk, error] {
	return func(yield func(LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(LogChunk{}, invalid("LogQuery.Offset", "%d: must not be negative", q.Offset))
			return
		}
		next := q.Offset
		for n := 1; ; n++ {
			got, due, cut := r.stream(ctx, LogQuery{Offset: next, Follow: q.Follow}, func(c LogChunk) bool {
				next = c.Offset + int64(len(c.Data))
				return yield(c, nil)
			})
			if cut == nil {
				return
			}
			if due {
				if _, gone := r.visit(ctx); kindOf(gone.err) == ErrTimeout {
					yield(LogChunk{Offset: next}, gone.err)
					return
				}
				n = 0
				continue
			}
			if got {
				n = 0
			}
			k := kindOf(cut)
			if !q.Follow || ctx.Err() != nil || k == ErrNotFound || k == ErrClosed || k == ErrInvalid {
				yield(LogChunk{Offset: next}, r.wrapped("logs", cut))
				return
			}
			if n == 0 { // it gave something before it was cut, so it is likely to be back at once
				if err := sleep(ctx, reconnect); err != nil {
					yield(LogChunk{Offset: next}, r.wrapped("logs", err))
					return
				}
				continue
			}
			cut = r.wrapped("logs", cut)
			if over, _ := r.unreachable(ctx, cut); over && n > 2 || k == ErrHostKey {
				yield(LogChunk{Offset: next}, r.wrapped("logs", cut))
				return
			}
			if err := sleep(ctx, r.pause(n)); err != nil {
				yield(LogChunk{Offset: next}, r.wrapped("logs", err))
				return
			}
		}
	}
}

// stream is one reading of the log, until it ends, which is no error, or give says no. got: it gave something. due: it
// was broken off because the machine is to be looked at, which happens to nobody who reads what is there.
func (r *Run) stream(ctx context.Context, q LogQuery, give func(LogChunk) bool) (got, due bool, cut error) {
	own, broken, free := ctx, func() bool { return false }, func() {}
	if q.Follow {
		own, broken, free = r.leash(ctx)
	}
	defer free()
	next := q.Offset
	for chunk, err := range r.proc.Logs(own, q) {
		if err != nil {
			return got, broken(), err
		}
		if chunk = trimmed(chunk, next); len(chunk.Data) == 0 && chunk.Lost == 0 {
			continue
		}
		if next, got = chunk.Offset+int64(len(chunk.Data)), true; !give(chunk) {
			break
		}
	}
	return got, false, nil
}

// trimmed drops what a reader has seen already, and names what a source skipped.
func trimmed(c LogChunk, next int64) LogChunk {
	if skip := next - c.Offset; skip > 0 {
		c.Data = c.Data[min(skip, int64(len(c.Data))):]
		c.Offset = next
	} else if skip < 0 && c.Lost == 0 {
		c.Lost = -skip
	}
	return c
}
