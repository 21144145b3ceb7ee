package providertest

import (
	"context"
	"fmt"
	"net/http"

	"runctl"
)

const inDoubt = "put only replies that you can read into the error table; leave the rest unclassified"

// doubtRows are about launches whose outcome is not known.
var doubtRows = []Row{
	{
		Name: "Launch/LostReply", Needs: needs(needHTTP), Do: inDoubt,
		Rule: "after the request was sent, an error means in doubt, unless the cloud's reply proves that nothing started",
		check: func(c *check) {
			c.doubt("reply of the launch request dropped", lost)
		},
	},
	{
		Name: "Launch/ServerError", Needs: needs(needHTTP),
		Rule: "a status of 500 or above proves nothing about a launch: a gateway may have given up on one that goes on",
		Do:   "never set NotStarted for 5xx; only a documented error code for a refusal is a proof",
		check: func(c *check) {
			for _, status := range []int{500, 502, 503, 504} {
				c.doubt(fmt.Sprintf("the cloud acted and the reply was status %d", status), after(Reply{Status: status, Body: `{"error":"internal"}`}))
			}
		},
	},
	{
		Name: "Launch/StrangeRefusal", Needs: needs(needHTTP), Do: inDoubt,
		Rule: "a 4xx that is not the cloud's own, readable refusal proves nothing: it may come from a proxy, after the request went on",
		check: func(c *check) {
			html := http.Header{"Content-Type": {"text/html"}}
			for _, status := range []int{400, 408, 413, 418, 499} {
				c.doubt(fmt.Sprintf("the cloud acted and a proxy replied with status %d and an HTML page", status),
					after(Reply{Status: status, Header: html, Body: "<html>sorry</html>"}))
			}
		},
	},
	{
		Name: "Launch/UnreadableReply", Needs: needs(needHTTP),
		Rule: "a launch whose reply cannot be read is an error in doubt, never a machine without id",
		Do:   "return the decoding error unclassified; check that the reply has an id",
		check: func(c *check) {
			for what, f := range map[string]fault{
				"reply cut in the middle": cut, "empty reply": after(Reply{Status: 201}), "reply {}": after(Reply{Status: 201, Body: "{}"}),
				"reply null": after(Reply{Status: 201, Body: "null"}), "HTML reply": after(Reply{Status: 201, Body: "<html>"}),
			} {
				if i, err := c.doubt(what, f); err == nil {
					c.failf("%s; Launch returned a machine with the ID %q and no error", what, i.ID)
				}
			}
		},
	},
	{
		Name: "Launch/CancelAfterSend", Needs: needs(needHTTP),
		Rule: "a launch whose context ended while it was under way is in doubt",
		Do:   "return the context's error unclassified: who gives up waiting has not taken the request back",
		check: func(c *check) {
			req := c.newRequest()
			entered := make(chan struct{}, 1)
			c.net.on(onLaunch(c.net.hang(entered, true)))
			ctx, cancel := context.WithCancel(c.ctx)
			defer cancel()
			go func() {
				<-entered
				cancel()
			}()
			var err error
			c.do("Launch", func(context.Context) { _, err = c.p.Launch(ctx, req) })
			c.net.on(nil)
			if classified(err).NotStarted {
				c.failf("the context was cancelled after the request was sent; Launch returned %s; %s", describe(err), c.books())
			}
		},
	},
}

// doubt launches under the fault, which lets the cloud act, and fails when nothing is said to have started.
func (c *check) doubt(what string, f fault) (runctl.Instance, error) {
	req := c.newRequest()
	c.net.on(onLaunch(f))
	i, err := c.tryLaunch(req)
	c.net.on(nil)
	if classified(err).NotStarted {
		c.failf("%s; Launch returned %s; %s", what, describe(err), c.books())
	}
	return i, err
}
