package runctl

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// Run is one attempt of a job on one machine. Its methods may be called concurrently, and whoever calls them
// may vanish: the run goes on.
type Run struct {
	c    *Client
	a    *account
	run  string
	proc Process

	mu   sync.Mutex
	inst Instance // as last seen
}

// Ref returns the reference to the run, to be stored. It has no secret. Once the machine was met it has the host
// key, which every later connection must show.
func (r *Run) Ref() Ref {
	ref := r.Instance().Ref()
	ref.Run = r.run
	p := r.a.pins.of(ref.ID)
	ref.HostKey, ref.FirstUse = p.key, p.key != "" && p.trust <= TrustFirstUse
	return ref
}

// Instance returns the run's machine as it was last seen, without asking anybody.
func (r *Run) Instance() Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inst
}

func (r *Run) seen(i Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inst = i
}

// Status is one look at the run. Only a receipt or the cloud's own word makes it Dead; a run that cannot be
// reached is LiveUnknown, with the error as evidence and as error.
func (r *Run) Status(ctx context.Context) (Status, error) {
	s, err := r.proc.Status(ctx)
	if err == nil {
		return checkStatus(s), nil
	}
	err = r.wrapped("status", err)
	i, look := r.c.get(ctx, r.a, r.Instance().ID, r.Instance().Mark.Key)
	if look != nil {
		return Status{At: time.Now(), Evidence: text(err.Error()), LogBytes: -1}, err
	}
	r.seen(i)
	if i.Exit != nil {
		return Status{Live: Dead, Evidence: "the cloud's record", At: time.Now(), LogBytes: i.Exit.LogBytes, Receipt: i.Exit}, nil
	}
	if !i.State.Billing() {
		return Status{Live: Dead, Evidence: fmt.Sprintf("the cloud shows the machine %s%s, without a receipt", i.State, because(i.Reason)), At: time.Now(), LogBytes: -1}, nil
	}
	return Status{At: time.Now(), Evidence: text(err.Error()), LogBytes: -1}, err
}

// Wait waits for the run's end. It returns nil only for a receipt with exit code 0; an [*ExitError] for
// every other receipt; ErrLost when the machine is gone without one. A machine that cannot be reached is
// waited for: only the context ends that.
func (r *Run) Wait(ctx context.Context) (Receipt, error) {
	receipt, err := r.await(ctx)
	if err == nil && !receipt.Succeeded() {
		err = &ExitError{Result: receipt}
	}
	if ctx.Err() == nil || err == nil {
		i := r.Instance()
		r.c.trace(Event{Name: EventEnded, Provider: i.Provider, ID: i.ID, Key: i.Mark.Key, Run: r.run, Err: err})
	}
	return receipt, err
}

func (r *Run) await(ctx context.Context) (Receipt, error) {
	if r.Instance().Road == RoadJob && r.a.info.Exits {
		i, err := r.c.wait(ctx, r.a, r.Instance(), func(i Instance) bool { return i.Exit != nil || !i.State.Billing() })
		r.seen(i)
		if err != nil {
			return Receipt{}, err
		}
		if i.Exit != nil {
			return *i.Exit, nil
		}
		return r.lastLook(ctx)
	}
	for n := 1; ; n++ {
		s, err := r.proc.Wait(ctx)
		if err != nil {
			err = r.wrapped("wait", err)
		}
		switch {
		case err == nil && s.Receipt != nil:
			return checkReceipt(*s.Receipt), nil
		case err == nil && s.Live == Dead:
			return Receipt{}, r.lost(s.Evidence)
		case ctx.Err() != nil:
			return Receipt{}, r.fail("wait", context.Cause(ctx))
		case kindOf(err) == ErrNotFound || kindOf(err) == ErrClosed || kindOf(err) == ErrInvalid:
			return Receipt{}, err
		case err == nil:
			n = 1
			continue
		}
		over, gone := r.unreachable(ctx, err)
		switch {
		case over:
			return gone.receipt, gone.err
		case kindOf(err) == ErrHostKey: // its address may have gone to another machine; else a person must look
			return Receipt{}, err
		}
		if wait := sleep(ctx, r.pause(n)); wait != nil {
			return Receipt{}, r.fail("wait", wait)
		}
	}
}

