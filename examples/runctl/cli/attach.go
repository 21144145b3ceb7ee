package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"runctl"
)

func (a *app) attachCommand() *cobra.Command {
	c := newCommand("attach [RUN]", "Follow a run again as run would: its whole log, collect, terminate", between(0, 1, "at most one run"),
		func(ctx context.Context, args []string) error { return a.attach(ctx, args) })
	c.Annotations = map[string]string{followsRun: "yes"}
	a.addRaw(c)
	return c
}

func (a *app) attach(ctx context.Context, args []string) error {
	x, rec, err := a.openRun(ctx, args)
	if err != nil {
		return err
	}
	if !rec.live() {
		return a.replay(x, rec)
	}
	defer x.client.Close()
	unlock, mine := x.lock(rec)
	defer unlock()
	if !mine {
		x.say.sayf("%s: another runctl follows it and will collect it; only watching", rec.Name)
	}
	signals, stop := a.notify()
	defer stop()
	run, err := x.find(ctx, rec)
	if err != nil {
		return err
	}
	return x.follow(ctx, &watch{rec: rec, run: run, signals: signals, mine: mine})
}

// openRun opens the state directory and the run's record, and while it is live a session with its provider.
func (a *app) openRun(ctx context.Context, args []string) (*session, *record, error) {
	s, err := a.openState()
	if err != nil {
		return nil, nil, err
	}
	rec, err := a.findRun(s, args)
	if err != nil {
		return nil, nil, err
	}
	if !rec.live() {
		return &session{app: a, state: s}, rec, nil
	}
	x, err := a.one(ctx, s, rec.Ref.Provider)
	return x, rec, err
}

// find attaches to a live run. One whose machine is gone ends here, as lost; one whose launch is in doubt
// stays in doubt while its machine is not seen.
func (x *session) find(ctx context.Context, rec *record) (*runctl.Run, error) {
	run, err := x.client.Attach(ctx, rec.Ref)
	switch {
	case err == nil && (rec.Receipt == nil || run.Instance().State.Billing()):
		return run, x.found(ctx, rec, run)
	case err != nil && !errors.Is(err, runctl.ErrNotFound) && !errors.Is(err, runctl.ErrLost):
		return nil, err
	}
	x.reread(rec)
	if rec.live() && rec.Receipt != nil { // whoever had it has not come to write down the machine's end
		code := jobExit(*rec.Receipt)
		rec.end(x.now(), outcome(*rec.Receipt), "its machine is gone")
		rec.Exit = cmp.Or(rec.Exit, &code)
		x.keep(rec)
	}
	if !rec.live() {
		return nil, &exitError{x.resultOf(rec).code, fmt.Errorf("%s: ended in the meantime, %s", rec.Name, rec.Outcome)}
	}
	if rec.Phase == phaseDoubt {
		return nil, &exitError{exitDoubt, fmt.Errorf("%s: still in doubt: no machine with key %s is seen at %s\n%s", rec.Name, rec.Ref.Key,
			rec.Ref.Provider, x.doubtHelp(rec))}
	}
	code := exitLost
	rec.end(x.now(), "lost", err.Error())
	rec.Exit = &code
	if rec.Launched == nil {
		rec.Outcome = "not started"
	}
	x.keep(rec)
	return nil, &exitError{exitLost, fmt.Errorf("%s: %s, its machine is gone and left no receipt: %w", rec.Name, rec.Outcome, err)}
}

// found takes note of a run's machine. When the launch was cut short, the job may never have reached it.
func (x *session) found(ctx context.Context, rec *record, run *runctl.Run) error {
	if rec.Phase == phaseRunning && rec.Ref.ID != "" {
		return nil
	}
	s, err := run.Status(ctx)
	if s.Receipt == nil && s.Live != runctl.Alive && run.Instance().State.Billing() {
		why := s.Evidence
		if err != nil {
			why = err.Error()
		}
		return &exitError{exitDoubt, fmt.Errorf("%s: its machine %s is there, but not its job: %s\n%-36s end the machine", rec.Name,
			run.Instance().ID, why, command("runctl", "terminate", rec.Name))}
	}
	rec.Ref, rec.Phase = run.Ref(), phaseRunning
	if t := run.Instance().Launched; rec.Launched == nil && !t.IsZero() {
		rec.Launched = utc(t)
	}
	x.keep(rec)
	return nil
}

