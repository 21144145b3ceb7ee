package runctl

import (
	"context"
	"fmt"
	"time"
)

// doubt is a launch request whose outcome is not known.
type doubt struct {
	account      *account
	req          LaunchRequest // for repeating it where the provider is idempotent
	offer        *Offer        // of a doubt that came from the intent log
	began, ended time.Time     // by our clock
}

// birthSlack allows for clouds that tell times in whole seconds, and for what passes between the birth
// and the reply. It is compared with durations, so the clocks' difference does not matter.
const birthSlack = 10 * time.Second

// resolve ends a doubt: found, or proven not started (false without an error), or ErrUncertain. An
// idempotent provider is asked the same again. Absence proves something only in a complete list begun at or
// after the provider's settle time has passed since the request ended; without a settle time, never.
//
// The caller's cancel ends the looking, and the doubt stays with the key.
func (c *Client) resolve(ctx context.Context, p *plan, st *keyState) (Instance, bool, error) {
	d := st.doubt
	a := d.account
	info := a.info
	if d.req.Label == "" && d.offer != nil { // read from the intent log
		d.req = c.request(p, st, a, *d.offer)
	}
	edge := d.ended.Add(info.Settle)
	giveUp := time.Now().Add(c.cfg.Deadlines.Doubt)
	if info.Settle > 0 && giveUp.Before(edge) {
		giveUp = edge
	}
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Second), 16*time.Second) {
		now := time.Now()
		next := now.Add(pause)
		if next.After(giveUp) {
			next = giveUp
		}
		if err := sleep(ctx, next.Sub(now)); err != nil {
			return Instance{}, false, c.uncertain(p, a, err)
		}
		if info.Idempotent && d.req.Label != "" && a.pacer.wait(ctx) == nil {
			if i, err := c.send(ctx, p, a, d.req); err == nil {
				st.doubt = nil
				return i, true, nil
			}
		}
		looked := time.Now()
		i, found, err := c.adoptable(ctx, p, a, time.Since(d.began)+birthSlack)
		switch {
		case found:
			st.doubt = nil
			return i, true, nil
		case ctx.Err() != nil:
			return Instance{}, false, c.uncertain(p, a, context.Cause(ctx))
		case err == nil && info.Settle > 0 && !looked.Before(edge):
			st.doubt = nil
			_ = c.intend(IntentRefused, p, st, a, "", nil)
			return Instance{}, false, nil
		case !looked.Before(giveUp):
			return Instance{}, false, c.uncertain(p, a, err)
		}
	}
}

// uncertain is the honest answer: something may bill, here is what to do.
func (c *Client) uncertain(p *plan, a *account, err error) error {
	return &Error{Provider: a.info.Name, Op: "launch", Key: p.key, Kind: ErrUncertain, MayBill: true, Err: err,
		Msg: fmt.Sprintf("launch in doubt: %s did not say whether the machine started, and it may be billing. "+
			"Launch with key %s again to find it; Reap ends it after its lifetime", a.info.Name, p.key)}
}
