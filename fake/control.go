package fake

import (
	"time"

	"runctl"
)

// Finish ends running jobs now with the code, as if their programs had returned: those with the run id,
// or on the machine with the launch key or id. It reports how many there were.
func (c *Cloud) Finish(key string, code int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := c.tick(), 0
	for _, m := range c.all() {
		c.advance(m, now)
		if v := m.job; v != nil && m.up() && (key == m.key || key == m.id || key == v.run) {
			if _, ended := v.receipt(now); !ended && v.finished.IsZero() {
				v.finished, v.code = now, code
				n++
			}
		}
		n += m.desk.finish(key, key == m.key || key == m.id, code)
		c.moved(m)
		c.advance(m, now)
	}
	return n
}

// Preempt takes a machine back, as clouds do with spot machines: it ends now. By the two minutes' notice
// that clouds give, a job that came with the launch leaves a receipt that says preempted; jobs on the shell
// road are lost.
func (c *Cloud) Preempt(id string) {
	c.strike(id, func(m *machine, now time.Time) {
		if m.reclaim = now; !m.up() {
			c.end(m, now, reclaimed, 0)
		}
	})
}

// Kill deletes a machine as a stranger with the same rights would: it stops billing, and Get and List
// know nothing of it from now on. There is no receipt.
func (c *Cloud) Kill(id string) {
	c.strike(id, func(m *machine, now time.Time) {
		c.end(m, now, "deleted by a stranger", 0)
		m.erased = true
		c.wake()
	})
}

// strike does something to a machine that has not ended. An id that never was panics.
func (c *Cloud) strike(id string, do func(m *machine, now time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		panic("fake: no machine " + id)
	}
	now := c.tick()
	if c.advance(m, now); m.over() {
		return
	}
	do(m, now)
	c.moved(m)
	c.advance(m, now)
}

// moved tells everybody who waits for the machine. c.mu is held.
func (c *Cloud) moved(m *machine) {
	m.next = time.Time{}
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
	c.wake()
}

// watch returns a channel that is closed at the machine's next change by a call. It is made by who waits,
// so that a cloud made outside a bubble can be used inside it. c.mu is held.
func (m *machine) watch() <-chan struct{} {
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return m.changed
}

// Machine returns a machine as the cloud itself knows it, without a call, whether List shows it or not;
// false for an id that never was.
func (c *Cloud) Machine(id string) (runctl.Instance, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		return runctl.Instance{}, false
	}
	now := c.tick()
	c.advance(m, now)
	return c.picture(m, now, now), true
}
