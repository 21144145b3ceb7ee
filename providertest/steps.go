package providertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"runctl"
	"runctl/internal/job"
)

// owner is whose machines the suite launches: as long as an owner can be.
const owner = "conformsuite"

// request makes a launch request with a label and a token of full length. Two of them differ in the last
// characters only.
func (c *check) request(o runctl.Offer) runctl.LaunchRequest {
	c.made++
	key := fmt.Sprintf("the-longest-key-there-%02d", c.made)
	req := runctl.LaunchRequest{
		Label:     runctl.Mark{Owner: owner, Key: key, Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil),
		Token:     fmt.Sprintf("%02d", c.made) + strings.Repeat("t", 62),
		Offer:     o,
		Lifetime:  time.Hour,
		MaxHourly: o.Price.Hourly,
	}
	if o.Roads&runctl.RoadShell == 0 {
		j := c.h.job(c.p, key, Work{Log: "hello\n", Block: true})
		req.Job = &j
	}
	if req.Job == nil && c.p.Info().Boots { // a client hands no job to a machine without its guard; this one ends nothing
		req.Boot = job.Boot(job.Guard{Lifetime: req.Lifetime}, map[string]string{})
	}
	if c.h.Request != nil {
		c.h.Request(&req)
	}
	return req
}

// offers returns what the provider offers, filtered.
func (c *check) offers(keep func(runctl.Offer) bool) []runctl.Offer {
	var offers []runctl.Offer
	var err error
	c.do("Offers", func(ctx context.Context) { offers, err = c.p.Offers(ctx, runctl.OfferQuery{}) })
	c.must("Offers", err)
	return slices.DeleteFunc(slices.Clone(offers), func(o runctl.Offer) bool { return keep != nil && !keep(o) })
}

// choose returns the offer to use among those that keep lets pass, one with the road if there is one.
func (c *check) choose(keep func(runctl.Offer) bool, road runctl.Road) runctl.Offer {
	offers := c.offers(keep)
	if len(offers) == 0 {
		c.failf("Offers has nothing that could be launched for this row")
	}
	if on := slices.DeleteFunc(slices.Clone(offers), func(o runctl.Offer) bool { return o.Roads&road == 0 }); len(on) > 0 {
		offers = on
	}
	if c.h.Offer != nil {
		return c.h.Offer(offers)
	}
	return slices.MinFunc(offers, func(a, b runctl.Offer) int {
		pa, pb := a.Price.Hourly, b.Price.Hourly
		if d, err := pa.Cmp(pb); err == nil {
			return d
		}
		return boolInt(!pa.Known()) - boolInt(!pb.Known())
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// newRequest is a request for the plainest machine there is.
func (c *check) newRequest() runctl.LaunchRequest {
	if c.plain == nil {
		o := c.choose(func(o runctl.Offer) bool { return o.Market == runctl.OnDemand }, runctl.RoadShell)
		c.plain = &o
	}
	return c.request(*c.plain)
}

func (c *check) tryLaunch(req runctl.LaunchRequest) (i runctl.Instance, err error) {
	c.do("Launch", func(ctx context.Context) { i, err = c.p.Launch(ctx, req) })
	return i, err
}

// launch starts a machine and expects no trouble.
func (c *check) launch() (runctl.LaunchRequest, runctl.Instance) {
	req := c.newRequest()
	i, err := c.tryLaunch(req)
	c.must("Launch", err)
	return req, i
}

func (c *check) get(id string) (i runctl.Instance, err error) {
	c.do("Get", func(ctx context.Context) { i, err = c.p.Get(ctx, id) })
	return i, err
}

func (c *check) list(owner string) (all []runctl.Instance, err error) {
	c.do("List", func(ctx context.Context) { all, err = c.p.List(ctx, runctl.ListQuery{Owner: owner}) })
	return all, err
}

// listed returns the machine as List shows it to its owner.
func (c *check) listed(id string) (runctl.Instance, bool) {
	all, err := c.list(owner)
	c.must("List", err)
	at := slices.IndexFunc(all, func(i runctl.Instance) bool { return i.ID == id })
	if at < 0 {
		return runctl.Instance{}, false
	}
	return all[at], true
}

func (c *check) terminate(id string) (err error) {
	c.do("Terminate", func(ctx context.Context) { err = c.p.Terminate(ctx, id) })
	return err
}

// billing returns the ids of what bills in the account: by the cloud's own books, or by List.
func (c *check) billing() []string {
	if c.cloud.Billing != nil {
		return c.cloud.Billing()
	}
	all, err := c.list("")
	c.must("List", err)
	var ids []string
	for _, i := range all {
		if i.State.Billing() {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// bills reports whether the machine bills.
func (c *check) bills(id string) bool { return slices.Contains(c.billing(), id) }

// books says in an error message what the cloud holds.
func (c *check) books() string {
	n := len(c.billing())
	if n == 1 {
		return "the cloud holds 1 machine"
	}
	return fmt.Sprintf("the cloud holds %d machines", n)
}

// until waits for the cloud. It reports false when the harness's patience is over.
func (c *check) until(cond func() bool) bool {
	return within(c.patience(), cond)
}

// within looks again and again until cond holds, for at most d.
func within(d time.Duration, cond func() bool) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if cond() {
			return true
		}
		look := time.NewTimer(pause)
		select {
		case <-look.C:
		case <-end.C:
			look.Stop()
			return cond()
		}
	}
}

// running waits until the machine runs.
func (c *check) running(id string) {
	var last string
	ok := c.until(func() bool {
		i, err := c.get(id)
		last = outcome(i, err)
		return err == nil && i.State == runctl.StateRunning
	})
	if !ok {
		c.failf("the machine never came to run; the last Get returned %s", last)
	}
}

func outcome(i runctl.Instance, err error) string {
	if err != nil {
		return describe(err)
	}
	return fmt.Sprintf("a machine %q that is %s", i.ID, i.State)
}

// describe prints an error with what it claims.
func describe(err error) string {
	if err == nil {
		return "no error"
	}
	e := classified(err)
	s := fmt.Sprintf("%q", err.Error())
	if e.Kind != "" {
		s += ", kind " + string(e.Kind)
	}
	if e.Scope != 0 {
		s += ", scope " + e.Scope.String()
	}
	if e.NotStarted {
		s += ", NotStarted"
	}
	if e.RetryAfter != 0 {
		s += ", RetryAfter " + e.RetryAfter.String()
	}
	return s
}

// classified returns the *runctl.Error in err, or an empty one.
func classified(err error) runctl.Error {
	if e := (*runctl.Error)(nil); errors.As(err, &e) {
		return *e
	}
	return runctl.Error{}
}

// end terminates a machine and waits until it does not bill. It ends the check when it never does: that
// is another row's.
func (c *check) end(id string) {
	c.must("Terminate", c.terminate(id))
	if !c.until(func() bool { return !c.bills(id) }) {
		c.lack("an end of machines")
	}
}

// ended reports whether a look says that the machine has ended.
func ended(i runctl.Instance, err error) bool {
	return err == nil && i.State == runctl.StateTerminated || errors.Is(err, runctl.ErrNotFound)
}
