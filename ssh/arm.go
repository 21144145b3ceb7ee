package ssh

import (
	"context"
	"errors"
	"strconv"
	"time"

	"runctl"
	"runctl/internal/job"
)

// arm starts the guard of a claim, which ends it at its lifetime, or when it was idle for too long, whoever has
// vanished. The end frees the host and keeps the files. To arm again changes nothing.
func (p *Provider) arm(ctx context.Context, h *host, r report, c claim) error {
	f := fields(c.text)
	g := job.Guard{
		Lifetime: time.Duration(f.number("life")) * time.Second,
		Keep:     time.Duration(f.number("keep")) * time.Second,
		User:     h.JobUser,
	}
	err := h.use(ctx, p, func(m runctl.Machine) error {
		return job.Arm(ctx, rooted{Machine: m, root: r.root + "/" + strconv.FormatInt(c.n, 10)}, g)
	})
	var no *job.Refused
	if errors.As(err, &no) {
		return &runctl.Error{Kind: runctl.ErrInvalid, Err: err, Msg: "host " + h.Name + " was claimed, and refused its guard; terminate " + h.instanceID(c.n)}
	}
	return err
}
