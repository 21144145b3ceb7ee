package providertest

import (
	"errors"

	"runctl"
)

var terminateRows = []Row{
	{
		Name: "Terminate/EndsBilling",
		Rule: "after Terminate returned nil, the machine stops billing by itself",
		Do:   "delete the machine: to stop or to power it off leaves its disk, or all of it, on the bill",
		check: func(c *check) {
			_, i := c.launch()
			c.must("Terminate", c.terminate(i.ID))
			if !c.until(func() bool { return !c.bills(i.ID) }) {
				c.failf("Terminate returned nil, and the machine goes on billing")
			}
		},
	},
	{
		Name: "Terminate/StillBilling", Needs: needs(needHoldEnds),
		Rule: "a machine whose end was asked for is not ended until the cloud says so: until then it bills and is listed",
		Do:   "map the word for being deleted to StateStopping; keep no note of what was terminated",
		check: func(c *check) {
			_, i := c.launch()
			c.cloud.HoldEnds()
			c.must("Terminate", c.terminate(i.ID))
			if !c.bills(i.ID) {
				c.lack("machines that take time to end")
			}
			got, err := c.get(i.ID)
			l, ok := c.listed(i.ID)
			if ended(got, err) || !ok || !l.State.Billing() {
				c.failf("the cloud is still deleting the machine, and bills; Get returned %s; in List: %t, as %s", outcome(got, err), ok, l.State)
			}
		},
	},
	{
		Name: "Terminate/Twice",
		Rule: "Terminate of a machine that has ended is nil or ErrNotFound",
		Do:   "map the cloud's code for a machine that is gone to ErrNotFound",
		check: func(c *check) {
			_, i := c.launch()
			c.must("Terminate", c.terminate(i.ID))
			if err := c.terminate(i.ID); err != nil && !errors.Is(err, runctl.ErrNotFound) {
				c.failf("the second Terminate returned %s", describe(err))
			}
		},
	},
	{
		Name: "Terminate/Unknown",
		Rule: "Terminate of an id that the cloud does not know is nil or ErrNotFound",
		Do:   "map the cloud's code for it to ErrNotFound",
		check: func(c *check) {
			_, i := c.launch()
			id := unlike(i.ID)
			if err := c.terminate(id); err != nil && !errors.Is(err, runctl.ErrNotFound) {
				c.failf("Terminate(%q), which the cloud does not know, returned %s", id, describe(err))
			}
		},
	},
	{
		Name: "Terminate/OnlyThis",
		Rule: "Terminate ends the machine with this very id, and no other",
		Do:   "delete by the cloud's id, never by name, index or filter",
		check: func(c *check) {
			_, a := c.launch()
			_, b := c.launch()
			_, d := c.launch()
			c.must("Terminate", c.terminate(b.ID))
			c.until(func() bool { return !c.bills(b.ID) || !c.bills(d.ID) || !c.bills(a.ID) })
			if !c.bills(a.ID) || !c.bills(d.ID) {
				c.failf("of three machines the second was terminated; billing are: first %t, second %t, third %t", c.bills(a.ID), c.bills(b.ID), c.bills(d.ID))
			}
		},
	},
	{
		Name: "Terminate/OddID",
		Rule: "an id is opaque: whatever it contains, it never means another machine, nor all of them",
		Do:   "escape the id in a URL (url.PathEscape leaves '.' and '..'), and refuse an empty one",
		check: func(c *check) {
			_, i := c.launch()
			for _, id := range []string{"", ".", "..", "/", "x/../" + i.ID, i.ID + "/", i.ID + "?x=1", i.ID + "#x", "%2e%2e/" + i.ID, i.ID + "\x00", "*"} {
				err := c.terminate(id)
				if !c.bills(i.ID) {
					c.failf("Terminate(%q) returned %s, and ended the machine %q", id, describe(err), i.ID)
				}
			}
		},
	},
	{
		Name: "Terminate/Failed", Needs: needs(needHTTP),
		Rule: "Terminate returns nil only when the cloud has accepted: everything else is an error, and not ErrNotFound",
		Do:   "return the error; the client asks again until the machine is seen ended",
		check: func(c *check) {
			_, i := c.launch()
			for what, f := range map[string]fault{
				"the connection broke": dropped, "the reply was status 500": instead(Reply{Status: 500, Body: "{}"}),
				"the reply was status 403": instead(Reply{Status: 403, Body: "{}"}), "the reply was status 302": instead(Reply{Status: 302}),
			} {
				c.net.on(f)
				err := c.terminate(i.ID)
				c.net.on(nil)
				if err == nil || errors.Is(err, runctl.ErrNotFound) {
					c.failf("%s; Terminate returned %s, and the machine bills: %t", what, describe(err), c.bills(i.ID))
				}
			}
		},
	},
}