// pause is how long to stay away after the nth failure in a row: never so long that a lease would suffer.
func (r *Run) pause(n int) time.Duration {
	if p, ok := r.proc.(*shellProcess); ok {
		return p.lease.within(delay(r.run, n))
	}
	return delay(r.run, n)
}

type ending struct {
	receipt Receipt
	err     error
}

// unreachable looks for evidence after a failed look at the run: the cloud's record, or its word that the
// machine has ended. Without any, nothing is concluded.
func (r *Run) unreachable(ctx context.Context, cause error) (bool, ending) {
	i := r.Instance()
	r.c.trace(Event{Name: EventUnreachable, Provider: i.Provider, ID: i.ID, Key: i.Mark.Key, Run: r.run, Err: cause})
	now, err := r.c.get(ctx, r.a, i.ID, i.Mark.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return true, ending{err: r.lost("the cloud no longer knows the machine")}
	case err != nil:
		return false, ending{}
	}
	r.seen(now)
	if now.State.Billing() && now.Exit == nil {
		return false, ending{}
	}
	if now.Exit != nil {
		return true, ending{receipt: *now.Exit}
	}
	receipt, err := r.lastLook(ctx)
	return true, ending{receipt, err}
}

// lastLook asks once more for a receipt that outlived its machine.
func (r *Run) lastLook(ctx context.Context) (Receipt, error) {
	if s, err := r.proc.Status(ctx); err == nil && s.Receipt != nil {
		return *checkStatus(s).Receipt, nil
	}
	i := r.Instance()
	return Receipt{}, r.lost(fmt.Sprintf("the cloud shows the machine %s%s", i.State, because(i.Reason)))
}

func (r *Run) lost(evidence string) error {
	e := r.fail("wait", nil)
	e.Kind, e.Msg = ErrLost, "the run left no receipt: "+evidence
	return e
}

func (r *Run) fail(op string, err error) *Error {
	i := r.Instance()
	return &Error{Provider: i.Provider, Op: op, ID: i.ID, Key: r.run, Kind: kindOf(err), Err: err}
}

// Cancel asks for the job's end: TERM to all of its processes, and KILL after grace. It returns when that is
// under way; Wait returns the receipt. grace 0 means the job's own. An ended run is nil.
func (r *Run) Cancel(ctx context.Context, grace time.Duration) error {
	if grace < 0 {
		return invalid("grace", "%s: must not be negative", grace)
	}
	if err := r.proc.Cancel(ctx, grace); err != nil {
		return r.wrapped("cancel", err)
	}
	return nil
}

func (r *Run) wrapped(op string, err error) error {
	i := r.Instance()
	return r.c.wrap(r.a, Event{Op: op, ID: i.ID, Key: i.Mark.Key}, err)
}

// reconnect is the pause before a log that was being read is asked for again.
const reconnect = 100 * time.Millisecond

// Logs yields the run's log from q.Offset on. With q.Follow it ends when the run has ended and every byte was
// given, and goes on by itself after a cut: each byte comes once, and what is truly lost is a chunk with Lost
// set. An error is the last thing it yields.
func (r *Run) Logs(ctx context.Context, q LogQuery) iter.Seq2[LogChunk, error] {
	return func(yield func(LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(LogChunk{}, invalid("LogQuery.Offset", "%d: must not be negative", q.Offset))
			return
		}
		next := q.Offset
		for n := 1; ; n++ {
			var cut error
			for chunk, err := range r.proc.Logs(ctx, LogQuery{Offset: next, Follow: q.Follow}) {
				if err != nil {
					cut = err
					break
				}
				if chunk = trimmed(chunk, next); len(chunk.Data) == 0 && chunk.Lost == 0 {
					continue
				}
				if !yield(chunk, nil) {
					return
				}
				next, n = chunk.Offset+int64(len(chunk.Data)), 0
			}
			if cut == nil {
				return
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
