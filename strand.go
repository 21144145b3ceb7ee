package runctl

import (
	"context"
	"errors"
)

// mayRun reports whether a machine that an earlier call launched may have the job: only the machine's own word, or the
// cloud's that it is not up yet, says that it has not.
func (c *Client) mayRun(ctx context.Context, a *account, i Instance, run string) bool {
	now, err := c.get(ctx, a, i.ID, i.Mark.Key)
	switch {
	case err != nil:
		return kindOf(err) != ErrNotFound
	case now.State == StatePending || !now.State.Billing():
		return false
	}
	_, err = (&shellProcess{c: c, a: a, inst: now, run: run}).Status(ctx)
	return kindOf(err) != ErrNotFound
}

// strand gives a machine whose job could not be started its defined end: kept for the next call when it was
// the caller who left or closed the client, or when the job may have been started by an earlier one; terminated otherwise.
func (c *Client) strand(ctx context.Context, a *account, i Instance, err error, mayRun bool) error {
	e := asError(err, ErrUnavailable)
	e.Provider, e.ID, e.Key = a.info.Name, i.ID, i.Mark.Key
	if closed := e.Kind == ErrClosed; closed || ctx.Err() != nil { // Close never ends a machine either
		if e.MayBill = true; !closed {
			e.Kind = ""
		}
		if !closed {
			e.Err = context.Cause(ctx) // whatever failed meanwhile is not why
		}
		e.Msg = "stopped before the job was started" + meanwhile(err) + "; the machine stays for the next Start with this key and ends itself if none comes"
		return e
	}
	if mayRun {
		e.MayBill = true
		if e.Msg != "" {
			e.Msg += "; "
		}
		e.Msg += "the machine was launched earlier and may run the job, so it was left alone: Attach to it, or Terminate it"
		return e
	}
	if err := c.record(Intent{Event: IntentAbandoned, Provider: a.info.Name, Key: i.Mark.Key, Digest: i.Mark.Digest, ID: i.ID}); err != nil {
		c.log.Warn("the intent log was not written", "id", i.ID, "error", err)
	}
	if ended := c.terminate(context.WithoutCancel(ctx), a, i); ended != nil {
		e.MayBill, e.Err = true, errors.Join(e.Err, ended)
	} else if e.Msg != "" {
		e.Msg += "; the machine was terminated"
	}
	return e
}

// meanwhile says what was not done yet when the caller left, and why.
func meanwhile(err error) string {
	if left := (*leftError)(nil); errors.As(err, &left) {
		return " (" + clip(oneLine(left.Error()), 300) + ")"
	}
	return ""
}
