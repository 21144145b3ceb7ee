package runctl

import (
	"context"
	"errors"
	"fmt"
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
	inst Instance  // as last seen
	look time.Time // when that was, by this computer's clock; zero: before the run was at hand
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
	r.inst, r.look = i, time.Now()
}

// Status is one look at the run. Only a receipt or the cloud's own word makes it Dead; a run that cannot be
// reached is LiveUnknown, with the error as evidence and as error.
func (r *Run) Status(ctx context.Context) (Status, error) {
	s, err := r.proc.Status(ctx)
	if err == nil {
		return r.checked(s), nil
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
// waited for: only the context ends that. On the job road a machine that is not up within Deadlines.Boot, or that
// still bills ten minutes after its lifetime, is ErrTimeout with MayBill: terminate it.
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
		i, err := r.c.wait(ctx, r.a, r.Instance(), func(i Instance) bool { return i.Exit != nil || !i.State.Billing() || r.overdue(i) != nil })
		r.seen(i)
		switch {
		case err != nil:
			return Receipt{}, err
		case i.Exit != nil:
			return *i.Exit, nil
		case i.State.Billing():
			return Receipt{}, r.overdue(i)
		}
		return r.lastLook(ctx)
	}
	for n := 1; ; n++ {
		s, due, err := r.hold(ctx)
		if err != nil {
			err = r.wrapped("wait", err)
		}
		switch {
		case err == nil && s.Receipt != nil:
			return *r.checked(s).Receipt, nil
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
		var over bool
		var gone ending
		if due {
			if over, gone = r.visit(ctx); !over {
				n = 0
				continue
			}
		} else {
			over, gone = r.unreachable(ctx, err)
		}
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
	over, gone, _ := r.evidence(ctx)
	return over, gone
}

// evidence asks the cloud for the machine: is it over, or overdue? An error means that it did not tell.
func (r *Run) evidence(ctx context.Context) (bool, ending, error) {
	i := r.Instance()
	now, err := r.c.get(ctx, r.a, i.ID, i.Mark.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return true, ending{err: r.lost("the cloud no longer knows the machine")}, nil
	case err != nil:
		return false, ending{}, err
	}
	r.seen(now)
	if now.Exit != nil {
		return true, ending{receipt: *now.Exit}, nil
	}
	if now.State.Billing() {
		late := r.overdue(now)
		return late != nil, ending{err: late}, nil
	}
	receipt, err := r.lastLook(ctx)
	return true, ending{receipt, err}, nil
}

// lastLook asks once more for a receipt that outlived its machine.
func (r *Run) lastLook(ctx context.Context) (Receipt, error) {
	if s, err := r.proc.Status(ctx); err == nil && s.Receipt != nil {
		return *r.checked(s).Receipt, nil
	}
	i := r.Instance()
	return Receipt{}, r.lost(fmt.Sprintf("the cloud shows the machine %s%s", i.State, because(i.Reason)))
}

// checked bounds one look at the run. A receipt of a cloud that does not keep the run's name gets it.
func (r *Run) checked(s Status) Status {
	if s = checkStatus(s); s.Receipt != nil && s.Receipt.Run == "" {
		s.Receipt.Run = r.run
	}
	return s
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
