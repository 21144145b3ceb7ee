package providertest

import (
	"errors"

	"runctl"
)

var getRows = []Row{
	{
		Name: "Get/Unknown",
		Rule: "Get of an id that the cloud does not know is ErrNotFound",
		Do:   "map the cloud's code for it; do not answer with an ended machine, which would be a proof that there was one",
		check: func(c *check) {
			_, i := c.launch()
			id := unlike(i.ID)
			if got, err := c.get(id); !errors.Is(err, runctl.ErrNotFound) {
				c.failf("Get(%q), which the cloud does not know, returned %s", id, outcome(got, err))
			}
		},
	},
	{
		Name: "Get/One",
		Rule: "Get returns the machine with this very id",
		Do:   "compare the id in the reply, where the cloud's look-up is by prefix, name or filter",
		check: func(c *check) {
			_, a := c.launch()
			_, b := c.launch()
			for _, id := range []string{a.ID, b.ID} {
				if got, err := c.get(id); err != nil || got.ID != id {
					c.failf("of two machines, Get(%q) returned %s", id, outcome(got, err))
				}
			}
		},
	},
	{
		Name: "Get/Ended",
		Rule: "after its end, a machine is StateTerminated without an error, or ErrNotFound",
		Do:   "put the cloud's word for an ended machine into the state table",
		check: func(c *check) {
			_, i := c.launch()
			c.end(i.ID)
			var last string
			if !c.until(func() bool {
				got, err := c.get(i.ID)
				last = outcome(got, err)
				return ended(got, err)
			}) {
				c.failf("after Terminate, Get went on returning %s", last)
			}
		},
	},
	{
		Name: "Get/Fresh",
		Rule: "every Get asks the cloud again",
		Do:   "keep no copy of machines in the provider: the client has the poller that callers share",
		check: func(c *check) {
			_, i := c.launch()
			_, err := c.get(i.ID)
			c.must("Get", err)
			c.end(i.ID)
			var last string
			if !c.until(func() bool {
				got, err := c.get(i.ID)
				last = outcome(got, err)
				return err != nil || got.State != runctl.StateRunning && got.State != runctl.StatePending
			}) {
				c.failf("Get before the end, Terminate, Get again: %s", last)
			}
		},
	},
	{
		Name: "Get/States", Needs: needs(needStates),
		Rule: "each of the cloud's states is told as what it is: on its way to stopped is not stopped, and stopped is not ended",
		Do:   "write the state table from the cloud's reference, one line for each word",
		check: func(c *check) {
			_, i := c.launch()
			tried := false
			for _, s := range []runctl.State{runctl.StatePending, runctl.StateStopping, runctl.StateStopped, runctl.StateRunning} {
				if c.cloud.SetState == nil && c.h.States[s] == "" || c.cloud.SetState != nil && !c.cloud.SetState(i.ID, s) {
					continue
				}
				tried = true
				if c.cloud.SetState == nil {
					c.net.on(nil)
					c.show(i.ID, s)
				}
				if got, err := c.get(i.ID); err != nil || got.State != s {
					c.failf("the machine is %s; Get returned %s", s, outcome(got, err))
				}
			}
			if !tried {
				c.lack(needStates)
			}
		},
	},
	{
		Name: "Get/StrangeState", Needs: needs(needWords),
		Rule: "a word for the state that is not known is StateUnknown, which is alive and bills, and no error",
		Do:   "look words up in a map: what is not in it is StateUnknown, the zero value",
		check: func(c *check) {
			_, i := c.launch()
			c.showStrange(i.ID)
			if got, err := c.get(i.ID); err != nil || got.State != runctl.StateUnknown {
				c.failf("the reply says the state %q; Get returned %s", strangeWord, outcome(got, err))
			}
		},
	},
	{
		Name: "Get/Unreachable", Needs: needs(needHTTP),
		Rule: "when the cloud does not answer, a machine is neither gone nor ended: Get returns another error",
		Do:   "ErrNotFound and StateTerminated need the cloud's own word for this machine",
		check: func(c *check) {
			_, i := c.launch()
			for what, f := range map[string]fault{
				"the connection broke": dropped, "the reply was status 500": instead(Reply{Status: 500, Body: `{}`}),
				"the reply was cut":        cut,
				"the reply was status 503": instead(Reply{Status: 503, Body: "<html>"}), "the reply was status 403": instead(Reply{Status: 403, Body: `{}`}),
			} {
				c.net.on(f)
				got, err := c.get(i.ID)
				c.net.on(nil)
				if err == nil || errors.Is(err, runctl.ErrNotFound) {
					c.failf("%s; Get returned %s", what, outcome(got, err))
				}
			}
		},
	},
	{
		Name: "Get/EmptyReply", Needs: needs(needHTTP),
		Rule: "a reply without the machine is an error, not a machine without id",
		Do:   "check that the id in the reply is the one that was asked for",
		check: func(c *check) {
			_, i := c.launch()
			for _, body := range []string{"", "{}", "null", "[]", "<html>"} {
				c.net.on(instead(Reply{Body: body}))
				got, err := c.get(i.ID)
				c.net.on(nil)
				if err == nil && got.ID != i.ID {
					c.failf("the reply was %q; Get(%q) returned %s", body, i.ID, outcome(got, err))
				}
			}
		},
	},
}

// unlike returns an id of the same form that no machine has.
func unlike(id string) string {
	b := []byte(id)
	for i := len(b) - 1; i >= 0; i-- {
		switch ch := b[i]; {
		case ch >= '0' && ch <= '9':
			b[i] = '0' + (ch-'0'+7)%10
		case ch >= 'a' && ch <= 'f':
			b[i] = 'a' + (ch-'a'+3)%6
		default:
			continue
		}
		if len(b)-i > 8 {
			break
		}
	}
	if string(b) == id {
		return id + "0"
	}
	return string(b)
}
