package runctl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"runctl/internal/carry"
)

// Start launches a machine and starts the job on it: the cheapest offer that the spec's needs match, or the
// very offer it names. It returns when the job was handed over. The machine ends itself Keep after the job's
// end, and at its lifetime at the latest, whatever becomes of the caller; Terminate ends it sooner.
//
// Errors and keys are those of [Client.Launch]. When the caller cancels between launch and start, the machine
// stays for the next Start with the same key, and ends itself after Keep. When a phase misses its deadline
// the machine is terminated and the error is ErrTimeout; ErrGuard when what would end the machine did not come up. A
// machine that an earlier call launched, and that may run the job already, is left alone: the error has MayBill.
func (c *Client) Start(ctx context.Context, s RunSpec) (*Run, error) {
	if s.Keep == 0 {
		s.Keep = defaultKeep
	}
	p, err := c.plan(ctx, s.launch(), &s.Job)
	if err != nil {
		return nil, err
	}
	i, found, err := c.launch(ctx, p)
	if err != nil {
		return nil, err
	}
	a, err := c.account(i.Provider)
	if err != nil {
		return nil, err
	}
	if i.Road == RoadJob {
		r, err := c.newRun(ctx, a, i, p.job.ID)
		if err != nil {
			e := asError(err, ErrUnavailable)
			e.MayBill = true
			e.Msg = "the job was launched, but it cannot be followed now; Attach to it, or Start it again with this key"
			return nil, e
		}
		return r, nil
	}
	r, err := c.submit(ctx, a, i, *p.job, p.digest)
	if err != nil {
		return nil, c.strand(ctx, a, i, err, found && c.mayRun(ctx, a, i, p.job.ID))
	}
	return r, nil
}

// Run is Start, Wait, collecting the job's outputs into spec.Collect where that is set, and Terminate. The
// error is nil only for a receipt with exit code 0, with all outputs collected, and after the machine was shown ended. When the context
// ends first, the job goes on; the same key finds it again. A machine that has what could not be collected or
// delivered is not terminated: it ends itself Keep after the job's end.
func (c *Client) Run(ctx context.Context, s RunSpec) (Receipt, error) {
	r, err := c.Start(ctx, s)
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := r.Wait(ctx)
	if ctx.Err() != nil {
		return receipt, err
	}
	if s.Collect != "" && (err == nil || kindOf(err) == "") {
		for _, out := range s.Job.Outputs {
			down := r.Download(ctx, out, s.Collect)
			if skipped := (*SkippedError)(nil); errors.As(down, &skipped) { // another try would leave it out too
				err = errors.Join(err, down)
			} else if down != nil {
				return receipt, errors.Join(err, fmt.Errorf("the machine is kept for another try: %w", down))
			}
		}
	}
	if receipt.ExitCode == carry.Failed && (len(s.Job.Results) > 0 || s.Job.Checkpoints != nil) {
		return receipt, errors.Join(err, &Error{Provider: r.inst.Provider, Op: "run", ID: r.inst.ID, Key: r.inst.Mark.Key, MayBill: true,
			Msg: "what the job has left may not have been delivered, and the log says why; the machine is kept for another try"})
	}
	return receipt, errors.Join(err, c.Terminate(ctx, r.Ref()))
}

