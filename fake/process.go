package fake

import (
	"context"
	"errors"
	"iter"
	"time"

	"runctl"
)

// Process returns the read side of the job that the machine was launched with. It works as long as Get
// knows the machine; logs of an ended one, where the offer keeps them.
func (c *Cloud) Process(ctx context.Context, i runctl.Instance) (runctl.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.find(i.ID, c.tick())
	if err != nil {
		return nil, err
	}
	if m.job == nil {
		return nil, &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, ID: i.ID,
			Err: errors.New("the machine was launched without a job")}
	}
	return &process{c: c, m: m}, nil
}

type process struct {
	c *Cloud
	m *machine
}

// call is one request about the run.
func (p *process) call(ctx context.Context, effect func(now time.Time) error) error {
	return p.c.call(ctx, OpProcess, p.m.id, func(now time.Time) error {
		if _, err := p.c.find(p.m.id, now); err != nil {
			return err
		}
		return effect(now)
	}, p.m.key, p.m.job.run)
}

// Status is one look.
func (p *process) Status(ctx context.Context) (s runctl.Status, err error) {
	err = p.call(ctx, func(now time.Time) error {
		s = p.status(now)
		return nil
	})
	if err != nil {
		return runctl.Status{LogBytes: -1}, err
	}
	return s, nil
}

// status is what there is to say now. c.mu is held.
func (p *process) status(now time.Time) runctl.Status {
	c, m, v := p.c, p.m, p.m.job
	s := runctl.Status{At: c.clock(now), LogBytes: int64(len(v.logAt(now)))}
	r, ended := v.receipt(now)
	switch {
	case ended:
		r.Source, r.Started, r.Ended = c.info.Name, c.clock(r.Started), c.clock(r.Ended)
		s.Live, s.Evidence, s.Receipt = runctl.Dead, c.info.Name+" has its exit code", &r
	case !v.halted.IsZero() || m.over():
		s.Live, s.Evidence = runctl.Dead, c.info.Name+" says the machine is "+m.now().state.String()+": "+m.now().reason
	case v.started.IsZero():
		s.Live, s.Evidence = runctl.LiveUnknown, c.info.Name+" says the machine is "+m.now().state.String()
	default:
		s.Live, s.Evidence = runctl.Alive, c.info.Name+" says it is running"
	}
	return s
}

// Wait blocks until the run has ended or is lost.
func (p *process) Wait(ctx context.Context) (s runctl.Status, err error) {
	var next time.Time
	var changed <-chan struct{}
	look := func(now time.Time) error {
		s = p.status(now)
		next, changed = p.next(now), p.m.watch()
		return nil
	}
	err = p.call(ctx, look)
	for err == nil && s.Live != runctl.Dead {
		if err = await(ctx, changed, next); err == nil {
			err = p.look(look)
		}
	}
	if err != nil {
		return runctl.Status{LogBytes: -1}, err
	}
	return s, nil
}

// look goes on with a call that is under way.
func (p *process) look(effect func(now time.Time) error) error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	now := p.c.tick()
	if _, err := p.c.find(p.m.id, now); err != nil {
		return err
	}
	return effect(now)
}

// next is when time alone changes the run's state. c.mu is held.
func (p *process) next(now time.Time) time.Time {
	next := p.m.next
	if r, ok := p.m.job.end(); ok && r.Ended.After(now) && r.Ended.Before(next) {
		next = r.Ended
	}
	return next
}

// await waits for a change, an instant or the end of ctx, which alone is an error.
func await(ctx context.Context, changed <-chan struct{}, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-t.C:
	}
	return nil
}

// Logs yields the log from the offset on.
func (p *process) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return func(yield func(runctl.LogChunk, error) bool) {
		var text string
		var over bool
		var next time.Time
		var changed <-chan struct{}
		look := func(now time.Time) error {
			if !p.m.up() && !p.m.offer.Keeps {
				return &runctl.Error{Kind: runctl.ErrNotFound, ID: p.m.id, Err: errors.New("the log is gone with the machine")}
			}
			text, over = p.m.job.logAt(now), p.status(now).Live == runctl.Dead
			next, changed = p.next(now), p.m.watch()
			if at := p.m.job.started; !at.IsZero() && !over {
				if age, more := p.m.job.script.nextLine(now.Sub(at)); more && at.Add(age).Before(next) {
					next = at.Add(age)
				}
			}
			return nil
		}
		if q.Offset < 0 {
			yield(runctl.LogChunk{}, &runctl.Error{Kind: runctl.ErrInvalid, Err: errors.New("negative offset")})
			return
		}
		off := q.Offset
		for err := p.call(ctx, look); ; err = p.look(look) {
			if err != nil {
				yield(runctl.LogChunk{}, err)
				return
			}
			if off < int64(len(text)) {
				if !yield(runctl.LogChunk{Offset: off, Data: []byte(text[off:])}, nil) {
					return
				}
				off = int64(len(text))
			}
			if over || !q.Follow {
				return
			}
			if err := await(ctx, changed, next); err != nil {
				yield(runctl.LogChunk{}, err)
				return
			}
		}
	}
}

// Cancel asks for the run's end; grace 0 is the job's own. Of a run that is ending already the earliest
// KILL holds; one that has ended stays as it is.
func (p *process) Cancel(ctx context.Context, grace time.Duration) error {
	return p.call(ctx, func(now time.Time) error {
		v := p.m.job
		if grace <= 0 {
			grace = v.graceOf()
		}
		if v.started.IsZero() { // not booted yet: the job will end as it starts
			v.script = Script{Cause: string(runctl.CauseCancel), Signal: "TERM"}
		} else if _, ended := v.receipt(now); !ended {
			v.cancel(now, grace)
		}
		p.c.note(now, "%s %s: cancelled", p.m.key, p.m.id)
		p.c.moved(p.m)
		p.c.advance(p.m, now)
		return nil
	})
}
