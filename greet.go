package runctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runctl/internal/job"
)

// bootScript is what a machine runs as root at every boot, so that it ends itself whoever is gone: it installs the
// supervisor and arms its guard. nil where the provider does not pass it on, and where the launch carries a job.
func bootScript(a *account, r LaunchRequest, j *Job) []byte {
	if !a.info.Boots || r.Job != nil {
		return nil
	}
	g := job.Guard{Lifetime: r.Lifetime, Keep: r.Keep}
	if j != nil {
		g.Grace = j.Grace
	}
	var steps map[string]string // nil: it turns itself off
	if !r.Offer.EndsItself {
		steps = map[string]string{}
	}
	return job.Boot(g, steps)
}

// greet waits until a machine that was launched with a boot script says that its guard is there: a script that was
// sent may never run. A machine whose guard stays away has nothing on it that would end it.
func (c *Client) greet(ctx context.Context, a *account, i Instance) error {
	if !a.info.Boots {
		return nil
	}
	p := &shellProcess{c: c, a: a, inst: i}
	limit := c.cfg.Deadlines.Connect
	missing := ""
	err := c.retry(ctx, limit, "its guard was not seen", i.ID, func(ctx context.Context) (bool, error) {
		h, err := p.hello(ctx)
		if err != nil {
			return !settles(err), err
		}
		if missing = lacks(h, i.Mark.Lifetime); missing == "" {
			c.log.Info("guarded", "provider", a.info.Name, "id", i.ID, "left", h.Left, "steps", h.Steps)
			if h.Notice == "deaf" {
				c.log.Warn("the machine cannot hear the cloud's notice when it takes it back", "provider", a.info.Name, "id", i.ID)
			}
			return false, nil
		}
		if h.Ending != "" {
			return false, &Error{Kind: ErrLost, Msg: "the machine is ending itself: " + h.Ending}
		}
		return true, errors.New(missing)
	})
	if err == nil {
		return nil
	}
	e := asError(err, "")
	e.Provider, e.Op, e.ID, e.Key = a.info.Name, "greet", i.ID, i.Mark.Key
	if e.Kind == ErrTimeout && missing != "" {
		e.Kind, e.Err = ErrGuard, nil
		e.Msg = fmt.Sprintf("the machine answers, but within %s %s; use an image that runs the boot script that a launch gives it", limit, missing)
	}
	return e
}

// lacks says what a machine's hello lacks of a guard; "" when it is whole.
func lacks(h job.Hello, lifetime time.Duration) string {
	switch {
	case h.Ending != "":
		return "it was ending itself: " + h.Ending
	case !h.Guard:
		return "its guard did not come up, so nothing there would end it"
	case h.Left > lifetime:
		return fmt.Sprintf("its guard has another lifetime: it would end the machine in %s, of the %s that were asked for", h.Left.Round(time.Second), lifetime)
	}
	return ""
}

func (p *shellProcess) hello(ctx context.Context) (h job.Hello, err error) {
	err = p.within(ctx, 0, func(ctx context.Context, m job.Machine) (err error) { h, err = job.Greet(ctx, m); return err })
	return h, err
}