// Submit starts a job on a machine that was launched by hand, and waits until it can be reached. The job's
// ID is the run's idempotency key: repeated, it finds the run. A machine that is stopped, gone, another
// owner's, or busy with a run that does not share is ErrConflict. Submit never ends the machine, also not one
// that has no guard: that is ErrGuard, with MayBill.
func (c *Client) Submit(ctx context.Context, on Ref, j Job) (*Run, error) {
	if j.ID == "" {
		j.ID = "r-" + shortHash(12, rand.Text())
	}
	if err := checkJob(j); err != nil {
		return nil, err
	}
	a, i, err := c.find(ctx, on)
	if err != nil {
		return nil, err
	}
	if err := c.pinned(a, i, on); err != nil {
		return nil, err
	}
	refuse := func(msg string) error {
		return &Error{Provider: a.info.Name, Op: "submit", ID: i.ID, Key: i.Mark.Key, Kind: ErrConflict, Msg: msg}
	}
	switch {
	case !i.State.Billing():
		return nil, refuse("the machine has ended; launch another")
	case i.State == StateStopped || i.State == StateStopping:
		return nil, refuse("the machine is stopped; StartInstance it first")
	case i.Road == RoadJob:
		return nil, refuse("the machine is the vessel of one job and takes no other")
	case j.Lease > i.Mark.Lifetime:
		return nil, invalid("Job.Lease", "%s: at most the machine's lifetime of %s", j.Lease, i.Mark.Lifetime)
	case i.Age() > i.Mark.Lifetime:
		return nil, refuse(fmt.Sprintf("its lifetime of %s is over; launch another", i.Mark.Lifetime))
	}
	if err := checkPlace(a, Offer{Keeps: true}, &j); err != nil {
		return nil, err
	}
	if err := checkHold(j, i.Mark.Lifetime-max(i.Age(), 0)); err != nil {
		return nil, err
	}
	if err := atHand(ctx, j, i.Mark.Lifetime-max(i.Age(), 0)); err != nil && !(&shellProcess{c: c, a: a, inst: i, run: j.ID}).begun(ctx) {
		return nil, &Error{Provider: a.info.Name, Op: "submit", ID: i.ID, Key: j.ID, Kind: kindOf(err), Err: err}
	}
	r, err := c.submit(ctx, a, i, j, digest(LaunchSpec{}, &j))
	if kindOf(err) == ErrGuard {
		e := asError(err, "")
		e.MayBill, e.Msg = true, e.Msg+". It was left as it is, and bills until somebody terminates it"
		err = e
	}
	return r, err
}

// submit brings a job to a machine: up, reachable, its code there, handed over, each within its deadline.
func (c *Client) submit(ctx context.Context, a *account, i Instance, j Job, digest string) (*Run, error) {
	i, err := c.reach(ctx, a, i)
	if err != nil {
		return nil, err
	}
	if err := c.greet(ctx, a, i); err != nil {
		return nil, err
	}
	if err := c.mayHaveSecrets(a, i, j); err != nil {
		return nil, err
	}
	p := &shellProcess{c: c, a: a, inst: i, run: j.ID}
	for again := false; ; again = true {
		if err := c.sync(ctx, p, j); err != nil {
			return nil, err
		}
		err := c.handOver(ctx, p, j, digest)
		if err == nil {
			break
		}
		if again || !lacksCode(err, j) {
			return nil, err
		}
	}
	p.lease.set(j.Lease)
	c.trace(Event{Name: EventStarted, Provider: a.info.Name, ID: i.ID, Key: i.Mark.Key, Run: j.ID})
	return &Run{c: c, a: a, inst: i, run: j.ID, proc: p}, nil
}

// handOver starts the job. Repeating a start finds the first, so it is repeated until the answer is known.
func (c *Client) handOver(ctx context.Context, p *shellProcess, j Job, digest string) error {
	return c.retry(ctx, c.cfg.Deadlines.Submit, "the job could not be handed over", p.inst.ID, func(ctx context.Context) (bool, error) {
		err := p.start(ctx, j, digest)
		return !settles(err), err
	})
}

// settles reports whether asking the same again cannot change the answer.
func settles(err error) bool {
	k := kindOf(err)
	return k == ErrInvalid || k == ErrConflict || k == ErrClosed || k == ErrHostKey
}

