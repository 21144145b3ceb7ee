package providertest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"runctl"
)

// call is one method of the provider, ready to be called.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls returns the methods that send requests, for the machine with this id.
func (c *check) calls(id string) []call {
	req := c.newRequest()
	all := []call{
		{"Offers", func(ctx context.Context) error { _, err := c.p.Offers(ctx, runctl.OfferQuery{}); return err }},
		{"Launch", func(ctx context.Context) error { _, err := c.p.Launch(ctx, req); return err }},
		{"Get", func(ctx context.Context) error { _, err := c.p.Get(ctx, id); return err }},
		{"List", func(ctx context.Context) error { _, err := c.p.List(ctx, runctl.ListQuery{Owner: owner}); return err }},
	}
	if s, ok := find[runctl.Stopper](c.p); ok {
		all = append(all, call{"Stop", func(ctx context.Context) error { return s.Stop(ctx, id) }},
			call{"Start", func(ctx context.Context) error { return s.Start(ctx, id) }})
	}
	return append(all, call{"Terminate", func(ctx context.Context) error { return c.p.Terminate(ctx, id) }})
}

// eachCall calls every method and has its error judged. Methods that send nothing are left out; what the
// others have sent is in c.sent.
func (c *check) eachCall(f fault, judge func(call call, err error)) {
	if c.subject == "" {
		_, i := c.launch()
		c.subject = i.ID
	}
	for _, call := range c.calls(c.subject) {
		n := c.net.count()
		var err error
		c.net.on(f)
		c.do(call.name, func(ctx context.Context) { err = call.do(ctx) })
		c.net.on(nil)
		if c.sent = c.net.since(n); len(c.sent) > 0 {
			judge(call, err)
		}
	}
}

var errorRows = []Row{
	{
		Name: "Errors/Auth", Needs: needs(needHTTP),
		Rule: "credentials that the cloud does not take are ErrAuth, from every method",
		Do:   "map status 401, and the cloud's codes for it, to ErrAuth",
		check: func(c *check) {
			rep, _ := c.reply(runctl.ErrAuth)
			c.eachCall(instead(rep), func(call call, err error) {
				if classified(err).Kind != runctl.ErrAuth {
					c.failf("the cloud refused the credentials; %s returned %s", call.name, describe(err))
				}
			})
		},
	},
	{
		Name: "Errors/RateLimit", Needs: needs(needHTTP),
		Rule: "too many requests is ErrRateLimit from every method that reads or ends",
		Do:   "map status 429, and the cloud's throttling codes, to ErrRateLimit in the one place where replies are read",
		check: func(c *check) {
			rep, _ := c.reply(runctl.ErrRateLimit)
			c.eachCall(instead(rep), func(call call, err error) {
				if call.name != "Launch" && classified(err).Kind != runctl.ErrRateLimit {
					c.failf("the cloud throttled; %s returned %s", call.name, describe(err))
				}
			})
		},
	},
	{
		Name: "Errors/RetryAfter", Needs: needs(needHTTP),
		Rule: "the Retry-After that the cloud sends with a refusal for speed is in the error: seconds or a date, never negative",
		Do:   "read both forms of the header, the date against the reply's own Date",
		check: func(c *check) {
			_, i := c.launch()
			now := time.Now().UTC()
			for value, want := range map[string]time.Duration{
				"7": 7 * time.Second, now.Add(9 * time.Second).Format(http.TimeFormat): 9 * time.Second, "-5": 0,
				now.Add(-time.Hour).Format(http.TimeFormat): 0, "soon": 0,
			} {
				rep, _ := c.reply(runctl.ErrRateLimit)
				rep.Header = rep.Header.Clone()
				if rep.Header == nil {
					rep.Header = http.Header{}
				}
				rep.Header.Set("Retry-After", value)
				rep.Header.Set("Date", now.Format(http.TimeFormat))
				c.net.on(instead(rep))
				_, err := c.get(i.ID)
				c.net.on(nil)
				if got := classified(err).RetryAfter; (got-want).Abs() > 2*time.Second || got < 0 {
					c.failf("Retry-After: %s; Get returned %s", value, describe(err))
				}
			}
		},
	},
	{
		Name: "Errors/NoSecrets", Needs: needs(needHTTP),
		Rule: "no secret is in the text of an error: not the API key, not the value of a Job.Secret, not a URL that was signed",
		Do:   "keep keys out of URLs, requests out of messages, and replace your own key in what the cloud says",
		check: func(c *check) {
			echo := func(r *http.Request, x exchange, _ send) (*http.Response, error) {
				return Reply{Status: 400, Body: fmt.Sprintf(`{"code":"bad","text":%q,"message":%q,"error":%q}`, heads(x.header), heads(x.header), heads(x.header))}.response(), nil
			}
			for what, f := range map[string]fault{
				"connection broken": dropped, "status 500": instead(Reply{Status: 500}), "status 401": instead(Reply{Status: 401, Body: "{}"}),
				"reply cut": cut, "HTML reply": instead(Reply{Body: "<html>"}), "redirect": instead(Reply{Status: 302, Header: http.Header{"Location": {"/login"}}}),
				"the request's header in a 400": echo,
			} {
				c.eachCall(f, func(call call, err error) {
					if err == nil {
						return
					}
					text := err.Error()
					if what != "the request's header in a 400" {
						text = chain(err)
					}
					for _, s := range c.h.Secrets {
						if s != "" && strings.Contains(text, s) {
							c.failf("%s; %s returned an error with a secret: %s", what, call.name, strings.ReplaceAll(text, s, "<SECRET>"))
						}
					}
				})
			}
		},
	},
	{
		Name: "Errors/NoJobSecrets", Needs: needs(needJob, needHTTP),
		Rule: "the value of a Job.Secret is in no error and in no field of a machine",
		Do:   "reveal it into the request's body only",
		check: func(c *check) {
			const canary = "canary-4b1d-value"
			for what, f := range map[string]fault{"no fault": nil, "connection broken": lost, "status 400": after(Reply{Status: 400, Body: "{}"}), "reply cut": cut} {
				req := c.jobRequest(Work{Log: "x\n"})
				req.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.NewSecret(canary)}
				if f != nil {
					c.net.on(onLaunch(f))
				}
				i, err := c.tryLaunch(req)
				c.net.on(nil)
				i.Native = nil
				if text := chain(err) + fmt.Sprintf("%+v", i); strings.Contains(text, canary) {
					c.failf("%s; Launch returned %s", what, strings.ReplaceAll(text, canary, "<SECRET>"))
				}
			}
		},
	},
}

// chain is the text of an error and of all that it wraps.
func chain(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		s += "\n" + chain(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			s += "\n" + chain(e)
		}
	}
	return s
}

// heads prints a request's header as a talkative server would.
func heads(h http.Header) string {
	var s strings.Builder
	_ = h.Write(&s)
	return s.String()
}
