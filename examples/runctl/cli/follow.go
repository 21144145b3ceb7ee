package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"runctl"
)

// watch is one run being followed to its end.
type watch struct {
	rec     *record
	run     *runctl.Run
	signals <-chan os.Signal
	mine    bool  // collect and terminate when the job has ended
	out     *sink // where its log goes
}

// ending is how a run's following ended.
type ending struct {
	receipt runctl.Receipt
	err     error
}

// follow prints the run's whole log until its end, then collects, terminates and records. Its error carries
// the exit code. Interrupts ask, cancel, detach or leave, as the help of run says.
func (x *session) follow(ctx context.Context, w *watch) error {
	out, err := x.openSink(w.rec, w.mine)
	if err != nil {
		x.say.warnf("%s: the log is not saved: %v", w.rec.Name, err)
	}
	w.out = out
	defer out.close()
	own, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan ending, 1)
	go func() {
		r, err := pump(own, w.run, out)
		done <- ending{r, err}
	}()
	var cancelled os.Signal // what made us cancel
	var answers <-chan string
	failed := make(chan error, 1)
	for {
		select {
		case e := <-done:
			out.flush()
			return x.settle(ctx, w, e, cancelled)
		case err := <-failed:
			x.say.warnf("%s: could not be cancelled: %v", w.rec.Name, err)
			cancelled = nil
		case sig := <-w.signals:
			switch {
			case sig == syscall.SIGHUP:
				stop()
				x.detached(w.rec, w.mine)
				return &exitError{code: exitDoubt}
			case cancelled != nil || answers != nil:
				stop()
				return x.leave(w.rec)
			case sig == os.Interrupt && x.interactive():
				out.pause()
				x.say.ask(x.stillRunning(w.rec) + "  [c]ancel and terminate   [d]etach   Enter: keep watching")
				answers = x.lines()
				continue
			}
			cancelled = sig
			x.cancel(ctx, w, failed)
		case line, ok := <-answers:
			answers = nil
			out.resume()
			switch strings.ToLower(strings.TrimSpace(line)) {
			case "c":
				cancelled = os.Interrupt
				x.cancel(ctx, w, failed)
			case "d":
				stop()
				x.detached(w.rec, w.mine)
				return nil
			}
			if !ok {
				x.inTTY = false // nobody is there to ask any more
			}
		}
	}
}

// pump prints the log to its end and waits for the receipt.
func pump(ctx context.Context, run *runctl.Run, out *sink) (runctl.Receipt, error) {
	out.copy(ctx, run)
	r, err := run.Wait(ctx)
	if ctx.Err() == nil && r.LogBytes > out.offset() {
		out.copy(ctx, run)
	}
	return r, err
}

