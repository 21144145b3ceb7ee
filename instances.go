package runctl

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Get reads one machine freshly. A machine of another owner, or one whose mark does not carry the
// reference's key, is refused with ErrConflict: an id may have been used again.
func (c *Client) Get(ctx context.Context, ref Ref) (Instance, error) {
	_, i, err := c.find(ctx, ref)
	return i, err
}

// find resolves a reference to its account and a fresh, checked look at its machine.
func (c *Client) find(ctx context.Context, ref Ref) (*account, Instance, error) {
	if err := ref.validate(); err != nil {
		return nil, Instance{}, err
	}
	if ref.Owner != c.cfg.Owner {
		return nil, Instance{}, invalid("reference", "it belongs to owner %s, this client is %s", ref.Owner, c.cfg.Owner)
	}
	a, err := c.account(ref.Provider)
	if err != nil {
		return nil, Instance{}, err
	}
	if ref.ID != "" {
		i, err := c.get(ctx, a, ref.ID, ref.Key)
		return a, i, err
	}
	s := c.fresh(ctx, a)
	if s.err != nil {
		return nil, Instance{}, s.err
	}
	var best *Instance
	for n := range s.list {
		if i := &s.list[n]; i.Mark.Key == ref.Key && (best == nil || older(*i, *best)) {
			best = i
		}
	}
	if best == nil {
		return nil, Instance{}, &Error{Provider: a.info.Name, Op: "list", Key: ref.Key, Kind: ErrNotFound, Msg: "no machine carries this key"}
	}
	return a, *best, nil
}

// get reads a machine and checks that it is ours and carries the key, when one is given.
func (c *Client) get(ctx context.Context, a *account, id, key string) (Instance, error) {
	raw, err := call(ctx, c, a, Event{Op: "get", ID: id, Key: key}, c.cfg.Deadlines.Call,
		func(ctx context.Context) (Instance, error) { return a.Get(ctx, id) })
	if err != nil {
		return Instance{}, err
	}
	i, ok := c.checkInstance(a, raw)
	if !ok || i.ID != id {
		return Instance{}, &Error{Provider: a.info.Name, Op: "get", ID: id, Kind: ErrUnavailable,
			Msg: fmt.Sprintf("asked for %s, the cloud answered with %q", id, text(raw.ID))}
	}
	if i.Mark.Owner != c.cfg.Owner || key != "" && i.Mark.Key != key {
		return Instance{}, &Error{Provider: a.info.Name, Op: "get", ID: id, Key: key, Kind: ErrConflict,
			Msg: "the machine with this id does not carry our mark and key; it is another one, and was left alone"}
	}
	return i, nil
}

// List returns all machines of this client's owner that the providers still show, ended ones included where
// a cloud remembers them. When some providers fail, it returns what the others gave and a joined error.
func (c *Client) List(ctx context.Context) ([]Instance, error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	return each(ctx, c, func(ctx context.Context, a *account) ([]Instance, error) {
		s := c.fresh(ctx, a)
		return s.list, s.err
	})
}

// ListAll returns the machines of everybody in the accounts, for looking only. Mark is zero on those that
// are not ours; [LabelOwner] reads whose they claim to be.
func (c *Client) ListAll(ctx context.Context) ([]Instance, error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	return each(ctx, c, func(ctx context.Context, a *account) ([]Instance, error) {
		s := c.listing(ctx, a, "")
		return s.list, s.err
	})
}

// LabelOwner reads the owner and the key out of a label without checking its seal: good for a table, for
// nothing else.
func LabelOwner(label string) (owner, key string, ok bool) {
	m, ok := splitLabel(label)
	return m.Owner, m.Key, ok
}

// WaitInstance waits until the machine satisfies until, and returns it. All waiters of a provider share
// one series of listings. A machine that ends first is ErrLost, unless until accepts StateTerminated.
func (c *Client) WaitInstance(ctx context.Context, ref Ref, until func(Instance) bool) (Instance, error) {
	a, i, err := c.find(ctx, ref)
	if err != nil {
		return Instance{}, err
	}
	return c.wait(ctx, a, i, until)
}

