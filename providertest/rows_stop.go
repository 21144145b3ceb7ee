package providertest

import (
	"context"
	"errors"

	"runctl"
)

var stopRows = []Row{
	{
		Name: "Stop/Stops", Needs: needs(needStop),
		Rule: "after Stop the machine comes to StateStopped; it is not ended, and is still listed",
		Do:   "use the cloud's call that keeps the disk",
		check: func(c *check) {
			_, i := c.launch()
			c.running(i.ID)
			c.stop(i.ID)
			if _, ok := c.listed(i.ID); !ok {
				c.failf("the machine was stopped, and List does not have it")
			}
		},
	},
	{
		Name: "Stop/Starts", Needs: needs(needStop),
		Rule: "after Start a stopped machine comes to StateRunning, with the id and the label it had",
		Do:   "start the same machine; a copy of it would be a second launch",
		check: func(c *check) {
			req, i := c.launch()
			c.running(i.ID)
			c.stop(i.ID)
			s, _ := find[runctl.Stopper](c.p)
			var err error
			c.do("Start", func(ctx context.Context) { err = s.Start(ctx, i.ID) })
			c.must("Start", err)
			c.running(i.ID)
			if got, err := c.get(i.ID); err != nil || got.Label != req.Label {
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
			c.must("Terminate", c.terminate(i.ID))
			if !c.until(func() bool { return changed(before) }) {
				c.failf("a machine was terminated, and the channel of Changed was not closed")
			}
			if !c.until(func() bool { return !changed(n.Changed()) }) {
				c.failf("Changed goes on returning closed channels: whoever waits would never rest")
			}
		},
	},
}

// stop stops a machine and waits until it is stopped.
func (c *check) stop(id string) {
	s, _ := find[runctl.Stopper](c.p)
	var err error
	c.do("Stop", func(ctx context.Context) { err = s.Stop(ctx, id) })
	c.must("Stop", err)
	var last string
	if !c.until(func() bool {
		got, err := c.get(id)
		last = outcome(got, err)
		return err == nil && got.State == runctl.StateStopped
	}) {
		c.failf("after Stop, Get went on returning %s", last)
	}
}
