package providertest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"runctl"
)

// quietTime is how long the suite watches that nothing happens.
const quietTime = 300 * time.Millisecond

func (c *check) patience() time.Duration {
	if c.h.Patience > 0 {
		return c.h.Patience
	}
	return 5 * time.Second
}

// jobRequest is a launch on the job road.
func (c *check) jobRequest(w Work) runctl.LaunchRequest {
	req := c.request(c.choose(func(o runctl.Offer) bool { return o.Market == runctl.OnDemand }, runctl.RoadJob))
	j := c.h.job(c.p, fmt.Sprintf("the-longest-key-there-%02d", c.made), w)
	req.Job = &j
	return req
}

// start launches a job and opens its read side.
func (c *check) start(w Work) (runctl.Instance, runctl.Process) {
	i, err := c.tryLaunch(c.jobRequest(w))
	c.must("Launch with a job", err)
	runner, _ := find[runctl.JobRunner](c.p)
	var proc runctl.Process
	c.do("Process", func(ctx context.Context) { proc, err = runner.Process(ctx, i) })
	c.must("Process", err)
	return i, proc
}

func (c *check) status(proc runctl.Process) (s runctl.Status, err error) {
	c.do("Status", func(ctx context.Context) { s, err = proc.Status(ctx) })
	return s, err
}

func (c *check) cancel(proc runctl.Process) (err error) {
	c.do("Cancel", func(ctx context.Context) { err = proc.Cancel(ctx, time.Second) })
	return err
}

// finish cancels a job. It ends the check when the job goes on: that is another row's.
func (c *check) finish(proc runctl.Process) {
	c.must("Cancel", c.cancel(proc))
	if !c.until(func() bool {
		s, err := c.status(proc)
		return err == nil && s.Receipt != nil
	}) {
		c.lack("a Cancel that ends jobs")
	}
}

type waited struct {
	status runctl.Status
	err    error
}

// waiting calls Wait beside the check.
func (c *check) waiting(proc runctl.Process) <-chan waited {
	done := make(chan waited, 1)
	go c.do("Wait", func(ctx context.Context) {
		s, err := proc.Wait(ctx)
		done <- waited{s, err}
	})
	return done
}

// wait waits for the end of a job that ends, and for its receipt.
func (c *check) wait(proc runctl.Process) runctl.Status {
	limit := time.NewTimer(c.patience())
	defer limit.Stop()
	select {
	case w := <-c.waiting(proc):
		c.must("Wait", w.err)
		if w.status.Receipt == nil {
			c.failf("the job has ended; Wait returned %s and no receipt", w.status.Live)
		}
		return w.status
	case <-limit.C:
		c.failf("the job has ended, and Wait did not return within %s", c.patience())
	}
	return runctl.Status{}
}

// quiet watches for a while that Wait does not return.
func (c *check) quiet(broken func(), done <-chan waited) {
	limit := time.NewTimer(quietTime)
	defer limit.Stop()
	select {
	case <-done:
		broken()
	case <-limit.C:
	}
}

// logs reads a log to its end, and says what is wrong with the places of the chunks.
func (c *check) logs(proc runctl.Process, q runctl.LogQuery) (log, place string, err error) {
	var all strings.Builder
	c.do("Logs", func(ctx context.Context) {
		at := q.Offset
		for chunk, e := range proc.Logs(ctx, q) {
			if e != nil {
				err = e
				return
			}
			if place == "" && (chunk.Offset != at || chunk.Lost != 0) {
				place = fmt.Sprintf("a chunk that should be at %d says %d, %d lost; ", at, chunk.Offset, chunk.Lost)
			}
			all.Write(chunk.Data)
			at += int64(len(chunk.Data))
			if all.Len() > 1<<20 {
				err = fmt.Errorf("the log does not end")
				return
			}
		}
	})
	return all.String(), place, err
}
