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
	if !errors.As(err, &no) {
		return err
	}
	// A host without a guard would be held until somebody comes; so it is not held at all.
	ended := p.release(ctx, h, c.n)
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeOffer, NotStarted: ended == nil, MayBill: ended != nil, ID: h.instanceID(c.n),
		Err: errors.Join(err, ended), Msg: "host " + h.Name + " refused the guard of the claim, so the claim was ended"}
}
