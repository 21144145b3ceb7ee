package job

import (
	"errors"
	"sync"
	"time"
)

// ErrGone says that the emulated machine has died.
var ErrGone = errors.New("job: the machine is gone")

// Emulator is a machine with the supervisor on it, without a machine: the same verbs with the same
// replies, over jobs that only a [Script] describes. What it says is a function of the clock and of what
// was asked of it so far. It has no goroutines and leaves no timers, and so is at home inside a synctest
// bubble and outside; its methods may be called concurrently.
type Emulator struct {
	script func(Spec) Script
	born   time.Time

	mu      sync.Mutex // never held while blocking, writing or calling script
	runs    map[string]*emuRun
	order   []*emuRun         // by start
	claims  map[string]string // digest by run id, of those refused too
	died    time.Time         // zero: alive
	code    emuCode           // the trees it has
	guard   *guarded          // nil: not armed
	ending  string            // why the machine ends; empty: it does not, as far as anybody asked
	ended   time.Time         // since when
	changed chan struct{}     // made when somebody asks; nil: nobody waits
}

var _ Machine = (*Emulator)(nil)

// NewEmulator makes a machine whose jobs do what script says of their spec. It is asked once for each
// run that may start, and may be called concurrently; nil: every job is the zero [Script].
func NewEmulator(script func(Spec) Script) *Emulator {
	if script == nil {
		script = func(Spec) Script { return Script{} }
	}
	return &Emulator{script: script, born: time.Now(), runs: map[string]*emuRun{}, claims: map[string]string{}}
}

// Finish ends a running run now with the code, as if its program had returned. A run that has ended, or
// was never started, stays as it is.
func (e *Emulator) Finish(run string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if r := e.runs[run]; r != nil && e.running(r, now) {
		r.finished, r.code = now, code
		e.change()
	}
}

// Die takes the machine away, for good: every later Exec, Start and Cancel gives [ErrGone], those that
// wait give it at once, and runs without a receipt are lost. Status, Statuses and ReadLog go on telling
// what was when it died, for clouds that remember.
func (e *Emulator) Die() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.died.IsZero() {
		e.died = time.Now()
		e.change()
	}
}

// LastEnd returns when the latest of the ended runs ended, which may be long ago, and how many run now.
// ok is false when none has ended. A lost run has not ended and does not run.
func (e *Emulator) LastEnd() (t time.Time, running int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	for _, r := range e.order {
		switch end, ended := r.ended(now); {
		case !ended && e.died.IsZero():
			running++
		case ended && (!ok || end.at.After(t)):
			t, ok = end.at, true
		}
	}
	return t, running, ok
}

// NextChange returns when the next running run will end by its script, its limit, its lease, its cancel or the machine's lifetime; false
// when none will unless somebody acts.
func (e *Emulator) NextChange() (t time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.died.IsZero() {
		return t, false
	}
	now := e.now()
	for _, r := range e.order {
		if end, ends := r.ending(); ends && end.at.After(now) && (!ok || end.at.Before(t)) {
			t, ok = end.at, true
		}
	}
	return t, ok
}

// Changed returns a channel that is closed at the next change that a call makes: a start, a finish, a
// cancel, the machine's death. What the clock brings does not close it: see [Emulator.NextChange].
func (e *Emulator) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.watch()
}

// watch returns the channel of the next change. It is made by who waits, so that a machine made outside a
// bubble can be used inside it. e.mu is held.
func (e *Emulator) watch() <-chan struct{} {
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	return e.changed
}

// change wakes everybody who waits. e.mu is held.
func (e *Emulator) change() {
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// now is the machine's clock, which stands still once it has died. e.mu is held.
func (e *Emulator) now() time.Time {
	if e.died.IsZero() {
		return time.Now()
	}
	return e.died
}

// running reports whether the run is under way. e.mu is held.
func (e *Emulator) running(r *emuRun, now time.Time) bool {
	_, ended := r.ended(now)
	return !ended && e.died.IsZero()
}