// wait follows a machine through the shared listings. A machine that a complete listing lacks is asked for
// by id, and counts as ended when the cloud no longer knows it.
func (c *Client) wait(ctx context.Context, a *account, i Instance, until func(Instance) bool) (Instance, error) {
	last, missing := i, 0
	err := c.watch(ctx, a, func(s snapshot) bool {
		if s.err != nil {
			return false // unknown, not gone
		}
		now := last
		listed, ok := s.byID[i.ID]
		switch {
		case ok && listed.Mark.Key == i.Mark.Key:
			now, missing = *listed, 0
		case ok:
			if missing++; missing < 2 {
				return false
			}
			now.State, now.Reason = StateTerminated, "its id belongs to another machine"
		default:
			got, err := c.get(ctx, a, i.ID, i.Mark.Key)
			switch {
			case errors.Is(err, ErrNotFound):
				if missing++; missing < 2 {
					return false
				}
				now.State, now.Reason = StateTerminated, "the cloud no longer knows it"
			case err != nil:
				return false
			default:
				now, missing = got, 0
			}
		}
		last = now
		return until(now) || !now.State.Billing()
	})
	if err != nil {
		return last, &Error{Provider: a.info.Name, Op: "wait", ID: i.ID, Key: i.Mark.Key, Kind: kindOf(err), Err: err,
			Msg: fmt.Sprintf("stopped waiting; last seen %s", last.State)}
	}
	if !until(last) {
		return last, &Error{Provider: a.info.Name, Op: "wait", ID: i.ID, Key: i.Mark.Key, Kind: ErrLost,
			Msg: fmt.Sprintf("the machine has ended%s", because(last.Reason))}
	}
	return last, nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// kindOf is the kind of an error that is already ours, "" for a context's.
func kindOf(err error) Kind {
	var k Kind
	errors.As(err, &k)
	return k
}

// Terminate ends a machine and returns when the cloud shows it ended. Only a machine that carries our mark
// and the reference's key is touched. One that has ended already is nil; an id that the cloud does not know is
// ErrNotFound. On ErrTimeout it may still bill; call again.
func (c *Client) Terminate(ctx context.Context, ref Ref) error {
	own, cancel := context.WithTimeout(ctx, c.cfg.Deadlines.Terminate)
	defer cancel()
	for n := 1; ; n++ {
		a, i, err := c.find(own, ref)
		if err == nil {
			return c.terminate(ctx, a, i)
		}
		if k := kindOf(err); k != ErrUnavailable && k != ErrRateLimit || sleep(own, delay(ref.String(), n)) != nil {
			return err // a cloud that is merely out of reach is asked again: the machine bills meanwhile
		}
	}
}

func (c *Client) terminate(ctx context.Context, a *account, i Instance) error {
	if !i.State.Billing() {
		return nil
	}
	c.trace(Event{Name: EventTerminating, Provider: a.info.Name, ID: i.ID, Key: i.Mark.Key})
	if err := c.end(ctx, a, i.ID, i.Mark.Key); err != nil {
		return err
	}
	start := time.Now()
	own, cancel := context.WithTimeout(ctx, c.cfg.Deadlines.Terminate)
	defer cancel()
	last, err := c.wait(own, a, i, func(i Instance) bool { return !i.State.Billing() })
	if err != nil {
		e := asError(err, ErrTimeout)
		if own.Err() != nil && ctx.Err() == nil {
			e.Kind = ErrTimeout
		}
		e.Op, e.MayBill = "terminate", true
		e.Msg = fmt.Sprintf("asked for its end %s ago, but the cloud still shows it %s; it may be billing. Terminate it again", time.Since(start).Round(time.Second), last.State)
		return e
	}
	a.wires.drop(i.ID)
	a.pins.forget(i.ID)
	if err := c.record(Intent{Event: IntentEnded, Provider: a.info.Name, Key: i.Mark.Key, Digest: i.Mark.Digest, ID: i.ID}); err != nil {
		c.log.Warn("the intent log was not written", "id", i.ID, "error", err)
	}
	c.trace(Event{Name: EventTerminated, Provider: a.info.Name, ID: i.ID, Key: i.Mark.Key, Elapsed: time.Since(start)})
	c.log.Info("terminated", "provider", a.info.Name, "id", i.ID, "key", i.Mark.Key, "evidence", "listed as "+last.State.String()+because(last.Reason))
	return nil
}

// end asks the cloud to end a machine, and repeats the question until it is accepted: a DELETE may be
// repeated. The caller has checked whose machine it is.
func (c *Client) end(ctx context.Context, a *account, id, key string) error {
	own, cancel := context.WithTimeout(ctx, c.cfg.Deadlines.Terminate)
	defer cancel()
	for n := 1; ; n++ {
		_, err := call(own, c, a, Event{Op: "terminate", ID: id, Key: key}, c.cfg.Deadlines.Call,
			func(ctx context.Context) (struct{}, error) { return struct{}{}, a.Terminate(ctx, id) })
		if err == nil || errors.Is(err, ErrNotFound) {
			return nil
		}
		if k := kindOf(err); k == ErrAuth || k == ErrInvalid || n >= 30 || sleep(own, delay(id, n)) != nil {
			e := asError(err, ErrUnavailable)
			e.MayBill = true
			e.Msg = "the machine could not be ended and goes on billing; end it by hand, or try again"
			return e
		}
	}
}

// StopInstance pauses a machine, so that only its disk bills, and returns when it has stopped. Its
// lifetime goes on. A provider that cannot is errors.ErrUnsupported.
func (c *Client) StopInstance(ctx context.Context, ref Ref) error {
	return c.pause(ctx, ref, "stop", StateStopped, func(ctx context.Context, s Stopper, id string) error { return s.Stop(ctx, id) })
}

// StartInstance resumes a stopped machine and returns when it runs. Past the end of its lifetime it is
// ErrInvalid. A provider that cannot is errors.ErrUnsupported.
func (c *Client) StartInstance(ctx context.Context, ref Ref) error {
	return c.pause(ctx, ref, "start", StateRunning, func(ctx context.Context, s Stopper, id string) error { return s.Start(ctx, id) })
}

func (c *Client) pause(ctx context.Context, ref Ref, op string, want State, f func(context.Context, Stopper, string) error) error {
	a, i, err := c.find(ctx, ref)
	if err != nil {
		return err
	}
	s, ok := As[Stopper](a.Provider)
	switch {
	case !ok:
		return &Error{Provider: a.info.Name, Op: op, ID: i.ID, Kind: ErrInvalid, Err: errors.ErrUnsupported, Msg: "machines here cannot be paused; terminate it instead"}
	case !i.State.Billing():
		return &Error{Provider: a.info.Name, Op: op, ID: i.ID, Key: i.Mark.Key, Kind: ErrConflict, Msg: "the machine has ended"}
	case op == "start" && i.Age() > i.Mark.Lifetime:
		return &Error{Provider: a.info.Name, Op: op, ID: i.ID, Key: i.Mark.Key, Kind: ErrInvalid,
			Msg: fmt.Sprintf("its lifetime of %s is over; terminate it and launch another", i.Mark.Lifetime)}
	case i.State == want:
		return nil
	}
	if _, err := call(ctx, c, a, Event{Op: op, ID: i.ID, Key: i.Mark.Key}, c.cfg.Deadlines.Call,
		func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx, s, i.ID) }); err != nil {
		return err
	}
	a.wires.drop(i.ID)
	return c.phase(ctx, c.cfg.Deadlines.Boot, "the machine was not "+want.String(), func(ctx context.Context) error {
		_, err := c.wait(ctx, a, i, func(i Instance) bool { return i.State == want })
		return err
	})
}
