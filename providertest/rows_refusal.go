package providertest

import "runctl"

// refusalRows are about launches that the cloud refuses.
var refusalRows = []Row{
	{
		Name: "Launch/Capacity", Needs: needs(needRefusals),
		Rule: "when the cloud has none left, Launch returns ErrCapacity with NotStarted",
		Do:   "find the cloud's code or text for it; without NotStarted the client must look for a machine instead of trying the next offer",
		check: func(c *check) {
			e := c.refused(runctl.ErrCapacity)
			if e.Kind != runctl.ErrCapacity || !e.NotStarted {
				c.failf("the cloud had none left; Launch returned %s", describe(&e))
			}
		},
	},
	{
		Name: "Launch/CapacityScope", Needs: needs(needRefusals),
		Rule: "a lack of capacity says what it condemns: the offer, its zone or its region",
		Do:   "set Scope: without it the client does not try the next offer",
		check: func(c *check) {
			if e := c.refused(runctl.ErrCapacity); e.Scope != runctl.ScopeOffer && e.Scope != runctl.ScopeZone && e.Scope != runctl.ScopeRegion {
				c.failf("the cloud had none left; Launch returned %s", describe(&e))
			}
		},
	},
	{
		Name: "Launch/Quota", Needs: needs(needRefusals),
		Rule: "the account's own ceiling is ErrQuota with NotStarted, not ErrCapacity: no other offer helps",
		Do:   "tell the two apart by the cloud's error code",
		check: func(c *check) {
			if e := c.refused(runctl.ErrQuota); e.Kind != runctl.ErrQuota || !e.NotStarted {
				c.failf("the account's ceiling was reached; Launch returned %s", describe(&e))
			}
		},
	},
	{
		Name: "Launch/Payment", Needs: needs(needRefusals),
		Rule: "an account that cannot pay is ErrPayment with NotStarted",
		Do:   "find the cloud's error code for it",
		check: func(c *check) {
			if e := c.refused(runctl.ErrPayment); e.Kind != runctl.ErrPayment || !e.NotStarted {
				c.failf("the account could not pay; Launch returned %s", describe(&e))
			}
		},
	},
	{
		Name: "Launch/RateLimit", Needs: needs(needHTTP),
		Rule: "too many requests is ErrRateLimit, never ErrCapacity: the same offer works a moment later",
		Do:   "map status 429 and the cloud's throttling codes to ErrRateLimit",
		check: func(c *check) {
			if e := c.refused(runctl.ErrRateLimit); e.Kind != runctl.ErrRateLimit {
				c.failf("the cloud throttled the launch; Launch returned %s", describe(&e))
			}
		},
	},
}

// refused launches while the cloud refuses in this way, and returns the error.
func (c *check) refused(kind runctl.Kind) runctl.Error {
	req := c.newRequest()
	if rep, ok := c.reply(kind); ok && c.has[needHTTP] {
		c.net.on(onLaunch(instead(rep)))
	} else if c.cloud.Refuse == nil || !c.cloud.Refuse(kind) {
		c.lack("refusal: " + string(kind))
	}
	i, err := c.tryLaunch(req)
	c.net.on(nil)
	if err == nil {
		c.failf("the cloud refused the launch (%s); Launch returned %s", kind, outcome(i, err))
	}
	e := classified(err)
	if e.Err == nil && e.Msg == "" {
		e.Err = err
	}
	return e
}

// reply is how the cloud refuses.
func (c *check) reply(kind runctl.Kind) (Reply, bool) {
	rep, ok := c.h.Refusals[kind]
	switch {
	case ok:
		return rep, true
	case kind == runctl.ErrAuth:
		return Reply{Status: 401, Body: `{}`}, true
	case kind == runctl.ErrRateLimit:
		return Reply{Status: 429, Body: `{}`}, true
	}
	return Reply{}, false
}
