package runctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ReapRequest says what Reap may end.
type ReapRequest struct {
	// Grace is added to every machine's own lifetime, by the cloud's clock. 0: 10 minutes; negative is
	// ErrInvalid.
	Grace time.Duration
	// Only names machines typed out by the caller: these are ended whatever their age, and nothing else is.
	Only []Ref
	Most int // how many machines one pass may end; 0: 5
	// DryRun reports what would be ended, and ends nothing.
	DryRun bool
}

// Reaped is what became of one machine that was due.
type Reaped struct {
	Instance Instance
	Why      string // the rule that condemned it, for a person
	Ended    bool   // the cloud accepted its end in this pass; false in a dry run, beyond Most, and on an error
	Err      error
}

const (
	defaultReapGrace = 10 * time.Minute
	defaultReapMost  = 5
)

// Reap ends machines of this owner that nobody can need any more: those whose own lifetime plus grace is
// over by the cloud's clock, and those that this very controller has launched and given up according to its
// intent log. It never judges by what this process does not know, and never touches a machine without our
// sealed mark. A machine must be due in two complete listings, one poll apart, and in a fresh look just
// before its end. When some providers fail it goes on with the others and returns a joined error.
func (c *Client) Reap(ctx context.Context, r ReapRequest) ([]Reaped, error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	if r.Grace < 0 || r.Most < 0 {
		return nil, invalid("ReapRequest", "Grace and Most must not be negative")
	}
	if r.Grace == 0 {
		r.Grace = defaultReapGrace
	}
	if r.Most == 0 {
		r.Most = defaultReapMost
	}
	if r.Only != nil {
		return c.reapOnly(ctx, r)
	}
	abandoned, err := c.abandoned()
	if err != nil {
		return nil, err
	}
	rule := func(i Instance) string { return c.due(i, r.Grace, abandoned) }
	due, joined := each(ctx, c, func(ctx context.Context, a *account) ([]Reaped, error) {
		first := c.fresh(ctx, a)
		if first.err != nil {
			return nil, first.err
		}
		if !slices.ContainsFunc(first.list, func(i Instance) bool { return rule(i) != "" }) {
			return nil, c.sweep(ctx, a, first.list, r)
		}
		if err := sleep(ctx, a.info.Poll); err != nil {
			return nil, err
		}
		second := c.fresh(ctx, a)
		var due []Reaped
		for _, i := range second.list {
			before, seen := first.byID[i.ID]
			if seen && before.Label == i.Label && rule(*before) != "" && rule(i) != "" && !younger(i, second.list) {
				due = append(due, Reaped{Instance: i, Why: rule(i)})
			}
		}
		return due, second.err
	})
	ended := 0
	for n := range due {
		if r.DryRun || ended >= r.Most {
			continue
		}
		c.reapOne(ctx, &due[n], rule)
		if due[n].Ended {
			ended++
		}
	}
	return due, joined
}

// sweep lets a provider end what machines have left behind, when a complete listing has no machine of the owner's any
// more: whatever is due is for another pass.
func (c *Client) sweep(ctx context.Context, a *account, list []Instance, r ReapRequest) error {
	s, ok := As[Sweeper](a.Provider)
	if !ok || r.DryRun || slices.ContainsFunc(list, func(i Instance) bool { return i.Mark.Owner == c.cfg.Owner && i.State.Billing() }) {
		return nil
	}
	_, err := call(ctx, c, a, Event{Op: "sweep"}, c.cfg.Deadlines.Call, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Sweep(ctx, c.cfg.Owner)
	})
	return err
}

// due names the rule that condemns a machine, "" for none.
func (c *Client) due(i Instance, grace time.Duration, abandoned map[string]bool) string {
	if i.Mark.Owner != c.cfg.Owner || !i.State.Billing() {
		return ""
	}
	if age := i.Age(); age > i.Mark.Lifetime+grace {
		return fmt.Sprintf("its lifetime of %s ended %s ago", i.Mark.Lifetime, (age - i.Mark.Lifetime).Round(time.Second))
	}
	if i.Mark.Controller == c.cfg.Controller && abandoned[i.Provider+"/"+i.ID] {
		return "this controller launched it and gave it up"
	}
	return ""
}

// younger reports whether an older machine carries the same label: then this one is somebody's copy.
func younger(i Instance, list []Instance) bool {
	return slices.ContainsFunc(list, func(o Instance) bool {
		return o.Label == i.Label && o.ID != i.ID && !o.Launched.After(i.Launched)
	})
}

// reapOne takes the last fresh look and asks for the end.
func (c *Client) reapOne(ctx context.Context, d *Reaped, rule func(Instance) string) {
	a, err := c.account(d.Instance.Provider)
	if err != nil {
		d.Err = err
		return
	}
	now, err := c.get(ctx, a, d.Instance.ID, d.Instance.Mark.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		d.Why = "gone by itself"
		return
	case err != nil:
		d.Err = err
		return
	case now.Label != d.Instance.Label || rule(now) == "":
		d.Why = "no longer due"
		return
	}
	d.Instance = now
	if d.Err = c.end(ctx, a, now.ID, now.Mark.Key); d.Err == nil {
		d.Ended = true
		c.log.Info("reaped", "provider", a.info.Name, "id", now.ID, "key", now.Mark.Key, "why", d.Why)
		if err := c.record(Intent{Event: IntentEnded, Provider: a.info.Name, Key: now.Mark.Key, Digest: now.Mark.Digest, ID: now.ID}); err != nil {
			c.log.Warn("the intent log was not written", "id", now.ID, "error", err)
		}
	}
}

// reapOnly ends what the caller typed out, as far as it is ours.
func (c *Client) reapOnly(ctx context.Context, r ReapRequest) ([]Reaped, error) {
	var all []Reaped
	var errs []error
	for _, ref := range r.Only {
		_, i, err := c.find(ctx, ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d := Reaped{Instance: i, Why: "named by the caller"}
		if i.State.Billing() && !r.DryRun && len(all) < r.Most {
			c.reapOne(ctx, &d, func(Instance) string { return d.Why })
		}
		all = append(all, d)
	}
	return all, errors.Join(errs...)
}

// abandoned reads from the intent log which machines this controller has given up.
func (c *Client) abandoned() (map[string]bool, error) {
	if c.cfg.Intents == nil {
		return nil, nil
	}
	log, err := c.cfg.Intents.Load()
	if err != nil {
		return nil, &Error{Op: "reap", Kind: ErrInvalid, Err: err, Msg: "the intent log cannot be read, so nothing was ended"}
	}
	given := map[string]bool{}
	for _, in := range log {
		if in.Owner == c.cfg.Owner && in.Controller == c.cfg.Controller && in.ID != "" {
			given[in.Provider+"/"+in.ID] = in.Event == IntentAbandoned || in.Event == IntentEnded
		}
	}
	return given, nil
}
