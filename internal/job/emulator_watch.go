package job

import (
	"fmt"
	"io"
	"time"
)

func (c *verbCall) status() error {
	s, _, _, _, err := c.e.watchRun(c.args[0])
	if err != nil {
		return err
	}
	return c.reply(formatStatus(s))
}

func (c *verbCall) list() error {
	if c.e.gone() {
		return ErrGone
	}
	var lines string
	for _, s := range c.e.Statuses() {
		lines += formatStatus(s)
	}
	return c.reply(lines)
}

// wait replies when the run does not run any more, or the time is over.
func (c *verbCall) wait() error {
	seconds, ok := c.number(1)
	if !ok {
		return c.refuse("not a number of seconds")
	}
	until := time.Now().Add(time.Duration(min(seconds, int64(maxDuration/time.Second))) * time.Second)
	for {
		s, changed, end, ends, err := c.e.watchRun(c.args[0])
		if err != nil {
			return err
		}
		if s.Phase != PhaseRunning || !time.Now().Before(until) {
			return c.reply(formatStatus(s))
		}
		if !ends || end.After(until) {
			end = until
		}
		if err := await(c.ctx, changed, end, true); err != nil {
			return err
		}
	}
}

// log sends what there is from the offset on, and with "follow" what comes, as it comes.
func (c *verbCall) log() error {
	from, ok := c.number(1)
	follow := c.args[2] == "follow"
	if !ok || !follow && c.args[2] != "once" {
		return c.refuse("not an offset, or neither follow nor once")
	}
	for {
		data, live, changed, next, timed, err := c.e.watchLog(c.args[0], from)
		if err != nil {
			return c.fail(err)
		}
		for data != "" {
			n := min(len(data), maxFrame)
			if err := c.frame(from, data[:n]); err != nil {
				return err
			}
			from, data = from+int64(n), data[n:]
		}
		if !live || !follow {
			return c.reply(formatLine(kindLog, fmt.Sprint("next=", from), "live="+map[bool]string{false: "0", true: "1"}[live]))
		}
		if err := await(c.ctx, changed, next, timed); err != nil {
			return err
		}
	}
}

func (c *verbCall) frame(from int64, data string) error {
	for _, part := range [...]string{formatLine(kindData, fmt.Sprint("from=", from), fmt.Sprint("n=", len(data))), data, frameEnd} {
		if _, err := io.WriteString(c.out, part); err != nil {
			return err
		}
	}
	return nil
}

// watchRun returns a look at a run, and what to wait for until the next one is different: a call's change,
// or the run's end when one is in sight. A run that was never started is PhaseNone.
func (e *Emulator) watchRun(run string) (s Status, changed <-chan struct{}, end time.Time, ends bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.died.IsZero() {
		return s, nil, end, false, ErrGone
	}
	now := time.Now()
	r := e.runs[run]
	if r == nil {
		return Status{Run: run, Phase: PhaseNone, Evidence: "no such run", Up: now.Sub(e.born)}, nil, end, false, nil
	}
	last, ends := r.ending()
	return e.status(r, now), e.watch(), last.at, ends, nil
}

// watchLog returns the log from an offset on and whether the run may write more, and what to wait for until
// there is more: a call's change, or the next line or end when one is in sight.
func (e *Emulator) watchLog(run string, from int64) (data string, live bool, changed <-chan struct{}, next time.Time, timed bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	switch {
	case !e.died.IsZero():
		return "", false, nil, next, false, ErrGone
	case r == nil:
		return "", false, nil, next, false, ErrNoRun
	}
	now := time.Now()
	out := r.output(now)
	if size := int64(len(out)); from > size {
		return "", false, nil, next, false, &Gap{From: size, To: from}
	}
	end, ends := r.ending()
	next, timed = end.at, ends
	if age, more := r.log.next(now.Sub(r.started)); more && (!ends || r.started.Add(age).Before(end.at)) {
		next, timed = r.started.Add(age), true
	}
	return out[from:], e.running(r, now), e.watch(), next, timed, nil
}
