package runctl

import (
	"context"
	"errors"
	"time"

	"runctl/internal/job"
	"runctl/internal/manifest"
)

// checkCode refuses code that no machine could verify.
func checkCode(code Code) error {
	if code != nil && !manifest.IsDigest(code.Digest()) {
		return invalid("Job.Code", "its digest must be the SHA-256 of a manifest, 64 hexadecimal digits; code.Dir makes one")
	}
	return nil
}

// codeDigest is what a request's digest has of the code.
func codeDigest(j *Job) string {
	if j == nil || j.Code == nil {
		return ""
	}
	return j.Code.Digest()
}

// sync brings the job's code to its machine, in a phase of its own. What is cut is sent again, and only what is
// missing goes over.
func (c *Client) sync(ctx context.Context, p *shellProcess, j Job) error {
	if j.Code == nil {
		return nil
	}
	began := time.Now()
	err := c.retry(ctx, c.cfg.Deadlines.Sync, "the code could not be brought over", p.inst.ID, func(ctx context.Context) (bool, error) {
		err := p.send(ctx, j.Code)
		return !settles(err), err
	})
	if err == nil {
		c.trace(Event{Name: EventSynced, Provider: p.a.info.Name, ID: p.inst.ID, Key: p.inst.Mark.Key, Run: p.run, Elapsed: time.Since(began)})
	}
	return err
}

// send is one attempt. A refusal is an answer; so is ErrInvalid, which says that this side is to blame.
func (p *shellProcess) send(ctx context.Context, code Code) error {
	err := p.on(ctx, func(m job.Machine) error { return code.Send(ctx, m.(Machine)) })
	if err == nil {
		return nil
	}
	e := asError(err, ErrUnavailable)
	e.Op = "sync"
	if refused := (*job.Refused)(nil); errors.As(err, &refused) {
		e.Msg = "the machine refused the code"
	}
	return e
}

// lacksCode reports whether a start was refused because the machine no longer has the code: others may have needed
// the room in the meantime.
func lacksCode(err error, j Job) bool {
	var refused *job.Refused
	return j.Code != nil && errors.As(err, &refused) && (refused.Code == job.RefusedDir || refused.Code == job.RefusedSpec)
}
