package fake

import (
	"context"
	"errors"
	"time"

	"runctl"
)

func notFound(id string) error {
	return &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeRequest, ID: id, Err: errors.New("InvalidInstanceID.NotFound")}
}

// find returns the machine, brought up to now, if the cloud still knows it. c.mu is held.
func (c *Cloud) find(id string, now time.Time) (*machine, error) {
	m := c.machines[id]
	if m == nil || m.erased {
		return nil, notFound(id)
	}
	c.advance(m, now)
	if !m.gone.IsZero() && !now.Before(m.gone) {
		return nil, notFound(id)
	}
	return m, nil
}

// Get returns the machine as it is now. An ended one is known for an hour more; one that ended itself and
// keeps its disk, until somebody terminates it.
func (c *Cloud) Get(ctx context.Context, id string) (runctl.Instance, error) {
	var i runctl.Instance
	err := c.call(ctx, OpGet, id, func(now time.Time) error {
		m, err := c.find(id, now)
		if err == nil {
			i, _ = c.view(m, now, now)
		}
		return err
	}, c.alias(id)...)
	if err != nil {
		return runctl.Instance{}, err
	}
	return i, nil
}

// List returns every machine in the account, whoever's, and those that ended within the last hour.
func (c *Cloud) List(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
	var list []runctl.Instance
	err := c.call(ctx, OpList, q.Owner, func(now time.Time) error {
		list = make([]runctl.Instance, 0, len(c.listed))
		shown := c.listed[:0]
		for _, m := range c.listed {
			c.advance(m, now)
			if m.erased || m.over() && now.Sub(m.now().at) >= memory {
				continue
			}
			shown = append(shown, m)
			if i, ok := c.view(m, now.Add(-m.lag), now); ok {
				list = append(list, i)
			}
		}
		clear(c.listed[len(shown):])
		c.listed = shown
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Terminate asks for the machine's end. It bills until it has ended. One that has ended already is nil,
// and its disk is given up.
func (c *Cloud) Terminate(ctx context.Context, id string) error {
	return c.call(ctx, OpTerminate, id, func(now time.Time) error {
		m, err := c.find(id, now)
		if err != nil {
			return err
		}
		if m.kept {
			m.kept, m.gone = false, later(now, m.now().at.Add(memory))
		}
		if m.over() || ending(m) {
			return nil
		}
		c.end(m, now, "terminated by request", c.phys.around(c.phys.End, "end", m.id))
		return nil
	}, c.alias(id)...)
}

const endingReason = "shutting down"

// ending reports whether the machine's end was asked for already.
func ending(m *machine) bool { return m.now().reason == endingReason }

// end begins the machine's end and lets it have ended after d. c.mu is held.
func (c *Cloud) end(m *machine, now time.Time, reason string, d time.Duration) {
	m.coming = []change{{now.Add(d), runctl.StateTerminated, reason}}
	if d > 0 {
		m.coming = append([]change{{now, runctl.StateStopping, endingReason}}, m.coming...)
	}
	m.next = time.Time{}
	c.advance(m, now)
}

// Stop asks for a pause: processes on the machine die, its disk stays, and its lifetime goes on.
func (c *Cloud) Stop(ctx context.Context, id string) error {
	return c.call(ctx, OpStop, id, func(now time.Time) error {
		m, err := c.find(id, now)
		switch {
		case err != nil:
			return err
		case m.over() || ending(m):
			return conflict(id, "it has ended")
		case m.now().state == runctl.StateStopped || m.now().state == runctl.StateStopping:
			return nil
		}
		m.coming = []change{{now.Add(c.phys.around(c.phys.Stop, "stop", m.id, c.nth("stopped", m.id))), runctl.StateStopped, "stopped by request"}}
		if c.phys.Stop > 0 {
			m.coming = append([]change{{now, runctl.StateStopping, ""}}, m.coming...)
		}
		m.next = time.Time{}
		c.advance(m, now)
		return nil
	}, c.alias(id)...)
}

// Start asks a stopped machine to run again. A job that came with the launch does not run a second time.
func (c *Cloud) Start(ctx context.Context, id string) error {
	return c.call(ctx, OpStart, id, func(now time.Time) error {
		m, err := c.find(id, now)
		switch {
		case err != nil:
			return err
		case m.now().state == runctl.StateRunning || m.now().state == runctl.StatePending:
			return nil
		case m.now().state != runctl.StateStopped:
			return conflict(id, "it is "+m.now().state.String())
		}
		if c.scarce(m.offer, now) {
			return NoCapacity
		}
		c.become(m, change{now, runctl.StatePending, "started by request"})
		c.boot(m, now, "start"+c.nth("started", m.id))
		c.advance(m, now)
		return nil
	}, c.alias(id)...)
}

func conflict(id, why string) error {
	return &runctl.Error{Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest, ID: id, Err: errors.New("IncorrectInstanceState: " + why)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// alias returns what else a fault may call the machine: its launch key.
func (c *Cloud) alias(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[id]; m != nil {
		return []string{m.key}
	}
	return nil
}
