package job

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// glance is one look at a run, and what to wait for until the next one is different.
type glance struct {
	status  Status
	log     string          // all of it so far
	changed <-chan struct{} // closed by the next call that changes something
	line    time.Time       // of the next line; zero: none in sight
	end     time.Time       // of the run; zero: none in sight
}

// glance looks at a run. With ErrNoRun comes the status of a run that never started.
func (e *Emulator) glance(run string) (g glance, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.died.IsZero() {
		return g, ErrGone
	}
	now := time.Now()
	r := e.runs[run]
	if r == nil {
		g.status = Status{Run: run, Phase: PhaseNone, Evidence: "never started", LogBytes: -1, Up: now.Sub(e.born)}
		return g, ErrNoRun
	}
	g.status, g.log, g.changed = e.status(r, now), r.output(now), e.watch()
	if end, ends := r.ending(); ends {
		g.end = end.at
	}
	if age, more := r.log.next(now.Sub(r.started)); more {
		g.line = r.started.Add(age)
	}
	return g, nil
}

// await blocks until something changed, the earliest of the instants has come (zero ones do not count) or
// ctx is done, the only one that is an error.
func await(ctx context.Context, changed <-chan struct{}, instants ...time.Time) error {
	var due <-chan time.Time
	instants = slices.DeleteFunc(instants, time.Time.IsZero)
	if len(instants) > 0 {
		t := time.NewTimer(time.Until(slices.MinFunc(instants, time.Time.Compare)))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-changed:
	case <-due:
	}
	return nil
}

// status replies with what is known of a run, of one that never started too.
func (c *verbCall) status() error {
	g, err := c.e.glance(c.args[0])
	if err != nil && err != ErrNoRun {
		return err
	}
	return c.reply(formatStatus(g.status))
}

// list replies with every run, in the order of their ids.
func (c *verbCall) list() error {
	all := c.e.Statuses()
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Run, b.Run) })
	var lines strings.Builder
	for _, s := range all {
		lines.WriteString(formatStatus(s))
	}
	return c.reply(lines.String())
}

// wait replies when the run does not run any more, or the time is over.
func (c *verbCall) wait() error {
	seconds, ok := c.number(1)
	if !ok {
		return c.refuse("not a number of seconds")
	}
	until := time.Now().Add(time.Duration(min(seconds, int64(maxDuration/time.Second))) * time.Second)
	for {
		g, err := c.e.glance(c.args[0])
		if err != nil && err != ErrNoRun {
			return err
		}
		if g.status.Phase.Over() || !time.Now().Before(until) {
			return c.reply(formatStatus(g.status))
		}
		if err := await(c.ctx, g.changed, g.end, until); err != nil {
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
		g, err := c.e.glance(c.args[0])
		if size := int64(len(g.log)); err == nil && from > size {
			err = &Gap{From: size, To: from}
		}
		if err != nil {
			return c.fail(err)
		}
		for from < int64(len(g.log)) {
			if from, err = c.frame(from, g.log[from:]); err != nil {
				return err
			}
		}
		if over := g.status.Phase.Over(); over || !follow {
			live := map[bool]string{true: "live=0", false: "live=1"}[over]
			return c.reply(formatLine(kindLog, fmt.Sprint("next=", from), live))
		}
		if err := await(c.ctx, g.changed, g.end, g.line); err != nil {
			return err
		}
	}
}

// frame sends as much of the data as one frame may hold, and returns the offset after it.
func (c *verbCall) frame(from int64, data string) (next int64, err error) {
	data = data[:min(len(data), maxFrame)]
	for _, part := range [...]string{formatLine(kindData, fmt.Sprint("from=", from), fmt.Sprint("n=", len(data))), data, frameEnd} {
		if _, err := io.WriteString(c.out, part); err != nil {
			return from, err
		}
	}
	return from + int64(len(data)), nil
}
