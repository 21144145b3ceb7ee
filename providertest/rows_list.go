package providertest

import (
	"net/http"
	"slices"
	"strings"

	"runctl"
)

var listRows = []Row{
	{
		Name: "List/Empty",
		Rule: "List of an empty account returns no machine and no error",
		Do:   "an empty page is not a failure",
		check: func(c *check) {
			if all, err := c.list(owner); err != nil || len(all) > 0 {
				c.failf("the account is empty; List returned %d machines and %s", len(all), describe(err))
			}
		},
	},
	{
		Name: "List/AllPages",
		Rule: "List is complete over all pages, and has each machine once",
		Do:   "follow the cursor to its end; close over the last page too",
		check: func(c *check) {
			ids := c.launchMany()
			n := c.net.count()
			all, err := c.list(owner)
			c.must("List", err)
			count := map[string]int{}
			for _, i := range all {
				count[i.ID]++
			}
			for k, id := range ids {
				if count[id] != 1 {
					c.failf("%d machines were launched; List has the one launched as number %d %d times (%d entries, %d requests)",
						len(ids), k+1, count[id], len(all), c.net.count()-n)
				}
			}
		},
	},
	{
		Name: "List/PageFails", Needs: needs(needHTTP),
		Rule: "List is all or nothing: when any page fails, it returns an error",
		Do:   "return the error of the page; what was read so far would look complete",
		check: func(c *check) {
			ids := c.launchMany()
			for what, f := range map[string]fault{"connection broken": dropped, "status 500": instead(Reply{Status: 500, Body: "{}"}), "reply cut": cut} {
				n := c.net.count()
				c.net.on(func(r *http.Request, x exchange, send send) (*http.Response, error) {
					if first := c.net.since(n)[0]; !x.same(first) {
						return f(r, x, send)
					}
					return send()
				})
				all, err := c.list(owner)
				sent := c.net.since(n)
				c.net.on(nil)
				if len(sent) == 1 {
					c.lack("pages")
				}
				if err == nil {
					c.failf("%s on every page but the first; List returned %d of %d machines and no error", what, len(all), len(ids))
				}
			}
		},
	},
	{
		Name: "List/RepeatedCursor", Needs: needs(needHTTP),
		Rule: "a listing whose cursor comes back ends with an error, after a bounded number of pages",
		Do:   "remember the cursors; stop with an error at the first that was there before, and at a ceiling of pages",
		check: func(c *check) {
			c.launchMany()
			n := c.net.count()
			var first *Reply
			const most = 5000
			c.net.on(func(_ *http.Request, _ exchange, send send) (*http.Response, error) {
				if c.net.count()-n > most {
					return nil, reset()
				}
				if first != nil {
					return first.response(), nil
				}
				return changed(func(h http.Header, body []byte) []byte {
					first = &Reply{Header: h, Body: string(body)}
					return body
				})(nil, exchange{}, send)
			})
			all, err := c.list(owner)
			sent := c.net.count() - n
			c.net.on(nil)
			switch {
			case sent == 1:
				c.lack("pages")
			case sent > most:
				c.failf("every page was the first again; List asked for more than %d pages", most)
			case err == nil:
				c.failf("every page was the first again; List returned %d machines and no error", len(all))
			}
		},
	},
	{
		Name: "List/Unreadable", Needs: needs(needHTTP),
		Rule: "a reply that cannot be read, or that is not a listing, is an error: an empty list would mean that nothing bills",
		Do:   "return every decoding error and every status other than success",
		check: func(c *check) {
			c.launch()
			for what, f := range map[string]fault{
				"reply cut in the middle": cut, "HTML reply": instead(Reply{Body: "<html>sorry</html>"}), "empty reply": instead(Reply{}),
				"status 403": instead(Reply{Status: 403, Body: "{}"}), "status 302": instead(Reply{Status: 302}), "status 500": instead(Reply{Status: 500, Body: "{}"}),
				"connection broken": dropped,
			} {
				c.net.on(f)
				all, err := c.list(owner)
				c.net.on(nil)
				if err == nil {
					c.failf("%s; List returned %d machines and no error", what, len(all))
				}
			}
		},
	},
	listsState("List/Pending", runctl.StatePending),
	listsState("List/Stopping", runctl.StateStopping),
	listsState("List/Stopped", runctl.StateStopped),
	{
		Name: "List/StrangeState", Needs: needs(needWords),
		Rule: "a machine in a state that is not known is listed: it may bill",
		Do:   "leave no machine out because of its state, unless the cloud says that it has ended",
		check: func(c *check) {
			_, i := c.launch()
			c.showStrange(i.ID)
			if l, ok := c.listed(i.ID); !ok || !l.State.Billing() {
				c.failf("the reply says the state %q; in List: %t, as %s", strangeWord, ok, l.State)
			}
		},
	},
	{
		Name: "List/MissingField", Needs: needs(needHTTP),
		Rule: "a field that is missing in the reply neither hides a machine nor ends it: it is listed, or List is an error",
		Do:   "decode into pointers what may be absent; an absent state is StateUnknown",
		check: func(c *check) {
			_, i := c.launch()
			c.running(i.ID)
			var all []runctl.Instance
			var err error
			call := func() { all, err = c.list("") }
			c.eachMissing("List", true, call, func(path string) {
				call()
				alive := slices.ContainsFunc(all, func(l runctl.Instance) bool {
					return (l.ID == i.ID || strings.HasPrefix(l.Label, "rc1-"+owner)) && l.State.Billing()
				})
				if err == nil && !alive {
					c.failf("without %s in the reply, List has %d machines, and the one that runs is not alive among them", path, len(all))
				}
			})
		},
	},
	{
		Name: "List/LikeGet",
		Rule: "List tells of a machine what Get tells: type, region, market, times and price too, which the reaper and the cost need",
		Do:   "build both from the same wire struct by the same function",
		check: func(c *check) {
			_, i := c.launch()
			c.running(i.ID)
			got, err := c.get(i.ID)
			c.must("Get", err)
			l, ok := c.listed(i.ID)
			if !ok {
				c.failf("Get returned %q, and List does not have it", i.ID)
			}
			if l.State != got.State || l.Type != got.Type || l.Region != got.Region || l.Market != got.Market || l.Road != got.Road ||
				!l.Launched.Equal(got.Launched) || l.Price.Hourly != got.Price.Hourly || l.Seen.IsZero() != got.Seen.IsZero() {
				c.failf("Get:  %+v\nList: %+v", plain(got), plain(l))
			}
		},
	},
	{
		Name: "List/OtherOwners", Needs: needs(needStranger),
		Rule: "List with an empty Owner has everybody's machines, with and without a mark, each with its label as it is",
		Do:   "filter by owner only when there is one; leave labels that are not ours alone",
		check: func(c *check) {
			labels := []string{"Kim's box (do not touch)", ""}
			var ids []string
			for _, l := range labels {
				ids = append(ids, c.cloud.Stranger(l))
			}
			_, i := c.launch()
			all, err := c.list("")
			c.must("List", err)
			for k, id := range ids {
				at := slices.IndexFunc(all, func(i runctl.Instance) bool { return i.ID == id })
				if at < 0 {
					c.failf("a machine %q of somebody else is in the account; List of everybody's does not have it", labels[k])
				}
				if got := all[at].Label; got != labels[k] && got != "" {
					c.failf("a machine of somebody else is labelled %q; List says %q", labels[k], got)
				}
			}
			if !slices.ContainsFunc(all, func(l runctl.Instance) bool { return l.ID == i.ID }) {
				c.failf("List of everybody's machines does not have ours")
			}
		},
	},
	{
		Name: "List/Owner",
		Rule: "List with an Owner has every machine of that owner; an owner whose name begins alike is another one",
		Do:   "filter by the label's beginning, rc1-OWNER-, or do not filter at all",
		check: func(c *check) {
			_, i := c.launch()
			if _, ok := c.listed(i.ID); !ok {
				c.failf("launched as %s; List with this Owner does not have it", owner)
			}
			req := c.newRequest()
			const short = "conform"
			req.Label = runctl.Mark{Owner: short, Key: "k", Controller: "abc", Lifetime: 60e9, Digest: "defg"}.Label(nil)
			other, err := c.tryLaunch(req)
			c.must("Launch", err)
			all, err := c.list(short)
			c.must("List", err)
			if !slices.ContainsFunc(all, func(l runctl.Instance) bool { return l.ID == other.ID }) {
				c.failf("launched as %s; List with this Owner does not have it", short)
			}
			c.must("Terminate", c.terminate(other.ID))
		},
	},
}

// listsState makes the row for one state that bills.
func listsState(name string, s runctl.State) Row {
	return Row{
		Name: name, Needs: needs(needStates),
		Rule: "a machine that is " + s.String() + " bills, and is listed",
		Do:   "list all states but the ended one; leave out the cloud's filter for running machines",
		check: func(c *check) {
			_, i := c.launch()
			c.show(i.ID, s)
			if _, ok := c.listed(i.ID); !ok {
				c.failf("the machine is %s, and List does not have it", s)
			}
		},
	}
}

// launchMany launches as many machines as make more than two pages.
func (c *check) launchMany() (ids []string) {
	n := c.h.Many
	if n == 0 {
		n = 7
	}
	for range n {
		_, i := c.launch()
		ids = append(ids, i.ID)
	}
	return ids
}

// plain is an instance without what only prints badly.
func plain(i runctl.Instance) string {
	return strings.Join([]string{i.State.String(), i.Type, i.Region, i.Market.String(), "road " + i.Road.String(),
		"launched " + i.Launched.String(), i.Price.Hourly.String(), "seen " + i.Seen.String()}, ", ")
}
