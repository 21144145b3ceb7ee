package fake

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"runctl"
	"runctl/internal/job"
)

// vessel is the run of a job that came with the launch: its script and what was done to it. Everything
// else follows from these and an instant.
type vessel struct {
	run    string
	job    runctl.Job // without secrets
	env    map[string]string
	script Script

	started   time.Time     // zero: the machine has not booted yet
	limit     time.Time     // TERM comes here; zero: never
	cancelled time.Time     // the first cancel before any end had begun
	grace     time.Duration // its own
	hurried   time.Time     // KILL comes no later, because a later cancel said so
	finished  time.Time     // by Finish
	code      int
	halted    time.Time     // the machine took it away
	preempted bool          // with notice
	disk      *job.Emulator // through which its files are read
	final     bool          // the disk is that of an ended run
}

// reveal reads the sources of secrets.
func reveal(secrets map[string]runctl.Secret) (map[string]string, error) {
	env := map[string]string{}
	for name, s := range secrets {
		v, err := s.Reveal()
		if err != nil {
			return nil, err
		}
		env[name] = v
	}
	return env, nil
}

// newVessel makes the run of a launch request. c.mu is held.
func (c *Cloud) newVessel(req runctl.LaunchRequest, secrets map[string]string) *vessel {
	key := keyOf(req.Label)
	v := &vessel{run: cmp.Or(req.Job.ID, key), job: *req.Job, env: map[string]string{}}
	v.job.Secrets, v.job.Args = nil, slices.Clone(req.Job.Args)
	maps.Copy(v.env, req.Job.Env)
	maps.Copy(v.env, secrets)
	v.script = c.script(v.run, key, v.job.Args)
	return v
}

// differs reports whether j is another job than the vessel's.
func (v *vessel) differs(j *runctl.Job) bool {
	if v == nil || j == nil {
		return (v == nil) != (j == nil)
	}
	return !slices.Equal(v.job.Args, j.Args) || v.job.ID != j.ID || v.job.Image != j.Image || v.job.Dir != j.Dir || !maps.Equal(v.job.Env, j.Env)
}

// start lets the job begin at an instant, on a machine with that deadline.
func (v *vessel) start(at, deadline time.Time, guarded bool) {
	v.started = at
	if guarded {
		v.limit = deadline
	}
	if t := at.Add(v.job.Limit); v.job.Limit > 0 && (v.limit.IsZero() || t.Before(v.limit)) {
		v.limit = t
	}
}

// die takes the machine away from under the run.
func (v *vessel) die(at time.Time, preempted bool) {
	if v.halted.IsZero() {
		v.halted, v.preempted = at, preempted
	}
}

func (v *vessel) graceOf() time.Duration { return cmp.Or(v.job.Grace, 30*time.Second) }

// end returns how and when the run ends, be it past or to come; false when it goes on until somebody acts,
// or was lost.
func (v *vessel) end() (runctl.Receipt, bool) {
	if v.started.IsZero() {
		return runctl.Receipt{}, false
	}
	r, ends := v.ending()
	if !v.halted.IsZero() && (!ends || r.Ended.After(v.halted)) {
		if !v.preempted {
			return runctl.Receipt{}, false
		}
		r, ends = v.signalled("TERM", 143, v.halted, runctl.CausePreempted), true
	}
	if !ends {
		return r, false
	}
	r.Run, r.Started = v.run, v.started
	age := r.Ended.Sub(v.started)
	r.LogBytes, r.Checkpoint = int64(v.script.logged(age)), v.script.checkpoint(age)
	return r, true
}

// ending is end on a machine that stays.
func (v *vessel) ending() (runctl.Receipt, bool) {
	own, ends := v.own()
	stop, kill, cause := v.stop()
	if stop.IsZero() || ends && !own.Ended.After(stop) {
		return own, ends
	}
	s := v.script
	saved := stop.Add(s.SaveTime)
	switch {
	case ends && own.Ended.Before(kill) && (s.IgnoreTerm || !v.finished.IsZero()):
		own.Cause = cause
		return own, true
	case s.IgnoreTerm || saved.After(kill):
		return v.signalled("KILL", 137, kill, cause), true
	case s.SaveTime > 0:
		return runctl.Receipt{ExitCode: s.SaveCode, Cause: cause, Ended: saved}, true
	}
	return v.signalled("TERM", 143, stop, cause), true
}

// stop returns when TERM comes, when KILL follows if it must, and why; a zero time: neither comes. The
// first reason stands, and the earliest KILL.
func (v *vessel) stop() (term, kill time.Time, cause runctl.Cause) {
	if !v.limit.IsZero() {
		term, kill, cause = v.limit, v.limit.Add(v.graceOf()), runctl.CauseLifetime
	}
	if c := v.cancelled; !c.IsZero() {
		term, kill, cause = c, c.Add(v.grace), runctl.CauseCancel
	}
	if !v.hurried.IsZero() {
		kill = v.hurried
	}
	return term, kill, cause
}

// cancel takes a cancel in, which must come while the run goes on: the first begins the end; one that
// comes when the end has begun can only bring KILL forward.
func (v *vessel) cancel(now time.Time, grace time.Duration) {
	term, kill, _ := v.stop()
	if term.IsZero() || term.After(now) {
		v.cancelled, v.grace = now, grace
	} else if at := now.Add(grace); at.Before(kill) {
		v.hurried = at
	}
}

func (v *vessel) signalled(name string, code int, at time.Time, cause runctl.Cause) runctl.Receipt {
	return runctl.Receipt{ExitCode: code, Signal: name, Cause: cause, Ended: at}
}

// own is the end that the job comes to by itself, or by Finish.
func (v *vessel) own() (runctl.Receipt, bool) {
	s := v.script
	if !v.finished.IsZero() {
		return runctl.Receipt{ExitCode: v.code, Cause: runctl.CauseExit, Ended: v.finished}, true
	}
	r := runctl.Receipt{ExitCode: s.ExitCode, Signal: s.Signal, Cause: runctl.CauseExit, Ended: v.started.Add(s.Duration)}
	if s.Signal != "" {
		r.Cause = runctl.CauseSignal
	}
	if n, known := signals[s.Signal]; known {
		r.ExitCode = 128 + n
	}
	r.Cause = cmp.Or(runctl.Cause(s.Cause), r.Cause)
	return r, !s.Hold
}

// signals are the numbers of the signals that a script may name, on Linux.
var signals = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9,
	"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "XCPU": 24, "XFSZ": 25}

// receipt returns the run's end if it has come by an instant.
func (v *vessel) receipt(at time.Time) (runctl.Receipt, bool) {
	r, ok := v.end()
	return r, ok && !r.Ended.After(at)
}

// logAt returns the log as it is at an instant.
func (v *vessel) logAt(at time.Time) string {
	switch r, ended := v.receipt(at); {
	case v.started.IsZero():
		return ""
	case ended:
		at = r.Ended
	case !v.halted.IsZero() && at.After(v.halted):
		at = v.halted
	}
	return v.script.Log[:v.script.logged(at.Sub(v.started))]
}
