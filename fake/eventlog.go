package fake

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is one line of the event log.
type entry struct {
	at   time.Duration // since the cloud was made
	text string
}

// note writes down what happened. Arguments must hold no secret. c.mu is held.
func (c *Cloud) note(at time.Time, format string, args ...any) {
	c.log = append(c.log, entry{at.Sub(c.born), fmt.Sprintf(format, args...)})
}

// Log returns what has happened so far, a line an event, in order of time: seconds since the cloud was
// made, then the launches, ends and changes of state, and the calls that failed. Reads that went well are
// not in it; [Cloud.Calls] counts them.
func (c *Cloud) Log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.tick()
	for _, m := range c.machines {
		c.advance(m, now)
	}
	// Changes are noticed late and machine by machine, so the order of writing means nothing.
	slices.SortFunc(c.log, func(a, b entry) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return strings.Compare(a.text, b.text)
	})
	var b strings.Builder
	for _, e := range c.log {
		fmt.Fprintf(&b, "%d.%09d %s\n", e.at/time.Second, e.at%time.Second, e.text)
	}
	return b.String()
}
