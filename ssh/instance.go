package ssh

import (
	"context"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// madeBy begins the content of a claim that a launch has made. Every other one is a hold made by hand.
const madeBy = "v=1 "

// instance is what a claim says, at the moment of the report.
func (p *Provider) instance(h *host, r report, c claim) runctl.Instance {
	i := runctl.Instance{
		Provider: p.name, ID: h.instanceID(c.n), State: runctl.StateRunning, Type: h.Name, Region: h.Region, Market: runctl.OnDemand,
		Road: runctl.RoadShell, Addr: h.target.addr(), Price: h.price(r), Seen: r.time(),
	}
	own, ok := strings.CutPrefix(c.text, madeBy)
	if !ok {
		i.Label, i.Reason = c.text, "held by hand"
	} else {
		f := fields(own)
		i.Label, i.GPU = f.words["label"], parseGPU(f.words["gpu"])
		i.Launched = time.Unix(f.number("at"), 0).UTC()
		i.Seen = after(i.Launched, f, r.boot, r.up, r.wall)
		if f.bad {
			i.Launched, i.Seen, i.State = time.Time{}, r.time(), runctl.StateUnknown
		}
	}
	if c.over {
		i.State, i.Reason = runctl.StateStopping, reason(c.ending)
	}
	if c.freed {
		i.State, i.Reason = runctl.StateTerminated, reason(c.free)
		if e := fields(c.free); ok && !i.Launched.IsZero() && e.number("at") > 0 && !e.bad {
			i.Ended = after(i.Launched, fields(own), e.words["boot"], e.number("up"), e.number("at"))
		}
	}
	return i
}

// after is a later moment on the clock that the launch was told by. Within one boot it is counted in uptime, so that
// setting the host's clock makes nobody older; otherwise the wall clock has to do. It is never before the launch.
func after(launched time.Time, f *words, boot string, up, wall int64) time.Time {
	if d := up - f.number("up"); boot == f.words["boot"] && d >= 0 {
		return launched.Add(time.Duration(d) * 10 * time.Millisecond)
	}
	if t := time.Unix(wall, 0).UTC(); t.After(launched) {
		return t
	}
	return launched
}

// reason is the words after why=, which take the rest of a link's content.
func reason(content string) string {
	_, why, _ := strings.Cut(content, "why=")
	return why
}

// formatGPU is a GPU as one word of a claim; "-" for none, and for one whose name is no word.
func formatGPU(g runctl.GPU) string {
	if g.Count <= 0 || g.Model == "" || strings.Trim(g.Model, idLetters) != "" || len(g.Model) > 64 {
		return "-"
	}
	return g.Model + ":" + strconv.Itoa(g.Count) + ":" + strconv.FormatInt(g.Memory, 10)
}

func parseGPU(s string) (g runctl.GPU) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return g
	}
	n, err1 := strconv.Atoi(parts[1])
	mem, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err1 != nil || err2 != nil || n < 1 || n > 1<<16 || mem < 0 {
		return g
	}
	return runctl.GPU{Model: parts[0], Count: n, Memory: mem}
}

// Get implements [runctl.Provider]. It asks the instance's host alone.
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	h, r, c, err := p.look(ctx, id)
	if err != nil {
		return runctl.Instance{}, err
	}
	return p.instance(h, r, c), nil
}

// look asks the instance's host for its claim.
func (p *Provider) look(ctx context.Context, id string) (*host, report, claim, error) {
	h, n, err := p.find(id)
	if err != nil {
		return nil, report{}, claim{}, err
	}
	r, err := p.call(ctx, h, "look", strconv.FormatInt(n, 10))
	if err != nil {
		return nil, report{}, claim{}, err
	}
	c, err := r.the(n)
	return h, r, c, err
}

// the is the claim that a verb was about.
func (r report) the(n int64) (claim, error) {
	for _, c := range r.claims {
		if c.n == n {
			return c, nil
		}
	}
	if r.none {
		return claim{}, &runctl.Error{Kind: runctl.ErrNotFound, Msg: "the host knows no such claim"}
	}
	return claim{}, errDamaged
}

// List implements [runctl.Provider]. It asks all hosts at the same time, once each, and is complete or an error that
// names the hosts which did not answer. Ended instances are in it while their files are there.
func (p *Provider) List(ctx context.Context, _ runctl.ListQuery) ([]runctl.Instance, error) {
	reports, errs := ask(ctx, p, "look")
	for _, err := range errs {
		if err != nil {
			return nil, p.unanswered("so the list would not be complete", errs)
		}
	}
	var all []runctl.Instance
	seen := map[string]string{}
	for n, h := range p.hosts {
		r := reports[n]
		if other := seen[r.id]; other != "" {
			return nil, invalid("%s and %s are the same machine, or share the directory %s: name a machine once, and give hosts with a common home a root of their own",
				other, h.Name, r.root)
		}
		if r.id != "" {
			seen[r.id] = h.Name
		}
		for _, c := range r.claims {
			all = append(all, p.instance(h, r, c))
		}
	}
	return all, ctx.Err()
}