// reach waits until a machine runs and commands can be run on it.
func (c *Client) reach(ctx context.Context, a *account, i Instance) (Instance, error) {
	if i.State != StateRunning {
		err := c.phase(ctx, c.cfg.Deadlines.Boot, "the machine did not come up", func(ctx context.Context) (err error) {
			i, err = c.wait(ctx, a, i, func(i Instance) bool { return i.State == StateRunning })
			return err
		})
		if err != nil {
			return i, err
		}
	}
	c.trace(Event{Name: EventRunning, Provider: a.info.Name, ID: i.ID, Key: i.Mark.Key})
	tried := false
	err := c.retry(ctx, c.cfg.Deadlines.Connect, "the machine is up but cannot be reached", i.ID, func(ctx context.Context) (bool, error) {
		if tried {
			if now, err := c.get(ctx, a, i.ID, i.Mark.Key); err == nil {
				if i = now; !i.State.Billing() {
					return false, &Error{Provider: a.info.Name, Op: "connect", ID: i.ID, Key: i.Mark.Key, Kind: ErrLost, Msg: "the machine has ended" + because(i.Reason)}
				}
			}
		}
		tried = true
		_, err := c.machine(ctx, a, i)
		return !settles(err) && !errors.Is(err, errors.ErrUnsupported), err
	})
	if err == nil {
		c.trace(Event{Name: EventConnected, Provider: a.info.Name, ID: i.ID, Key: i.Mark.Key})
	}
	return i, err
}

// phase bounds f. When the phase's own deadline passes, and not the caller's, the error is ErrTimeout.
func (c *Client) phase(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	own, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(own)
	switch {
	case err == nil || own.Err() == nil:
		return err
	case ctx.Err() == nil:
		return &Error{Kind: ErrTimeout, Err: err, Msg: fmt.Sprintf("%s within %s", what, limit)}
	}
	return &leftError{what, err}
}

// leftError is a phase that its caller did not wait for.
type leftError struct {
	what string
	err  error // of the last attempt that was not cut short
}

func (e *leftError) Error() string {
	if errors.Is(e.err, context.Canceled) || errors.Is(e.err, context.DeadlineExceeded) {
		return e.what
	}
	return e.what + ": " + e.err.Error()
}
func (e *leftError) Unwrap() error { return e.err }

// retry is a phase of attempts, until one says that no other would help. They come at most 10 s apart or so: whoever waits
// here waits beside a machine that is paid for.
func (c *Client) retry(ctx context.Context, limit time.Duration, what, id string, try func(context.Context) (again bool, err error)) error {
	return c.phase(ctx, limit, what, func(ctx context.Context) error {
		var last error
		for n := 1; ; n++ {
			again, err := try(ctx)
			if err == nil || !again {
				return err
			}
			if last == nil || ctx.Err() == nil { // an attempt that was cut short says less than the one before it
				last = err
			}
			if sleep(ctx, min(delay(id, n), 10*time.Second)) != nil {
				return last
			}
		}
	})
}

// Attach finds a run again from its stored reference, in any process of the owner. A reference without a run
// means the run that its machine was launched for.
func (c *Client) Attach(ctx context.Context, ref Ref) (*Run, error) {
	a, i, err := c.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := c.pinned(a, i, ref); err != nil {
		return nil, err
	}
	if ref.Run == "" {
		ref.Run = i.Mark.Key
	}
	return c.newRun(ctx, a, i, ref.Run)
}

// newRun makes the handle of a run by the instance's road.
func (c *Client) newRun(ctx context.Context, a *account, i Instance, run string) (*Run, error) {
	r := &Run{c: c, a: a, inst: i, run: run}
	if i.Road != RoadJob {
		r.proc = &shellProcess{c: c, a: a, inst: i, run: run}
		return r, nil
	}
	jr, ok := As[JobRunner](a.Provider)
	if !ok {
		return nil, &Error{Provider: a.info.Name, Op: "attach", ID: i.ID, Kind: ErrInvalid, Err: errors.ErrUnsupported, Msg: "the machine is the vessel of a job, and the provider cannot follow jobs"}
	}
	p, err := jr.Process(ctx, i)
	if err != nil {
		return nil, c.wrap(a, Event{Op: "attach", ID: i.ID, Key: i.Mark.Key, Run: run}, err)
	}
	r.proc = p
	return r, nil
}
