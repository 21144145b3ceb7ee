package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"runctl"
)

// Native is what Instance.Native holds.
type Native struct {
	Name    string // the tag that carries the mark; a clone copies it
	Token   string // the launch token; a clone has none
	CloneOf string // the machine that it was cloned from
}

// Launch starts one machine and returns it pending, or running where booting takes no time. Requests are
// checked as strictly as a cloud does.
func (c *Cloud) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	var i runctl.Instance
	var secrets map[string]string
	if req.Job != nil {
		var err error
		if secrets, err = reveal(req.Job.Secrets); err != nil {
			return i, err
		}
	}
	err := c.call(ctx, OpLaunch, keyOf(req.Label), func(now time.Time) error {
		m, err := c.launch(req, secrets, now)
		if err != nil {
			return err
		}
		c.advance(m, now)
		if m.erased || !m.gone.IsZero() && !now.Before(m.gone) { // a token outlives its machine
			i = m.base
			i.State, i.Seen = runctl.StateTerminated, c.clock(now)
			return nil
		}
		i, _ = c.view(m, now, now)
		return nil
	}, req.Offer.ID, req.Offer.Zone)
	if err != nil {
		return runctl.Instance{}, err
	}
	return i, nil
}

// launch is the effect of Launch. c.mu is held.
func (c *Cloud) launch(req runctl.LaunchRequest, secrets map[string]string, now time.Time) (*machine, error) {
	offer, err := c.check(req)
	if err != nil {
		return nil, err
	}
	if c.info.Idempotent {
		if m := c.tokens[req.Token]; m != nil {
			if m.job.differs(req.Job) || !same(m.req, req) {
				return nil, &runctl.Error{Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest,
					Err: errors.New("IdempotentParameterMismatch: the token was used with other parameters")}
			}
			return m, nil
		}
	}
	if c.scarce(offer, now) {
		return nil, NoCapacity
	}
	key := keyOf(req.Label)
	m := &machine{id: c.mint(key), key: key, name: req.Label, offer: offer, req: req}
	m.req.Job = nil
	m.base = runctl.Instance{
		ID: m.id, Label: req.Label, Type: offer.Type, Region: offer.Region, Zone: offer.Zone, Market: offer.Market,
		GPU: offer.GPU, Road: runctl.RoadShell, Addr: c.addr(m.id), Price: offer.Price, Launched: c.clock(now),
		Native: Native{Name: req.Label, Token: req.Token},
	}
	if req.Job != nil {
		m.base.Road = runctl.RoadJob
		m.job = c.newVessel(req, secrets)
	}
	m.past = []change{{now, runctl.StatePending, ""}}
	if offer.Market == runctl.Spot && c.phys.Reclaim > 0 {
		m.reclaim = now.Add(c.phys.lifespan(c.phys.Reclaim, "reclaim", m.id))
	}
	c.note(now, "%s %s: launched %s", key, m.id, offer.ID)
	c.boot(m, now, "launch")
	c.keep(m)
	if c.tokens[req.Token] == nil {
		c.tokens[req.Token] = m
	}
	c.launched++
	c.wake()
	return m, nil
}

// boot plans that the machine runs. c.mu is held.
func (c *Cloud) boot(m *machine, now time.Time, why string) {
	m.coming = []change{{now.Add(c.phys.around(c.phys.Boot, "boot", why, m.id)), runctl.StateRunning, ""}}
	m.next = time.Time{}
}

// keep takes the machine into the account. c.mu is held.
func (c *Cloud) keep(m *machine) {
	m.lag = time.Duration(float64(c.phys.Lag) * c.phys.draw("lag", m.id))
	if c.phys.Seed == 0 {
		m.lag = c.phys.Lag
	}
	c.machines[m.id] = m
	c.listed = append(c.listed, m)
}

// mint makes an id: counted, or drawn by key where events must not depend on who comes first. c.mu is held.
func (c *Cloud) mint(key string) string {
	c.minted++
	if c.phys.Seed == 0 {
		return fmt.Sprintf("m-%06d", c.minted)
	}
	for {
		id := fmt.Sprintf("m-%010x", c.phys.hash("id", key, c.nth("id", key))>>24)
		if c.machines[id] == nil {
			return id
		}
	}
}

