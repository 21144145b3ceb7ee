package runctl

import (
	"context"
	"fmt"
	"time"
)

// A vessel has no guard that greets, and a job on it no lease. So whoever waits for one asks its cloud twice how it is:
// when it ought to be up, and when it ought to be over.

// endSlack is how long after its lifetime a vessel may still bill before nobody expects it to end itself: its job has its
// grace, and the machine some time to go.
const endSlack = 10 * time.Minute

// hold is one wait for the run's end. due: it was broken off because the machine is to be looked at.
func (r *Run) hold(ctx context.Context) (s Status, due bool, err error) {
	own, broken, free := r.leash(ctx)
	defer free()
	s, err = r.proc.Wait(own)
	return s, err != nil && broken(), err
}

// leash is ctx, ended when the machine is to be looked at; broken reports whether that was why.
func (r *Run) leash(ctx context.Context) (own context.Context, broken func() bool, free func()) {
	left, timed := r.untilDue()
	if !timed {
		return ctx, func() bool { return false }, func() {}
	}
	own, free = context.WithTimeout(ctx, left)
	return own, func() bool { return own.Err() != nil && ctx.Err() == nil }, free
}

// untilDue is how long the machine may be left alone; false: for ever, on the shell road and where the cloud tells no times.
func (r *Run) untilDue() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.inst
	age := i.Age()
	if !i.timed() {
		return 0, false
	}
	if r.look.IsZero() {
		r.look = time.Now()
	}
	age += time.Since(r.look)
	left := i.Mark.Lifetime + endSlack - age
	if up := r.c.cfg.Deadlines.Boot - age; i.State == StatePending && up < left {
		left = up
	}
	return max(left, 0) + time.Second, true // clouds' clocks have whole seconds
}

// timed reports whether the machine is a vessel that goes on, and whose age and lifetime are known.
func (i Instance) timed() bool {
	return i.Road == RoadJob && i.State.Billing() && i.Age() >= 0 && i.Mark != (Mark{})
}

// visit asks the cloud until it answers: is the machine over, or overdue?
func (r *Run) visit(ctx context.Context) (bool, ending) {
	for n := 1; ; n++ {
		over, gone, err := r.evidence(ctx)
		if err == nil {
			return over, gone
		}
		if wait := sleep(ctx, r.pause(n)); wait != nil {
			return true, ending{err: r.fail("wait", wait)}
		}
	}
}

// overdue is the error for a vessel that ought to be up or over, and is not; nil: it is in time, or it has ended.
func (r *Run) overdue(i Instance) error {
	if !i.timed() || i.Exit != nil {
		return nil
	}
	e := r.fail("wait", nil)
	e.Kind, e.MayBill = ErrTimeout, true
	switch age, boot := i.Age(), r.c.cfg.Deadlines.Boot; {
	case age >= i.Mark.Lifetime+endSlack:
		e.Msg = fmt.Sprintf("its lifetime of %s is over, and it has neither ended nor left a receipt; it bills until somebody terminates it", i.Mark.Lifetime)
	case i.State == StatePending && age >= boot:
		e.Msg = fmt.Sprintf("the machine did not come up within %s; it bills until somebody terminates it", boot)
	default:
		return nil
	}
	return e
}
