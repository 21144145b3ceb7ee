package fake

import (
	"fmt"
	"strings"
	"time"

	"runctl"
)

// machine is one machine with its history. What it is at any time follows from that.
type machine struct {
	id       string
	key      string               // of its label: what draws and the log go by
	name     string               // the tag with the mark, which a clone copies
	req      runctl.LaunchRequest // as asked for, for comparing; without the job
	offer    runctl.Offer
	job      *vessel // the job that came with the launch; nil on the shell road
	desk     desk    // what jobs on the shell road have done
	stranger bool
	base     runctl.Instance // what never changes of the answer

	past    []change // what has happened, in order
	coming  []change // what will, in order, unless something comes first
	next    time.Time
	reclaim time.Time     // when the cloud takes it back; zero: never
	lag     time.Duration // by which List is late
	kept    bool          // it ended itself and its disk is there
	gone    time.Time     // Get has forgotten it from here on; zero: it remembers
	erased  bool          // a stranger deleted it, record and all
	posers  int           // how many impostors there were: each has a host key of his own
	changed chan struct{} // of watch; nil: nobody waits
}

// change is a machine becoming something at an instant.
type change struct {
	at     time.Time
	state  runctl.State
	reason string
}

// memory is how long an ended machine is still listed.
const memory = time.Hour

func (m *machine) now() change { return m.past[len(m.past)-1] }

func (m *machine) up() bool { return m.now().state == runctl.StateRunning }

func (m *machine) over() bool { return m.now().state == runctl.StateTerminated }

// at returns what the machine was at an instant; before its birth, what it was then.
func (m *machine) at(t time.Time) change {
	for i := len(m.past) - 1; i > 0; i-- {
		if !m.past[i].at.After(t) {
			return m.past[i]
		}
	}
	return m.past[0]
}

// advance applies everything that time has brought about until now. c.mu is held.
func (c *Cloud) advance(m *machine, now time.Time) {
	for !m.next.After(now) {
		due, ok := c.due(m)
		if !ok {
			m.next = far
			return
		}
		if m.next = due.at; due.at.After(now) {
			return
		}
		c.become(m, due)
		m.next = time.Time{}
	}
}

// reclaimed is the reason of a machine that the cloud took back.
const reclaimed = "Server.SpotInstanceTermination"

var far = time.Unix(1<<40, 0)

// due is the next change that comes by itself, given all that is known now; an instant in the future may
// still move.
func (c *Cloud) due(m *machine) (change, bool) {
	var first change
	found := false
	offer := func(ch change) {
		ch.at = later(ch.at, m.now().at) // what was due while it was stopped
		if !found || ch.at.Before(first.at) {
			first, found = ch, true
		}
	}
	if len(m.coming) > 0 {
		offer(m.coming[0])
	}
	state := m.now().state
	if state != runctl.StateRunning && state != runctl.StatePending {
		return first, found
	}
	if !m.reclaim.IsZero() {
		offer(change{m.reclaim, runctl.StateTerminated, reclaimed})
	}
	if !m.offer.EndsItself || m.stranger {
		return first, found
	}
	if m.req.Lifetime > 0 {
		offer(change{m.deadline(), runctl.StateTerminated, "lifetime is over"})
	}
	if state == runctl.StateRunning {
		if t, ok := c.idleEnd(m); ok {
			offer(change{t, runctl.StateTerminated, "job is over"})
		}
	}
	return first, found
}

// deadline is when the machine's lifetime is over. A job that came with the launch gets TERM then, and
// its grace.
func (m *machine) deadline() time.Time {
	t := m.past[0].at.Add(m.req.Lifetime)
	if m.job != nil {
		if r, ok := m.job.end(); ok && r.Cause == runctl.CauseLifetime {
			return later(t, r.Ended)
		}
	}
	return t
}

// idleEnd is when the machine ends itself for want of work.
func (c *Cloud) idleEnd(m *machine) (time.Time, bool) {
	if m.job != nil {
		r, ok := m.job.end()
		if !ok {
			return time.Time{}, false
		}
		if c.phys.Keep {
			return r.Ended.Add(m.req.Keep), true
		}
		return r.Ended, true
	}
	if m.req.Keep <= 0 {
		return time.Time{}, false
	}
	since, next := m.desk.idle(m.now().at)
	if !since.IsZero() {
		return since.Add(m.req.Keep), true
	}
	// A job is running: look again when it may have ended.
	return next.Add(m.req.Keep), !next.IsZero()
}

// become makes a change part of the history. c.mu is held.
func (c *Cloud) become(m *machine, ch change) {
	was := m.now().state
	if len(m.coming) > 0 && m.coming[0] == ch {
		m.coming = m.coming[1:]
	} else {
		m.coming = nil
		m.kept = ch.state == runctl.StateTerminated && m.offer.Keeps
	}
	m.past = append(m.past, ch)
	m.next = time.Time{}
	c.note(ch.at, "%s", strings.TrimSuffix(fmt.Sprintf("%s %s: %s, %s", m.key, m.id, ch.state, ch.reason), ", "))
	if ch.state == runctl.StateRunning && m.job != nil && m.job.started.IsZero() {
		m.job.start(ch.at, m.past[0].at.Add(m.req.Lifetime), m.offer.EndsItself)
	}
	if was == runctl.StateRunning {
		if m.job != nil {
			m.job.die(ch.at, ch.reason == reclaimed)
		}
		m.desk.halt(ch.state != runctl.StateTerminated && ch.reason != endingReason, m.kept)
	}
	if ch.state == runctl.StateTerminated && !m.kept {
		m.gone = ch.at.Add(memory)
	}
	c.moved(m)
}

// view is the machine as it was at an instant, told now; false when there is nothing to tell. The machine
// must have been advanced. c.mu is held.
func (c *Cloud) view(m *machine, at, now time.Time) (runctl.Instance, bool) {
	if m.past[0].at.After(at) || m.erased || !m.gone.IsZero() && !now.Before(m.gone) {
		return runctl.Instance{}, false
	}
	return c.picture(m, at, now), true
}

// picture is view for whoever knows that there is something to tell. c.mu is held.
func (c *Cloud) picture(m *machine, at, now time.Time) runctl.Instance {
	ch := m.at(at)
	i := m.base
	i.State, i.Reason, i.Seen = ch.state, ch.reason, c.clock(now)
	switch ch.state {
	case runctl.StateTerminated:
		i.Ended, i.Addr = c.clock(ch.at), ""
	case runctl.StatePending, runctl.StateStopped:
		i.Addr = ""
	}
	if m.job != nil && c.info.Exits {
		if r, ok := m.job.receipt(at); ok {
			r.Source, r.Started, r.Ended = c.info.Name, c.clock(r.Started), c.clock(r.Ended)
			i.Exit = &r
		}
	}
	return i
}