// replay is attach for a run that was collected already.
func (a *app) replay(x *session, rec *record) error {
	if rec.Log != "" {
		if err := a.show(savedLog(rec.Log), logFlags{tail: -1}); err != nil {
			a.say.warnf("%s: %v", rec.Name, err)
		}
	}
	res := x.resultOf(rec)
	a.say.sayf("%s: ended %s, %s", rec.Name, a.clock(*rec.Ended), res.outcome)
	if a.opt.json {
		x.closing(rec, res)
	}
	return res.exit()
}

// resultOf is the result of a run that has ended, from its record.
func (x *session) resultOf(rec *record) *result {
	res := &result{outcome: rec.Outcome, receipt: rec.Receipt, note: rec.Note, cost: rec.Cost.money(), code: exitLost}
	if rec.Exit != nil {
		res.code = *rec.Exit
	}
	return res
}

func (a *app) waitCommand() *cobra.Command {
	var timeout duration
	c := newCommand("wait [RUN]", "Wait for a run's end in silence; the exit code is the job's", between(0, 1, "at most one run"),
		func(ctx context.Context, args []string) error { return a.wait(ctx, args, time.Duration(timeout)) })
	c.Annotations = map[string]string{followsRun: "yes"}
	c.Flags().Var(&timeout, "timeout", "give up waiting after so long; the run goes on (exit 122)")
	return c
}

func (a *app) wait(ctx context.Context, args []string, timeout time.Duration) error {
	a.say.quiet = true
	x, rec, err := a.openRun(ctx, args)
	if err != nil {
		return err
	}
	if !rec.live() {
		res := x.resultOf(rec)
		if a.opt.json {
			x.closing(rec, res)
		}
		return res.exit()
	}
	defer x.client.Close()
	own, stop := context.WithCancel(ctx)
	defer stop()
	if timeout > 0 {
		own, stop = context.WithTimeout(ctx, timeout)
		defer stop()
	}
	late := func() error {
		return &exitError{exitDoubt, fmt.Errorf("%s: not ended after %s, and may bill\n%s", rec.Name, durText(timeout), followUp(rec))}
	}
	run, err := x.find(own, rec)
	switch {
	case err != nil && own.Err() != nil && ctx.Err() == nil:
		return late()
	case err != nil:
		return err
	}
	signals, end := a.notify()
	defer end()
	done := make(chan ending, 1)
	go func() {
		r, err := run.Wait(own)
		done <- ending{r, err}
	}()
	select {
	case sig := <-signals:
		return &exitError{signalExit(sig), fmt.Errorf("%s: stopped waiting; the run goes on\n%s", rec.Name, followUp(rec))}
	case e := <-done:
		if own.Err() != nil {
			return late()
		}
		return x.settle(ctx, &watch{rec: rec, run: run, signals: signals}, e, nil)
	}
}

func (a *app) cancelCommand() *cobra.Command {
	var grace duration
	c := newCommand("cancel RUN", "End a run: TERM, and KILL after the grace; collect, terminate", between(1, 1, "one run"),
		func(ctx context.Context, args []string) error { return a.cancelRun(ctx, args, time.Duration(grace)) })
	c.Flags().Var(&grace, "grace", "from TERM to KILL (the job's own)")
	return c
}

// cancelRun ends a run and, unless somebody else follows it, collects it and ends its machine.
func (a *app) cancelRun(ctx context.Context, args []string, grace time.Duration) error {
	x, rec, err := a.openRun(ctx, args)
	if err != nil {
		return err
	}
	if !rec.live() {
		a.say.sayf("%s: ended already, %s", rec.Name, rec.Outcome)
		return nil
	}
	defer x.client.Close()
	unlock, mine := x.lock(rec)
	defer unlock()
	signals, stop := a.notify()
	defer stop()
	run, err := x.find(ctx, rec)
	if err != nil {
		return asFailed(err)
	}
	if grace == 0 {
		grace = orGrace(time.Duration(rec.Grace))
	}
	if err := run.Cancel(ctx, grace); err != nil {
		return err
	}
	if !mine {
		x.say.sayf("%s: cancelled; the runctl that follows it collects and terminates", rec.Name)
		return nil
	}
	x.stdout, x.outTTY = io.Discard, false // the log is saved, not shown
	err = x.follow(ctx, &watch{rec: rec, run: run, signals: signals, mine: true})
	if e := (*exitError)(nil); errors.As(err, &e) && e.code == exitDoubt || rec.live() {
		return asFailed(err)
	}
	return nil
}

// asFailed makes an error's exit code the one that means failed.
func asFailed(err error) error {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return &exitError{exitFailed, e.err}
	}
	return err
}
