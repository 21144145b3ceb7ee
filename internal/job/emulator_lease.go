package job

import (
	"fmt"
	"time"
)

// renew extends a run's lease as the verb does, and returns the uptime at which it ends.
func (e *Emulator) renew(run string, seen, n time.Duration) (until time.Duration, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	switch {
	case !e.died.IsZero():
		return 0, ErrGone
	case r == nil:
		return 0, ErrNoRun
	}
	now := time.Now()
	refused := func(why string) (time.Duration, error) { return 0, &Refused{Code: RefusedLease, Reason: why} }
	_, over := r.ended(now)
	stop, _, cause := r.stop()
	switch {
	case r.spec.Lease == 0:
		return refused("the run has no lease")
	case over:
		return refused("the run is over")
	case cause != "" && !stop.After(now):
		return refused("the run is ending")
	case seen > now.Sub(e.born):
		return refused("the uptime seen is not believable")
	case n > r.spec.Lease:
		return refused(fmt.Sprintf("the lease is %v", r.spec.Lease))
	}
	if end := e.born.Add(seen + n); end.After(r.leased) {
		r.leased = end
		e.change()
	}
	return r.leased.Sub(e.born), nil
}

// renew is the verb: RUN SEEN MILLISECONDS, seen in hundredths of a second.
func (c *verbCall) renew() error {
	seen, ok1 := c.number(1)
	ms, ok2 := c.number(2)
	if !ok1 || !ok2 || seen > maxCentis || ms > maxDuration.Milliseconds() {
		return c.refuse("not an uptime and a time in milliseconds")
	}
	until, err := c.e.renew(c.args[0], time.Duration(seen)*centi, time.Duration(ms)*time.Millisecond)
	if err != nil {
		return c.fail(err)
	}
	return c.reply(formatLine(kindRenewed, fmt.Sprint("until=", int64(until/centi))))
}
