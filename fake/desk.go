package fake

import (
	"cmp"
	"errors"
	"time"

	"runctl"
	"runctl/internal/job"
)

// desk is where jobs on the shell road run: an emulated supervisor. It is there from the first Connect.
type desk struct {
	em      *job.Emulator
	changed <-chan struct{} // closed when the emulator was told something
}

// supervisor returns what answers the verbs on a machine that was brought up to now, or why nothing does.
// c.mu is held.
func (c *Cloud) supervisor(m *machine, now time.Time) (*job.Emulator, error) {
	switch {
	case m.up():
	case m.over() && m.kept, m.over() && m.job != nil && m.offer.Keeps: // its disk can still be read
	default:
		return nil, unreachable(m.id, "connection refused: the machine is "+m.now().state.String())
	}
	if m.job != nil {
		return m.job.files(now), nil
	}
	if m.desk.em == nil {
		m.desk.em = job.NewEmulator(func(s job.Spec) job.Script { return c.shellScript(m, s) })
		if c.info.Boots && c.hit(OpBoot, []string{m.id, m.key}) == nil {
			_ = m.desk.em.Boot(m.req.Boot)
		}
	}
	return m.desk.em, nil
}

func unreachable(id, why string) error {
	return &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: errors.New(why)}
}

// shellScript chooses what a job on the shell road does, and ends that when the machine is known to end.
func (c *Cloud) shellScript(m *machine, spec job.Spec) job.Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, now := c.script(spec.Run, m.key, spec.Argv), time.Now()
	end := m.past[0].at.Add(m.req.Lifetime)
	switch {
	case m.stranger:
	case !m.reclaim.IsZero() && m.reclaim.Before(end):
		s = s.until(m.reclaim.Sub(now))
	case m.offer.EndsItself:
		if d := max(end.Sub(now), 0); (spec.Limit <= 0 || spec.Limit > d) && (s.Hold || s.Duration > d) {
			s = s.until(d)
			spread := cmp.Or(s.Duration, -1) // of a log that was all there at once
			s.Duration, s.Hold, s.Signal, s.Cause = d, false, "TERM", string(runctl.CauseLifetime)
			e := s.emulated()
			e.Spread = spread
			return e
		}
	}
	return s.emulated()
}

// emulated is the script in the emulator's words.
func (s Script) emulated() job.Script {
	e := job.Script{Log: s.Log, Duration: s.Duration, Hold: s.Hold, ExitCode: s.ExitCode, Signal: s.Signal, Cause: s.Cause,
		Outputs: s.Outputs, SaveTime: s.SaveTime, SaveCode: s.SaveCode, IgnoreTerm: s.IgnoreTerm}
	for _, cp := range s.Checkpoints {
		e.Checkpoints = append(e.Checkpoints, job.Checkpoint(cp))
	}
	return e
}

// files returns a supervisor through which the vessel's run can be read as it is now.
func (v *vessel) files(now time.Time) *job.Emulator {
	r, ended := v.receipt(now)
	if v.disk != nil && (v.final || !ended) {
		return v.disk
	}
	s := Script{Log: v.logAt(now), Hold: !ended, Outputs: v.script.Outputs, ExitCode: r.ExitCode, Signal: r.Signal, Cause: string(r.Cause)}
	if r.Checkpoint != "" {
		s.Checkpoints = []Checkpoint{{Name: r.Checkpoint}}
	}
	v.disk, v.final = job.NewEmulator(func(job.Spec) job.Script { return s.emulated() }), ended
	if !v.started.IsZero() {
		_ = v.disk.Start(job.Spec{Run: v.run, Argv: v.job.Args, Shared: true})
	}
	return v.disk
}

// touched reports whether the emulator was told something since the last look.
func (d *desk) touched() bool {
	if d.em == nil {
		return false
	}
	select {
	case <-d.changed:
	default:
		if d.changed != nil {
			return false
		}
	}
	d.changed = d.em.Changed()
	return true
}

// idle returns since when no job has been running on a machine that is up since then; zero while one is,
// and then when the next may end, zero if that is not known.
func (d *desk) idle(up time.Time) (since, next time.Time) {
	if d.em == nil {
		return up, next
	}
	end, running, ended := d.em.LastEnd()
	if running > 0 {
		next, _ = d.em.NextChange()
		return since, next
	}
	if ended {
		return later(up, end), next
	}
	return up, next
}

// halt ends all processes. A machine that only pauses, or whose disk stays, keeps what has ended.
func (d *desk) halt(pause, kept bool) {
	if d.em == nil {
		return
	}
	_, running, _ := d.em.LastEnd()
	switch {
	case pause:
		for _, s := range d.em.Statuses() {
			_ = d.em.Cancel(s.Run, 0)
		}
	case !kept || running > 0:
		d.em.Die()
	}
}

// finish ends running jobs with a code: all, or the one with the run id.
func (d *desk) finish(run string, all bool, code int) (n int) {
	if d.em == nil {
		return 0
	}
	for _, s := range d.em.Statuses() {
		if s.Phase == job.PhaseRunning && (all || s.Run == run) {
			d.em.Finish(s.Run, code)
			n++
		}
	}
	return n
}
