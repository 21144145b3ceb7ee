package job

import (
	"cmp"
	"fmt"
	"time"
)

// Start starts a job as the verb does: repeating it with the same digest finds the same run, another
// digest is *[Used], and a second unshared job beside a running one is *[Refused]; its id is then taken for
// its digest, and may try again.
func (e *Emulator) Start(s Spec) error {
	_, err := e.start(s)
	return err
}

// start reports whether the run was there already. The script is asked between two looks, because it is
// not ours and may block.
func (e *Emulator) start(s Spec) (already bool, err error) {
	e.mu.Lock()
	already, err = e.admit(s)
	e.mu.Unlock()
	if already || err != nil {
		return already, err
	}
	script := e.script(s)

	e.mu.Lock()
	defer e.mu.Unlock()
	if already, err = e.admit(s); already || err != nil {
		return already, err
	}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	r := &emuRun{spec: s, script: script, log: newEmuLog(script.Log, cmp.Or(script.Spread, script.Duration)), started: time.Now(), guard: e.guard}
	if s.Lease > 0 {
		r.leased = r.started.Add(s.Lease)
	}
	e.runs[s.Run] = r
	e.order = append(e.order, r)
	e.change()
	return false, nil
}

// admit says whether the job may start, or has. e.mu is held.
func (e *Emulator) admit(s Spec) (already bool, err error) {
	if !e.died.IsZero() {
		return false, ErrGone
	}
	if d, claimed := e.claims[s.Run]; claimed && d != s.Digest {
		return false, &Used{Run: s.Run}
	}
	e.claims[s.Run] = s.Digest
	if already = e.runs[s.Run] != nil; already {
		return true, nil
	}
	now := time.Now()
	if _, cause := e.machineEnd(now); cause != "" {
		return false, &Refused{Code: RefusedBusy, Reason: "the machine is ending"}
	}
	for _, r := range e.order {
		if !s.Shared && !r.spec.Shared && e.running(r, now) {
			return false, &Refused{Code: RefusedBusy, Reason: "run " + r.spec.Run + " has the machine"}
		}
	}
	return false, e.checkCode(s)
}

// Cancel asks the run to end, as the verb does: TERM now, KILL when the grace is over; a negative grace is
// the spec's own. When the run is ending already the earliest KILL holds; one that has ended stays as it is.
func (e *Emulator) Cancel(run string, grace time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	switch {
	case !e.died.IsZero():
		return ErrGone
	case r == nil:
		return ErrNoRun
	}
	now := time.Now()
	if grace < 0 {
		grace = r.spec.Grace
	}
	before, _ := r.ending()
	r.cancel(now, grace)
	if after, _ := r.ending(); after != before {
		e.change()
	}
	return nil
}

// Status returns one look at a run, or [ErrNoRun].
func (e *Emulator) Status(run string) (Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	if r == nil {
		return Status{}, ErrNoRun
	}
	return e.status(r, e.now()), nil
}

// Statuses returns one look at every run, in the order of their starts.
func (e *Emulator) Statuses() []Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Status, len(e.order))
	for i, r := range e.order {
		all[i] = e.status(r, e.now())
	}
	return all
}

// status is what there is to know of a run at the instant. e.mu is held.
func (e *Emulator) status(r *emuRun, now time.Time) Status {
	s := Status{Run: r.spec.Run, Up: now.Sub(e.born), Lease: r.spec.Lease, LogBytes: int64(len(r.output(now)))}
	end, ended := r.ended(now)
	switch {
	case ended:
		s.Phase, s.Evidence = PhaseDone, "receipt"
		s.Receipt = &Receipt{Run: r.spec.Run, Source: "supervisor", Cause: end.cause, Signal: end.signal, Code: end.code,
			Checkpoint: r.checkpoint(now), Started: r.started, Ended: end.at, LogBytes: s.LogBytes, End: end.how}
	case !e.died.IsZero():
		s.Phase, s.Evidence = PhaseLost, fmt.Sprintf("the machine died %v after the start", now.Sub(r.started))
	default:
		s.Phase, s.Evidence = PhaseRunning, "supervisor alive"
	}
	return s
}

// ReadLog returns the log from the offset on, without waiting, and whether it is complete: the run has
// ended, or is lost. An offset beyond the end gives nothing.
func (e *Emulator) ReadLog(run string, offset int64) (data []byte, ended bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	if r == nil {
		return nil, false, ErrNoRun
	}
	now := e.now()
	out := r.output(now)
	return []byte(out[min(max(offset, 0), int64(len(out))):]), !e.running(r, now), nil
}
