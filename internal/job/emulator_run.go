package job

import (
	"strings"
	"time"
)

// emuRun is one emulated run: its script and what others did to it. Everything else follows from these
// and an instant, so that there is nothing to drive.
type emuRun struct {
	spec    Spec
	script  Script
	log     emuLog
	started time.Time
	leased  time.Time          // when the lease ends; zero: it has none
	guard   *guarded           // the machine's; nil: not armed
	files   map[string]emuTree // by place: what was uploaded, and what waits to be whole; nil: nothing

	cancelled time.Time     // the cancel that came before any end had begun; zero: none
	grace     time.Duration // its own
	hurried   time.Time     // KILL comes then, because a later cancel has a shorter grace; zero: none has
	finished  time.Time     // zero: not by Finish
	code      int           // of Finish
}

// ending is how and when a run ends if nothing else happens to it.
type ending struct {
	at            time.Time
	code          int
	signal, cause string
	how           string // EndSelf, EndTerm, EndKill
}

// ending returns the run's end, be it past or to come; false: it goes on until somebody acts.
func (r *emuRun) ending() (ending, bool) {
	own, ends := r.own()
	stop, kill, cause := r.stop()
	if cause == "" || ends && !own.at.After(stop) {
		return own, ends
	}
	saved := stop.Add(r.script.SaveTime)
	killed := ending{at: kill, code: 128 + signals["KILL"], signal: "KILL", cause: cause, how: EndKill}
	finished := !r.finished.IsZero() && r.finished.Before(killed.at)
	switch {
	case finished, r.script.IgnoreTerm && ends && own.at.Before(killed.at):
		own.cause, own.how = cause, EndTerm
		return own, true
	case r.script.IgnoreTerm, saved.After(kill):
		return killed, true
	case r.script.SaveTime > 0:
		return ending{at: saved, code: r.script.SaveCode, cause: cause, how: EndTerm}, true
	}
	return ending{at: stop, code: 128 + signals["TERM"], signal: "TERM", cause: cause, how: EndTerm}, true
}

// own returns the end that the job comes to by itself, or by Finish.
func (r *emuRun) own() (ending, bool) {
	s := &r.script
	switch {
	case !r.finished.IsZero():
		return ending{at: r.finished, code: r.code, cause: "exit", how: EndSelf}, true
	case s.Hold:
		return ending{}, false
	}
	e := ending{at: r.started.Add(s.Duration), code: s.ExitCode, cause: "exit", how: EndSelf}
	if e.signal = strings.TrimPrefix(s.Signal, "SIG"); e.signal != "" {
		e.cause = "signal"
	}
	if n, known := signals[e.signal]; known {
		e.code = 128 + n
	}
	if s.Cause != "" {
		e.cause = s.Cause
	}
	return e, true
}

// stop returns when TERM comes, when KILL follows if it must, and why; an empty cause: neither comes. The
// first reason stands, and the earliest KILL.
func (r *emuRun) stop() (term, kill time.Time, cause string) {
	first := func(at time.Time, grace time.Duration, why string) {
		if cause == "" || at.Before(term) {
			term, kill, cause = at, at.Add(grace), why
		}
	}
	if !r.cancelled.IsZero() {
		first(r.cancelled, r.grace, "cancel")
	}
	if r.spec.Limit > 0 {
		first(r.started.Add(r.spec.Limit), r.spec.Grace, "lifetime")
	}
	if !r.leased.IsZero() {
		first(r.leased, r.spec.Grace, "lease")
	}
	if r.guard != nil {
		first(r.guard.over(), min(r.spec.Grace, r.guard.Grace), "lifetime")
	}
	if !r.hurried.IsZero() {
		kill = r.hurried
	}
	return term, kill, cause
}

// cancel takes a cancel in: the first begins the end; one that comes when the end has begun can only bring
// KILL forward.
func (r *emuRun) cancel(now time.Time, grace time.Duration) {
	term, kill, cause := r.stop()
	if cause == "" || term.After(now) {
		r.cancelled, r.grace = now, grace
	} else if now.Add(grace).Before(kill) {
		r.hurried = now.Add(grace)
	}
}

// ended returns the end if it has come by now.
func (r *emuRun) ended(now time.Time) (ending, bool) {
	e, ok := r.ending()
	return e, ok && !e.at.After(now)
}

// output returns the log as it is now. A job that has ended writes no more.
func (r *emuRun) output(now time.Time) string {
	if e, ok := r.ended(now); ok {
		now = e.at
	}
	return r.log.produced(now.Sub(r.started))
}

// checkpoint returns the last one committed by now; empty: none yet.
func (r *emuRun) checkpoint(now time.Time) (name string) {
	if e, ok := r.ended(now); ok {
		now = e.at
	}
	for _, c := range r.script.Checkpoints {
		if !r.started.Add(c.At).After(now) {
			name = c.Name
		}
	}
	return name
}
