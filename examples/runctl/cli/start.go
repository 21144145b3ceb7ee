package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"runctl"
)

// start launches the machine and hands the job over. An interrupt ends what was launched.
func (x *session) start(ctx context.Context, rec *record, spec *runctl.RunSpec, signals <-chan os.Signal) (*runctl.Run, error) {
	track := x.newTracker(rec.Name)
	track.code = spec.Job.Code != nil
	x.listenSync(track.sync)
	defer x.listenSync(nil)
	launched := false
	var mu sync.Mutex // of the record, while the launch is under way
	x.listen(func(e runctl.Event) {
		mu.Lock()
		switch e.Name {
		case runctl.EventLaunching:
			rec.Ref.Provider, rec.Offer, rec.EndsItself = e.Provider, toOffer(*e.Offer), e.Offer.EndsItself
			x.keep(rec)
		case runctl.EventLaunched, runctl.EventAdopted:
			rec.Ref.ID, rec.Launched, launched = e.ID, utc(x.now()), true
			x.keep(rec)
		}
		mu.Unlock()
		track.event(e)
		x.phaseEvent(rec, e)
	})
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		run *runctl.Run
		err error
	}
	done := make(chan result, 1)
	go func() {
		run, err := x.client.Start(own, *spec)
		done <- result{run, err}
	}()
	var got os.Signal
	for {
		select {
		case r := <-done:
			x.listen(func(e runctl.Event) { x.phaseEvent(rec, e) })
			if r.err == nil {
				track.event(runctl.Event{Name: runctl.EventStarted}) // the job road has no such moment of its own
			}
			track.close()
			if r.err == nil {
				rec.Ref, rec.Phase = r.run.Ref(), phaseRunning
				if rec.Launched == nil {
					rec.Launched = utc(x.now())
				}
				x.keep(rec)
			}
			switch {
			case got != nil:
				given := make(chan error, 1)
				go func() { given <- x.abandon(ctx, rec, r.err, got, launched) }()
				select {
				case err := <-given:
					return nil, err
				case <-signals:
					return nil, x.leave(rec) // the record was kept when the machine was launched
				}
			case r.err != nil:
				return nil, x.notStarted(ctx, rec, r.err, launched)
			}
			return r.run, nil
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				x.say.sayf("%s: going on until the job runs", rec.Name)
			case got != nil:
				track.close()
				mu.Lock()
				rec.Phase = phaseDoubt
				x.keep(rec)
				mu.Unlock()
				return nil, x.leave(rec)
			default:
				got = s
				x.say.warnf("%s: giving up the launch; what was launched is ended. Once more leaves at once", rec.Name)
				cancel()
			}
		}
	}
}

// keep saves the record; a failure must not stop what is under way.
func (x *session) keep(rec *record) {
	if err := x.save(rec); err != nil {
		x.say.warnf("%s: the record was not saved: %v", rec.Name, err)
	}
}

// notStarted is the end of a launch that failed: the record goes when nothing was launched, and stays while
// something may bill.
func (x *session) notStarted(ctx context.Context, rec *record, err error, launched bool) error {
	switch {
	case mayBill(err):
		rec.Phase, rec.Note = phaseDoubt, err.Error()
		if !errors.Is(err, runctl.ErrUncertain) {
			x.say.warnf("%v", err)
		}
		x.keep(rec)
		what := "it may be billing"
		if errors.Is(err, runctl.ErrUncertain) {
			what = fmt.Sprintf("launch in doubt after %s: %s did not say whether the machine started. It may be billing; key %s",
				durText(x.now().Sub(rec.Created)), rec.Ref.Provider, rec.Ref.Key)
		}
		return &exitError{exitDoubt, &explained{fmt.Sprintf("%s: %s\n%s", rec.Name, what, x.doubtHelp(rec)), err}}
	case !launched:
		x.remove(rec)
		return err
	}
	if terr := x.client.Terminate(context.WithoutCancel(ctx), rec.Ref); terr != nil && !errors.Is(terr, runctl.ErrNotFound) {
		return x.notStarted(ctx, rec, errors.Join(err, terr, runctl.ErrUncertain), launched)
	}
	rec.end(x.now(), "not started", err.Error())
	x.keep(rec)
	return fmt.Errorf("%w\nThe machine was ended, and the job did not run", err)
}

// abandon is the end of a launch that was interrupted.
func (x *session) abandon(ctx context.Context, rec *record, err error, sig os.Signal, launched bool) error {
	code := signalExit(sig)
	if err == nil || launched {
		if terr := x.client.Terminate(context.WithoutCancel(ctx), rec.Ref); terr != nil && !errors.Is(terr, runctl.ErrNotFound) {
			return x.notStarted(ctx, rec, errors.Join(terr, runctl.ErrUncertain), launched)
		}
	} else if mayBill(err) {
		return x.notStarted(ctx, rec, err, launched)
	}
	if !launched {
		x.remove(rec)
		return &exitError{code, errors.New("given up. " + nothing)}
	}
	rec.end(x.now(), "cancelled", "")
	rec.Exit = &code
	x.keep(rec)
	return &exitError{code, errors.New("given up; the machine was ended")}
}

// doubtHelp are the commands that settle a doubt.
func (x *session) doubtHelp(rec *record) string {
	return fmt.Sprintf("%-36s look for it again\n%-36s end it, if it appears\n%-36s end what is there when its lifetime is over",
		command("runctl", "attach", rec.Name), command("runctl", "terminate", rec.Name), command("runctl", "reap", "--yes"))
}

// phaseEvent tells of an event with --json.
func (x *session) phaseEvent(rec *record, e runctl.Event) {
	if !x.opt.json || e.Name == runctl.EventCall {
		return
	}
	f := map[string]any{"run": rec.Name, "phase": string(e.Name), "time": utc(e.Time), "provider": e.Provider, "id": e.ID}
	if e.Offer != nil {
		f["offer"] = toOffer(*e.Offer)
	}
	if e.Err != nil {
		f["message"] = e.Err.Error()
	}
	x.json.event("phase", f)
}
