package providertest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"runctl"
)

var launchRows = []Row{
	{
		Name: "Launch/ID",
		Rule: "a machine's ID is 1 to 128 of A-Z a-z 0-9 . _ : -",
		Do:   "join parts of an id with ':'; the client refuses machines with other ids",
		check: func(c *check) {
			_, i := c.launch()
			ok := strings.Trim(i.ID, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == ""
			if i.ID == "" || len(i.ID) > 128 || !ok {
				c.failf("Launch returned the ID %q", i.ID)
			}
		},
	},
	{
		Name: "Launch/Label",
		Rule: "Launch, Get and List return the label of the launch as it was given, all 60 characters of it",
		Do:   "store it where the cloud allows 60 characters of a-z, 0-9 and '-'; a label that was cut does not carry its seal",
		check: func(c *check) {
			req, i := c.launch()
			got, err := c.get(i.ID)
			c.must("Get", err)
			listed, ok := c.listed(i.ID)
			if !ok {
				c.failf("Launch returned %q, and List does not have it", i.ID)
			}
			for from, label := range map[string]string{"Launch": i.Label, "Get": got.Label, "List": listed.Label} {
				if label != req.Label {
					c.failf("launched with the label %q; %s returned %q", req.Label, from, label)
				}
			}
		},
	},
	{
		Name: "Launch/LabelAtOnce", Needs: needs(needHTTP),
		Rule: "the label goes with the very request that starts the machine, so that no machine is ever without",
		Do:   "send it as the name, tag or token of the launch request; a second request that sets it may never be sent",
		check: func(c *check) {
			req := c.newRequest()
			n := c.net.count()
			c.net.on(func(r *http.Request, x exchange, send send) (*http.Response, error) {
				if len(c.net.launches(n)) > 0 && !x.launch {
					return dropped(r, x, send)
				}
				return send()
			})
			i, err := c.tryLaunch(req)
			c.net.on(nil)
			all, lerr := c.list("")
			c.must("List", lerr)
			for _, l := range all {
				if strings.HasPrefix(l.Label, "rc1-"+owner) {
					return
				}
			}
			c.failf("all requests after the launch request were dropped; Launch returned %s; no machine has the label, and %s", outcome(i, err), c.books())
		},
	},
	{
		Name: "Launch/SameToken", Needs: needs(needIdempotent),
		Rule: "with Info.Idempotent, a second Launch with the same Token starts nothing and returns the first machine",
		Do:   "send LaunchRequest.Token as the cloud's idempotency key, or declare Idempotent false",
		check: func(c *check) {
			req, first := c.launch()
			second, err := c.tryLaunch(req)
			if err != nil || second.ID != first.ID || len(c.billing()) != 1 {
				c.failf("the first Launch returned %q, the second with the same token %s; %s", first.ID, outcome(second, err), c.books())
			}
		},
	},
	{
		Name: "Launch/SameTokenAtOnce", Needs: needs(needIdempotent),
		Rule: "with Info.Idempotent, concurrent Launches with one Token start one machine, and all of them return it",
		Do:   "leave it to the cloud: a table of tokens in memory knows nothing of requests under way, or of other processes",
		check: func(c *check) {
			c.honoursTokens()
			before := len(c.billing())
			req := c.newRequest()
			const n = 4
			got, errs := make([]runctl.Instance, n), make([]error, n)
			c.net.on(together(n, onLaunchOnly))
			var all sync.WaitGroup
			for k := range n {
				all.Go(func() { got[k], errs[k] = c.tryLaunch(req) })
			}
			all.Wait()
			c.net.on(nil)
			for k := range n {
				if errs[k] != nil || got[k].ID != got[0].ID {
					c.failf("%d Launches with one token: the first returned %s, another %s; %s",
						n, outcome(got[0], errs[0]), outcome(got[k], errs[k]), c.books())
				}
			}
			if more := len(c.billing()) - before; more != 1 {
				c.failf("%d Launches with one token, and %d machines of it", n, more)
			}
		},
	},
	{
		Name: "Launch/TokenAfterDoubt", Needs: needs(needIdempotent, needHTTP),
		Rule: "with Info.Idempotent, a Launch that repeats the Token of one whose reply was lost returns that one's machine",
		Do:   "send the token as it is, every time; never mint or change one",
		check: func(c *check) {
			c.honoursTokens()
			before := len(c.billing())
			req := c.newRequest()
			c.net.on(onLaunch(lost))
			_, _ = c.tryLaunch(req)
			c.net.on(nil)
			i, err := c.tryLaunch(req)
			if more := len(c.billing()) - before; err != nil || more != 1 {
				c.failf("the reply to the first Launch was dropped; the second, with the same token, returned %s; the cloud holds %d machines of it",
					outcome(i, err), more)
			}
		},
	},
	{
		Name: "Launch/OtherToken",
		Rule: "Launches with different Tokens and labels start different machines, even if only the last character differs",
		Do:   "send all 64 characters of the token, or a hash of all of them",
		check: func(c *check) {
			var a, b runctl.Instance
			for k, i := range []*runctl.Instance{&a, &b} {
				req := c.newRequest()
				req.Token = strings.Repeat("t", 63) + string(rune('0'+k))
				var err error
				*i, err = c.tryLaunch(req)
				c.must("Launch", err)
			}
			if a.ID == b.ID || len(c.billing()) != 2 {
				c.failf("two Launches returned %q and %q; %s", a.ID, b.ID, c.books())
			}
		},
	},
	{
		Name: "Launch/Once", Needs: needs(needHTTP),
		Rule: "one Launch sends one launch request, whatever happens to it",
		Do:   "turn off the retries of the HTTP client and of the SDK for it: the client repeats a launch, where that is safe",
		check: func(c *check) {
			for what, f := range map[string]fault{
				"the connection broke before the request": dropped, "the reply was lost": lost,
				"the reply was status 503": instead(Reply{Status: 503}), "the reply was status 429": instead(Reply{Status: 429}),
				"the cloud acted and the reply was status 502": after(Reply{Status: 502}),
			} {
				req := c.newRequest()
				n := c.net.count()
				c.net.on(onLaunch(f))
				_, _ = c.tryLaunch(req)
				c.net.on(nil)
				if sent := len(c.net.launches(n)); sent > 1 {
					c.failf("%s; Launch sent %d launch requests; %s", what, sent, c.books())
				}
			}
		},
	},
	{
		Name: "Launch/StrangeOption",
		Rule: "an option of another provider is ignored, or refused as ErrInvalid with NotStarted",
		Do:   "look for the own type of options by a checked type assertion",
		check: func(c *check) {
			req := c.newRequest()
			req.Options = append([]runctl.LaunchOption{strangeOption{}}, req.Options...)
			i, err := c.tryLaunch(req)
			if e := classified(err); err != nil && (e.Kind != runctl.ErrInvalid || !e.NotStarted) {
				c.failf("Launch with an option for %q returned %s", strangeOption{}.ForProvider(), outcome(i, err))
			}
		},
	},
	{
		Name: "Launch/Clock", Needs: needs(needHTTP),
		Rule: "Launched and Seen are the cloud's own times, or zero: never this computer's",
		Do:   "take Seen from the reply's Date and Launched from the machine's record; leave them zero where the cloud does not tell",
		check: func(c *check) {
			const off = -1000 * 24 * time.Hour
			c.net.on(changed(func(h http.Header, body []byte) []byte { return shiftTimes(h, body, off) }))
			_, i := c.launch()
			got, err := c.get(i.ID)
			c.must("Get", err)
			listed, _ := c.listed(i.ID)
			c.net.on(nil)
			now := time.Now()
			for from, i := range map[string]runctl.Instance{"Launch": i, "Get": got, "List": listed} {
				for name, at := range map[string]time.Time{"Seen": i.Seen, "Launched": i.Launched} {
					if !at.IsZero() && now.Sub(at).Abs() < 24*time.Hour {
						c.failf("the cloud's clock is 1000 days behind; %s returned %s = %s, the time of this computer", from, name, at.Format(time.DateTime))
					}
				}
			}
		},
	},
}

type strangeOption struct{}

func (strangeOption) ForProvider() string { return "somebody-else" }

// honoursTokens ends the check unless a token is honoured in the plainest case, which is a row of its own.
func (c *check) honoursTokens() {
	req, first := c.launch()
	if second, err := c.tryLaunch(req); err != nil || second.ID != first.ID {
		c.lack("tokens that are honoured")
	}
}

func onLaunchOnly(x exchange) bool { return x.launch }

// together holds the requests that are meant until n of them are under way, or until it has waited long
// enough for a provider that sends them one after the other.
func together(n int, meant func(exchange) bool) fault {
	var mu sync.Mutex
	here, all := 0, make(chan struct{})
	return func(r *http.Request, x exchange, send send) (*http.Response, error) {
		if !meant(x) {
			return send()
		}
		mu.Lock()
		if here++; here == n {
			close(all)
		}
		mu.Unlock()
		limit := time.NewTimer(300 * time.Millisecond)
		defer limit.Stop()
		select {
		case <-all:
		case <-limit.C:
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
		return send()
	}
}
