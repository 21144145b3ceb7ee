package job

import "time"

// guarded is the guard of an emulated machine. It has no reboots and no end steps: what its end does is to refuse new
// runs and to drain those that run.
type guarded struct {
	Guard
	armed time.Time
}

// arm is the verb's effect: the first one holds.
func (e *Emulator) arm(g Guard) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.died.IsZero():
		return ErrGone
	case e.guard == nil:
		e.guard = &guarded{g, time.Now()}
		for _, r := range e.order {
			r.guard = e.guard
		}
		e.change()
	case e.guard.Guard != g:
		return &Refused{Code: RefusedGuard, Reason: "the guard was armed with other values"}
	}
	return nil
}

// over is when the machine's lifetime ends.
func (g *guarded) over() time.Time { return g.armed.Add(g.Lifetime) }

// machineEnd returns when and why the machine began to end, if it has by now. Nothing drives it: between two calls no
// run starts, so that what was idle stayed so. e.mu is held.
func (e *Emulator) machineEnd(now time.Time) (at time.Time, cause string) {
	if e.guard == nil {
		return at, ""
	}
	if e.ending != "" {
		return e.ended, e.ending
	}
	if at = e.guard.over(); !now.Before(at) {
		cause = "lifetime"
	}
	last, why := e.guard.armed, ""
	for _, r := range e.order {
		end, ended := r.ended(now)
		if !ended && e.died.IsZero() {
			last = now.Add(1) // still active
			break
		}
		if ended && !end.at.Before(last) {
			last, why = end.at, end.cause
		}
	}
	switch {
	case last.After(now):
	case why == "lease" && last.Before(at):
		at, cause = last, why
	case why != "lease" && e.guard.Keep > 0 && !now.Before(last.Add(e.guard.Keep)) && last.Add(e.guard.Keep).Before(at):
		at, cause = last.Add(e.guard.Keep), "idle"
	}
	e.ended, e.ending = at, cause
	return at, cause
}

// hello is what the machine says of itself.
func (e *Emulator) hello() (h Hello, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.died.IsZero() {
		return h, ErrGone
	}
	now := time.Now()
	h = Hello{Up: now.Sub(e.born), Boot: "emulated"}
	if e.guard != nil {
		h.Guard, h.Left = true, max(e.guard.over().Sub(now), 0)
		_, h.Ending = e.machineEnd(now)
	}
	return h, nil
}

// greet is the verb hello.
func (c *verbCall) greet() error {
	h, err := c.e.hello()
	if err != nil {
		return c.fail(err)
	}
	return c.reply(formatHello(h))
}

// guard is the verb: LIFETIME KEEP GRACE USER, times in milliseconds.
func (c *verbCall) guard() error {
	var ms [3]int64
	for i := range ms {
		n, ok := c.number(i)
		if !ok || n > maxDuration.Milliseconds() {
			return c.refuse("not a time in milliseconds")
		}
		ms[i] = n
	}
	g := Guard{Lifetime: time.Duration(ms[0]) * time.Millisecond, Keep: time.Duration(ms[1]) * time.Millisecond,
		Grace: time.Duration(ms[2]) * time.Millisecond, User: c.args[3]}
	if g.User == "-" {
		g.User = ""
	}
	if c.args[3] == "" || g.Validate() != nil {
		return c.refuse("not a guard")
	}
	if err := c.e.arm(g); err != nil {
		return c.fail(err)
	}
	return c.reply(formatLine(kindArmed))
}
