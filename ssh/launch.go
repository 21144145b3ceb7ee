package ssh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// Launch implements [runctl.Provider]. It claims the offer's host. Of several launches at once one gets it, and the
// others are certain refusals; the same token is the same claim for ever.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	h, err := p.check(req)
	if err != nil {
		return runctl.Instance{}, err
	}
	token := tokenOf(req.Token)
	r, err := p.call(ctx, h, "claim", req.Label, token, seconds(req.Lifetime), seconds(req.Keep), formatGPU(req.Offer.GPU), cmp.Or(h.JobUser, "-"))
	if err != nil {
		return runctl.Instance{}, notClaimed(h, err)
	}
	if len(r.claims) != 1 || r.held == 0 && fields(r.claims[0].text).words["tok"] != token {
		return runctl.Instance{}, fmt.Errorf("host %s: %w", h.Name, errDamaged)
	}
	c := r.claims[0]
	i := p.instance(h, r, c)
	switch {
	case r.held != 0:
		return runctl.Instance{}, heldBy(h, i)
	case i.Label != req.Label:
		return runctl.Instance{}, &runctl.Error{ID: i.ID, Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest, NotStarted: true,
			Msg: "this token has a claim with another label; use a new token"}
	case c.over || c.freed:
		return i, nil
	}
	return i, p.arm(ctx, h, r, c)
}

// check refuses what hosts do not do.
func (p *Provider) check(req runctl.LaunchRequest) (*host, error) {
	var h *host
	for _, o := range p.hosts {
		if o.Name == req.Offer.ID {
			h = o
		}
	}
	unsupported := func(msg string) error {
		e := invalid("%s", msg)
		e.Err = errors.ErrUnsupported
		return e
	}
	switch {
	case h == nil:
		return nil, &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true,
			Msg: fmt.Sprintf("there is no host %s; %s names them", clip(req.Offer.ID), hostsEnv)}
	case req.Job != nil:
		return nil, unsupported("ssh has no job road: launch without a job, then submit it")
	case req.Image != "":
		return nil, unsupported("ssh boots no container images: leave Image empty")
	case len(req.Label) > 256 || strings.Trim(req.Label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || req.Label == "" || req.Token == "":
		return nil, invalid("a launch needs a token, and a label of a-z, 0-9 and '-'")
	case req.Lifetime <= 0 || req.Lifetime > runctl.MaxLifetime || req.Keep < 0 || req.Keep > runctl.MaxLifetime:
		return nil, invalid("a launch needs a lifetime above zero and below two years, and a keep time that is not negative")
	case h.MaxLifetime > 0 && req.Lifetime > h.MaxLifetime:
		e := invalid("host %s is for at most %s", h.Name, h.MaxLifetime)
		e.Scope = runctl.ScopeOffer
		return nil, e
	}
	return h, nil
}

// tokenOf is a token as one word of a fixed length.
func tokenOf(token string) string {
	sum := sha256.Sum256([]byte("runctl ssh " + token))
	return hex.EncodeToString(sum[:16])
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// notClaimed says what an error of the verb claim proves. A host that could not even be asked has nothing to give now,
// and another one may; what broke off after the question is in doubt.
func notClaimed(h *host, err error) error {
	var no *refusal
	var e *runctl.Error
	switch {
	case errors.As(err, &no):
		return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeOffer, NotStarted: true, Err: err, Msg: "host " + h.Name + " refused the claim"}
	case !unsent(err):
		return err
	case errors.As(err, &e) && e.Kind == runctl.ErrUnavailable:
		return &runctl.Error{Kind: runctl.ErrCapacity, Scope: runctl.ScopeOffer, NotStarted: true, Err: err, Msg: "host " + h.Name + " cannot be reached, so it cannot be had now"}
	}
	c := *e
	c.NotStarted = true
	return &c
}

// heldBy is the refusal of a host that somebody has.
func heldBy(h *host, i runctl.Instance) error {
	who := "by hand: " + clip(i.Label)
	if owner, key, ok := runctl.LabelOwner(i.Label); ok {
		who = fmt.Sprintf("by %s (%s), launched %s ago", owner, key, i.Age().Round(time.Second))
	}
	return &runctl.Error{Kind: runctl.ErrCapacity, Scope: runctl.ScopeOffer, NotStarted: true, Msg: fmt.Sprintf("host %s is held %s", h.Name, who)}
}

// Terminate implements [runctl.Provider]. It asks for the end of everything that runs under the claim, with 10 seconds
// from TERM to KILL, and of its files. The instance is StateStopping until that is done, by the host itself. It never
// touches a later claim of the host.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	h, n, err := p.find(id)
	if err != nil {
		return err
	}
	return p.release(ctx, h, n)
}

func (p *Provider) release(ctx context.Context, h *host, n int64) error {
	r, err := p.call(ctx, h, "release", strconv.FormatInt(n, 10))
	var no *refusal
	if errors.As(err, &no) {
		return &runctl.Error{Kind: runctl.ErrInvalid, ID: h.instanceID(n), Err: err, Msg: "host " + h.Name + " did not end it"}
	}
	if err != nil {
		return err
	}
	c, err := r.the(n)
	if err == nil && !c.over && !c.freed {
		return errDamaged
	}
	return err
}

// Connect implements [runctl.Connector]. The machine is the claim's: everything that runs on it lies below the
// directory of this claim. One that has ended can be entered for reading while its files are there.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	h, r, c, err := p.look(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	if c.freed && !c.kept {
		return nil, &runctl.Error{Kind: runctl.ErrNotFound, ID: i.ID, Msg: "the instance has ended, and its files are gone"}
	}
	var pinned []string
	if a.HostKey != "" {
		pinned = []string{a.HostKey}
	}
	m, err := p.dial(ctx, h, r.root+"/"+strconv.FormatInt(c.n, 10), pinned)
	if err != nil {
		return nil, err
	}
	return m, nil
}

var (
	_ runctl.Provider  = (*Provider)(nil)
	_ runctl.Connector = (*Provider)(nil)
)