// addr is an address of the networks for documentation, TEST-NET-2 and TEST-NET-3.
func (c *Cloud) addr(id string) string {
	n := c.minted
	if c.phys.Seed != 0 {
		n = int(c.phys.hash("addr", id) >> 33)
	}
	ip := [4]byte{203, 0, 113, byte(1 + n%254)}
	if n/254%2 == 1 {
		ip = [4]byte{198, 51, 100, byte(1 + n%254)}
	}
	return netip.AddrFrom4(ip).String()
}

// check refuses what no cloud would take, and returns the offer as it is sold.
func (c *Cloud) check(req runctl.LaunchRequest) (runctl.Offer, error) {
	n, known := c.byOffer[req.Offer.ID]
	if !known {
		return runctl.Offer{}, refuse(runctl.ScopeOffer, "offer %q is not sold here", req.Offer.ID)
	}
	o := c.offers[n]
	bid := req.MaxHourly
	low := false
	if bid.Known() && o.Price.Hourly.Known() {
		d, err := bid.Cmp(o.Price.Hourly)
		low = err != nil || d < 0
	}
	switch {
	case !validLabel(req.Label):
		return o, refuse(runctl.ScopeRequest, "label %q: 1 to 60 of a-z, 0-9 and '-', the first a letter", req.Label)
	case req.Token == "" || len(req.Token) > 64:
		return o, refuse(runctl.ScopeRequest, "token of %d characters: 1 to 64", len(req.Token))
	case req.Offer.Market != 0 && req.Offer.Market != o.Market:
		return o, refuse(runctl.ScopeRequest, "offer %s is %s, not %s", o.ID, o.Market, req.Offer.Market)
	case req.Lifetime <= 0 || req.Keep < 0 || req.Disk < 0:
		return o, refuse(runctl.ScopeRequest, "lifetime %s, keep %s, disk %d: a lifetime, and nothing negative", req.Lifetime, req.Keep, req.Disk)
	case o.MaxLifetime > 0 && req.Lifetime > o.MaxLifetime:
		return o, refuse(runctl.ScopeOffer, "lifetime %s is more than the %s of %s", req.Lifetime, o.MaxLifetime, o.ID)
	case low:
		return o, refuse(runctl.ScopeOffer, "SpotMaxPriceTooLow: %s is less than the %s of %s", bid, o.Price.Hourly, o.ID)
	case req.Job == nil && o.Roads&runctl.RoadShell == 0, req.Job != nil && o.Roads&runctl.RoadJob == 0:
		return o, refuse(runctl.ScopeOffer, "offer %s has the road %s alone", o.ID, o.Roads)
	case req.Job != nil && (len(req.Job.Args) == 0 || req.Job.Args[0] == ""):
		return o, refuse(runctl.ScopeRequest, "the job has no program")
	case req.AuthorizedKey != "" && !validKeyLine(req.AuthorizedKey):
		return o, refuse(runctl.ScopeRequest, "authorized key: one line of OpenSSH's format")
	}
	for _, opt := range req.Options {
		if opt == nil || opt.ForProvider() != Kind {
			return o, refuse(runctl.ScopeRequest, "a launch option of another provider")
		}
	}
	return o, nil
}

func refuse(scope runctl.Scope, format string, args ...any) error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: scope, NotStarted: true, Err: fmt.Errorf("InvalidParameterValue: "+format, args...)}
}

func validLabel(s string) bool {
	return len(s) >= 1 && len(s) <= 60 && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func validKeyLine(s string) bool {
	kind, _, ok := strings.Cut(s, " ")
	return ok && (strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "ecdsa-")) && !strings.ContainsAny(strings.TrimSuffix(s, "\n"), "\r\n")
}

// same reports whether two requests with one token ask for the same machine.
func same(a, b runctl.LaunchRequest) bool {
	return a.Label == b.Label && a.Offer.ID == b.Offer.ID && a.Lifetime == b.Lifetime && a.Keep == b.Keep &&
		a.MaxHourly == b.MaxHourly && a.Image == b.Image && a.Disk == b.Disk && a.AuthorizedKey == b.AuthorizedKey &&
		bytes.Equal(a.Boot, b.Boot) &&
		reflect.DeepEqual(a.Options, b.Options)
}
