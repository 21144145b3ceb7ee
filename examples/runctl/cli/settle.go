package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"runctl"
)

// settle is what happens after the run's end: collect, terminate, record, say so.
func (x *session) settle(ctx context.Context, w *watch, e ending, cancelled os.Signal) error {
	rec := w.rec
	var exit *runctl.ExitError
	switch {
	case errors.As(e.err, &exit):
		e.receipt = exit.Result
	case w.mine && errors.Is(e.err, runctl.ErrTimeout): // the machine is overdue: it is ended as one that was lost
	case e.err != nil && !errors.Is(e.err, runctl.ErrLost) && !errors.Is(e.err, runctl.ErrNotFound):
		if rec.free() {
			return fmt.Errorf("%s: %w\n%s", rec.Name, e.err, followUp(rec))
		}
		return &exitError{exitDoubt, fmt.Errorf("%s: %w. It may still run and bill\n%s", rec.Name, e.err, followUp(rec))}
	}
	lost := e.err != nil && exit == nil
	if lost && !w.mine { // whoever collects it may have ended its machine before we saw the end
		if x.reread(rec); rec.Receipt != nil {
			e.receipt, lost = *rec.Receipt, false
		}
	}
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
	if rec.Receipt = res.receipt; res.receipt != nil {
		x.keep(rec) // before its machine is ended, for those who watch, and for an attach if we are killed here
	}
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
		b := x.newBar(w.rec.Name + "  collecting")
		b.event = func(p runctl.TransferProgress) {
			x.json.event("collecting", map[string]any{"run": w.rec.Name, "path": out, "files": p.Files, "total_files": p.TotalFiles, "bytes": p.Bytes, "total_bytes": p.TotalBytes})
		}
		err := w.run.Download(ctx, out, w.rec.OutDir, runctl.TransferOptions{Progress: b.progress})
		skipped := (*runctl.SkippedError)(nil)
		switch {
		case errors.As(err, &skipped): // another try would leave them out too
			x.say.warnf("%s: %v", w.rec.Name, skipped)
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
