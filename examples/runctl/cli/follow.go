package cli

import (
	"context"
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
		x.say.sayf("%s runs on, %s; its machine stays until you end it\n%s", r.Name, silenceText(time.Duration(r.Lease)), followUp(r))
	case !r.EndsItself:
		x.say.warnf("%s: detached. Its machine cannot end itself: one of these must, or it bills on\n%s", r.Name, followUp(r))
	default:
		unwatched := ""
		if r.Lease > 0 {
			unwatched = fmt.Sprintf(", %s from now unless somebody watches it (--lease)", durText(time.Duration(r.Lease)))
		}
		x.say.sayf("%s: detached. Ends when the job does (+%s to collect)%s, at the latest %s\n%s", r.Name,
			durText(time.Duration(r.Keep)), unwatched, x.clock(r.deadline()), followUp(r))
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
