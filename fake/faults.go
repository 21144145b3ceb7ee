package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"runctl"
)

// Op names an operation of the cloud.
type Op string

// The operations. OpExec is Machine.Exec; OpProcess is Process.Status, Logs, Cancel and the beginning of Wait. OpBoot is
// a machine's own run of its boot script, with [Boots]: a fault keeps it from running at all.
const (
	OpOffers    = Op("offers")
	OpLaunch    = Op("launch")
	OpGet       = Op("get")
	OpList      = Op("list")
	OpTerminate = Op("terminate")
	OpStop      = Op("stop")
	OpStart     = Op("start")
	OpConnect   = Op("connect")
	OpExec      = Op("exec")
	OpProcess   = Op("process")
	OpBoot      = Op("boot")
)

// NoCapacity is what a cloud answers that is certain to have none left in the offer's zone.
var NoCapacity error = &runctl.Error{Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true,
	Err: errors.New("InsufficientInstanceCapacity: none of this type left in this zone")}

// Fault is a plan for calls to fail. The zero value fails every call before its effect.
type Fault struct {
	Op    Op     // which operation; empty: all
	Key   string // only of this launch key or id; for a launch also an offer's id or zone; empty: of all
	Nth   int    // the first such call that fails, counted from 1 since Inject; 0: the first
	Times int    // how many fail from there on; 0: one where Nth is set, else all
	After bool   // the effect takes place and the reply is lost; else there is no effect
	Hang  bool   // the call returns only when its context is over
	Err   error  // what the call returns; nil: no answer as documented (ErrUnavailable), or the context's error after Hang
}

// String prints the fault as a sentence, so that a failing test can show its plan.
func (f Fault) String() string {
	var b strings.Builder
	from := max(f.Nth, 1)
	switch {
	case f.Nth == 0 && f.Times == 0:
		b.WriteString("every ")
	case f.Times <= 1:
		fmt.Fprintf(&b, "call %d of ", from)
	default:
		fmt.Fprintf(&b, "calls %d to %d of ", from, from+f.Times-1)
	}
	b.WriteString(cmp.Or(string(f.Op), "any operation"))
	if f.Key != "" {
		b.WriteString(" for " + f.Key)
	}
	b.WriteString(map[bool]string{true: " fails after its effect", false: " fails before its effect"}[f.After])
	if f.Hang {
		b.WriteString(", by hanging")
	}
	if f.Err != nil {
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	return b.String()
}

// planned is an injected fault with the matching calls that it has seen.
type planned struct {
	Fault
	seen int
}

// Inject adds plans. When several hit the same call, the first wins; each counts its own calls.
func (c *Cloud) Inject(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		c.faults = append(c.faults, &planned{Fault: f})
	}
}

// Heal removes all injected faults.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// hit counts a call against every plan and returns the first that wants it. c.mu is held.
func (c *Cloud) hit(op Op, names []string) *Fault {
	var first *Fault
	for _, p := range c.faults {
		if p.Op != "" && p.Op != op || p.Key != "" && !slices.Contains(names, p.Key) {
			continue
		}
		p.seen++
		from, times := max(p.Nth, 1), p.Times
		if times == 0 && p.Nth > 0 {
			times = 1
		}
		if first == nil && p.seen >= from && (times == 0 || p.seen < from+times) {
			first = &p.Fault
		}
	}
	return first
}

// misfortune draws whether a call fails by chance, and how.
func (p Physics) misfortune(op Op, key, nth string) *Fault {
	if p.Faults <= 0 || p.draw("fault", string(op), key, nth) >= p.Faults {
		return nil
	}
	refused := &runctl.Error{Kind: runctl.ErrUnavailable, Err: errors.New("503 Service Unavailable")}
	switch x := p.draw("which", string(op), key, nth); {
	case x < 0.35:
		return &Fault{Err: refused}
	case x < 0.5:
		return &Fault{Err: errors.New("connection reset by peer")}
	case x < 0.7:
		return &Fault{After: true, Err: io.ErrUnexpectedEOF}
	case x < 0.8:
		return &Fault{After: true, Err: refused}
	case x < 0.9:
		return &Fault{Hang: true}
	default:
		return &Fault{After: true, Hang: true}
	}
}

// call is a visit without a body.
func (c *Cloud) call(ctx context.Context, op Op, key string, effect func(now time.Time) error, names ...string) error {
	return c.visit(ctx, op, key, names, effect, nil)
}

// visit is what every operation goes through: latency, faults, throttling, the effect once, under the lock
// and at an instant of its own, and then what may block. A fault may be aimed at the key or at the names.
func (c *Cloud) visit(ctx context.Context, op Op, key string, names []string, effect func(now time.Time) error, body func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.calls[op]++
	nth := ""
	if c.phys.Latency > 0 || c.phys.Faults > 0 {
		nth = c.nth(string(op), key)
	}
	c.mu.Unlock()
	latency := c.phys.Latency
	if op == OpLaunch {
		latency *= 8
	}
	half := c.phys.around(latency, "latency", string(op), key, nth) / 2
	if err := pause(ctx, half); err != nil {
		return err
	}

	c.mu.Lock()
	now := c.tick()
	f := c.hit(op, append(names, key))
	if f == nil {
		f = c.phys.misfortune(op, key, nth)
	}
	var err error
	switch {
	case f != nil && !f.After:
		c.note(now, "%s %s: fails before its effect%s", op, key, hanging(f))
	default:
		if err = c.throttled(op, now); err == nil {
			err = effect(now)
		}
		if err != nil {
			c.note(now, "%s %s: %v", op, key, err)
		}
		if f != nil {
			c.note(now, "%s %s: reply is lost%s", op, key, hanging(f))
		}
	}
	c.mu.Unlock()

	if body != nil && err == nil && (f == nil || f.After) {
		err = body()
	}
	if f != nil {
		if f.Hang {
			<-ctx.Done()
			if f.Err == nil {
				return ctx.Err()
			}
		}
		if f.Err != nil {
			return f.Err
		}
		return &runctl.Error{Kind: runctl.ErrUnavailable, Err: errors.New("500 Internal Server Error")}
	}
	if wait := pause(ctx, half); wait != nil {
		return wait
	}
	return err
}

func hanging(f *Fault) string {
	if f.Hang {
		return ", by hanging"
	}
	return ""
}
