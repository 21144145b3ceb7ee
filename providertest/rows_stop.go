package providertest

import (
	"context"
	"errors"

	"runctl"
)

var stopRows = []Row{
	{
		Name: "Stop/Stops", Needs: needs(needStop),
		Rule: "after Stop the machine comes to StateStopped, and is not ended",
		Do:   "use the cloud's call that keeps the disk",
		check: func(c *check) {
			_, i := c.launch()
			c.running(i.ID)
			if last := c.stop(i.ID); last != "" {
				c.failf("after Stop, Get went on returning %s", last)
			}
		},
	},
	{
		Name: "Stop/Starts", Needs: needs(needStop),
		Rule: "after Start a stopped machine comes to StateRunning, with the id and the label it had",
		Do:   "start the same machine; a copy of it would be a second launch",
		check: func(c *check) {
			_, i := c.launch()
			c.running(i.ID)
			before, err := c.get(i.ID)
			c.must("Get", err)
			if c.stop(i.ID) != "" {
				c.lack("a Stop that stops")
			}
			s, _ := find[runctl.Stopper](c.p)
			c.do("Start", func(ctx context.Context) { err = s.Start(ctx, i.ID) })
			c.must("Start", err)
			c.running(i.ID)
			if got, err := c.get(i.ID); err != nil || got.Label != before.Label {
				c.failf("after Start, Get returned %s with the label %q", outcome(got, err), got.Label)
			}
		},
	},
	{
		Name: "Stop/Unknown", Needs: needs(needStop),
		Rule: "Stop and Start of an id that the cloud does not know are ErrNotFound",
		Do:   "map the cloud's code for it; nil would mean that the request was accepted",
		check: func(c *check) {
			_, i := c.launch()
			s, _ := find[runctl.Stopper](c.p)
			id := unlike(i.ID)
			for name, f := range map[string]func(context.Context, string) error{"Stop": s.Stop, "Start": s.Start} {
				var err error
				c.do(name, func(ctx context.Context) { err = f(ctx, id) })
				if !errors.Is(err, runctl.ErrNotFound) {
					c.failf("%s(%q), which the cloud does not know, returned %s", name, id, describe(err))
				}
			}
		},
	},
	{
		Name: "Notify/Fires", Needs: needs(needNotify),
		Rule: "the channel of Changed is closed when a machine has changed, and not before",
		Do:   "make a new channel after closing one",
		check: func(c *check) {
			n, _ := find[runctl.Notifier](c.p)
			changed := func(ch <-chan struct{}) bool {
				select {
				case <-ch:
					return true
				default:
					return false
				}
			}
			_, i := c.launch()
			c.running(i.ID)
			before := n.Changed()
			if changed(before) {
				c.failf("nothing has changed since Changed was called, and its channel is closed")
			}
			c.launch()
			if !c.until(func() bool { return changed(before) }) {
				c.failf("a machine was launched, and the channel of Changed was not closed")
			}
			if !c.until(func() bool { return !changed(n.Changed()) }) {
				c.failf("Changed goes on returning closed channels: whoever waits would never rest")
			}
		},
	},
}

// stop stops a machine and waits until it is stopped. If it never is, it returns how it was seen last.
func (c *check) stop(id string) (last string) {
	s, _ := find[runctl.Stopper](c.p)
	var err error
	c.do("Stop", func(ctx context.Context) { err = s.Stop(ctx, id) })
	c.must("Stop", err)
	c.until(func() bool {
		got, err := c.get(id)
		if last = outcome(got, err); err == nil && got.State == runctl.StateStopped {
			last = ""
		}
		return last == ""
	})
	return last
}