// cancel asks for the job's end in the background.
func (x *session) cancel(ctx context.Context, w *watch, failed chan<- error) {
	grace := orGrace(time.Duration(w.rec.Grace))
	x.say.sayf("%s: cancelling; it has %s to save and leave. Once more leaves at once", w.rec.Name, durText(grace))
	go func() {
		if err := w.run.Cancel(ctx, grace); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
}

// orGrace is the time between TERM and KILL when none was asked for.
func orGrace(d time.Duration) time.Duration {
	if d == 0 {
		return 30 * time.Second
	}
	return d
}

// stillRunning says what goes on while a question is open.
func (x *session) stillRunning(r *record) string {
	if r.Offer == nil || r.free() || !r.Offer.price().Hourly.Known() {
		return "still running."
	}
	return fmt.Sprintf("still running at %s/h.", moneyText(r.Offer.price().Hourly))
}

// detached says how the run goes on without us.
func (x *session) detached(r *record, mine bool) {
	switch {
	case !mine:
		x.say.sayf("%s: stopped watching; the run goes on\n%s", r.Name, followUp(r))
	case r.ByHand:
		x.say.sayf("%s runs on; its machine stays until you end it\n%s", r.Name, followUp(r))
	case !r.EndsItself:
		x.say.warnf("%s: detached. Its machine cannot end itself: one of these must, or it bills on\n%s", r.Name, followUp(r))
	default:
		x.say.sayf("%s: detached. Ends when the job does (+%s to collect), at the latest %s\n%s", r.Name,
			durText(time.Duration(r.Keep)), x.clock(r.deadline()), followUp(r))
	}
	if x.opt.json {
		x.json.event("detached", map[string]any{"run": r.Name, "ref": r.Ref, "ends_by": utc(r.deadline())})
	} else if r.Phase == phaseRunning && mine && x.printName {
		fmt.Fprintln(x.stdout, r.Name)
	}
}

// leave is the answer to a second interrupt.
func (x *session) leave(r *record) error {
	return &exitError{exitDoubt, fmt.Errorf("%s: left at once; it may still run and bill\n%s", r.Name, followUp(r))}
}

// settle is what happens after the run's end: collect, terminate, record, say so.
func (x *session) settle(ctx context.Context, w *watch, e ending, cancelled os.Signal) error {
	rec := w.rec
	var exit *runctl.ExitError
	switch {
	case errors.As(e.err, &exit):
		e.receipt = exit.Result
	case e.err != nil && !errors.Is(e.err, runctl.ErrLost) && !errors.Is(e.err, runctl.ErrNotFound):
		if rec.free() {
			return fmt.Errorf("%s: %w\n%s", rec.Name, e.err, followUp(rec))
		}
		return &exitError{exitDoubt, fmt.Errorf("%s: %w. It may still run and bill\n%s", rec.Name, e.err, followUp(rec))}
	}
	lost := e.err != nil && exit == nil
	var res result
	if lost {
		res = result{code: exitLost, outcome: "lost", note: e.err.Error()}
	} else {
		res = result{code: jobExit(e.receipt), outcome: outcome(e.receipt), receipt: &e.receipt}
	}
	if cancelled != nil && !lost && e.receipt.Cause == runctl.CauseCancel {
		res.code = signalExit(cancelled)
	}
	if !w.mine {
		x.closing(rec, &res)
		return res.exit()
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		x.windUp(context.WithoutCancel(ctx), w, &res)
	}()
	for asked := cancelled != nil; ; asked = true {
		select {
		case <-finished:
			x.closing(rec, &res)
			return res.exit()
		case <-w.signals:
			if asked {
				return x.leave(rec)
			}
			x.say.warnf("%s: collecting and terminating. Once more leaves at once", rec.Name)
		}
	}
}

// result is what is said and recorded of a run that has ended.
type result struct {
	code       int
	outcome    string
	receipt    *runctl.Receipt
	note       string
	ended      time.Time // the machine's end, as far as we know
	terminated bool      // shown ended by the provider
	took       time.Duration
	cost       runctl.Money
	err        error // something was not collected or not ended

	uncollected bool
}

func (r *result) exit() error {
	if r.code == exitOK {
		return nil
	}
	return &exitError{code: r.code}
}

// windUp collects, terminates and records. What could not be collected keeps its machine, unless the job
// failed and simply left nothing there.
func (x *session) windUp(ctx context.Context, w *watch, res *result) {
	rec := w.rec
	keep := false
	if res.receipt != nil {
		keep = x.collect(ctx, w, res)
	}
	w.out.save()
	over := rec.ByHand
	switch {
	case rec.ByHand:
	case keep && x.bills(ctx, rec):
		res.note = "its machine is kept: " + command("runctl", "attach", rec.Name) + " tries again, " + command("runctl", "terminate", rec.Name) + " ends it"
	default:
		err := x.client.Terminate(ctx, rec.Ref)
		res.terminated = err == nil
		if over = err == nil || errors.Is(err, runctl.ErrNotFound); !over {
			res.err = errors.Join(res.err, err)
		}
	}
	x.account(ctx, rec, res)
	switch {
	case !over && !rec.free():
		res.code = exitDoubt
	case res.err != nil && res.code == exitOK:
		res.code = exitRunctl
	}
	now, exit := x.now().UTC(), res.code
	rec.Outcome, rec.Exit, rec.Receipt, rec.Cost, rec.Note = res.outcome, &exit, res.receipt, toMoney(res.cost), res.note
	if over {
		rec.Phase, rec.Ended = phaseEnded, &now
	}
	x.keep(rec)
}

// collect downloads everything that the job put into its output directory, and the paths of --out. It reports
// whether the machine still holds what should be had.
func (x *session) collect(ctx context.Context, w *watch, res *result) (keep bool) {
	for _, out := range append([]string{"."}, w.rec.Outputs...) {
		err := w.run.Download(ctx, out, w.rec.OutDir)
		switch {
		case err == nil, out == "." && errors.Is(err, errors.ErrUnsupported):
		case out == "." && !x.bills(ctx, w.rec): // nobody asked for it by name, and nobody can have it any more
			x.say.warnf("%s: its output directory went with its machine: %v", w.rec.Name, err)
		default:
			res.err = errors.Join(res.err, err)
			res.uncollected = true
			keep = keep || res.receipt.Succeeded() || !refused(err)
		}
	}
	return keep
}

// refused reports whether a download failed because of what was asked for, not on the way.
func refused(err error) bool {
	return errors.Is(err, runctl.ErrConflict) || errors.Is(err, runctl.ErrInvalid) || errors.Is(err, runctl.ErrNotFound)
}

// bills reports whether the run's machine may still be there.
func (x *session) bills(ctx context.Context, rec *record) bool {
	i, err := x.client.Get(ctx, rec.Ref)
	return err == nil && i.State.Billing() || err != nil && !errors.Is(err, runctl.ErrNotFound)
}

// account works out how long the machine was there and what it cost: by the cloud's own clock where it
// tells, else by ours.
func (x *session) account(ctx context.Context, rec *record, res *result) {
	res.ended = x.now()
	if i, err := x.client.Get(ctx, rec.Ref); err == nil {
		if !i.Ended.IsZero() && !i.Launched.IsZero() {
			res.took, res.cost = i.Ended.Sub(i.Launched), i.Cost()
		}
		if !i.Ended.IsZero() {
			res.ended = i.Ended
		}
	}
	if rec.Launched != nil && res.took == 0 {
		res.took = min(res.ended.Sub(*rec.Launched), time.Duration(rec.Lifetime))
	}
	if rec.Offer != nil && !res.cost.Known() {
		o := runctl.Offer{Price: rec.Offer.price()}
		if res.cost = o.Cost(res.took); o.Price.Free() {
			res.cost = o.Price.Hourly
		}
	}
}
