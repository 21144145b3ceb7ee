package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"runctl"
)

// instance is what the record alone says.
func (p *Provider) instance(r record) runctl.Instance {
	return runctl.Instance{
		Provider: p.name, ID: r.ID, Label: r.Label, State: runctl.StateRunning, Type: r.Type, GPU: r.GPU,
		Market: runctl.OnDemand, Road: runctl.RoadShell, Price: p.price(), Launched: r.Launched, Seen: p.now().UTC(),
	}
}

// look computes an instance's state. Its runs are looked at only when the answer depends on them, and
// never again once it has ended.
func (p *Provider) look(ctx context.Context, r record) (runctl.Instance, error) {
	i := p.instance(r)
	if e, err := p.readEnd(r.ID, endedFile); err != nil || e != nil {
		return ended(i, e), err
	}
	over, err := p.readEnd(r.ID, endingFile)
	if err != nil {
		return i, err
	}
	if due := r.Launched.Add(r.Lifetime); over == nil && !i.Seen.Before(due) {
		over = &end{At: due, Reason: "its lifetime is over"}
	}
	if over == nil && (r.Keep == 0 || i.Seen.Before(r.Launched.Add(r.Keep))) {
		return i, nil
	}
	if over == nil && p.busy.lately(r.ID, i.Seen) {
		return i, nil
	}
	w, err := p.work(ctx, r.ID)
	if err != nil {
		return i, err
	}
	idle := later(r.Launched, w.last).Add(r.Keep)
	switch {
	case over != nil && len(w.live) > 0:
		i.State, i.Reason = runctl.StateStopping, fmt.Sprintf("%s; %d of its runs still end", over.Reason, len(w.live))
		return i, nil
	case over != nil:
		over.At = later(over.At, w.last)
	case len(w.live) > 0:
		p.busy.note(r.ID, i.Seen)
		return i, nil
	case i.Seen.Before(idle):
		return i, nil
	default:
		over = &end{At: idle, Reason: fmt.Sprintf("nothing ran on it for %v", r.Keep)}
	}
	// The file saves later looks the work. Without it they compute the same again.
	_ = p.writeEnd(r.ID, endedFile, *over)
	return ended(i, over), nil
}

func ended(i runctl.Instance, e *end) runctl.Instance {
	if e != nil {
		i.State, i.Reason, i.Ended = runctl.StateTerminated, e.Reason, e.At
	}
	return i
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// busy remembers which instances had a live run a moment ago, so that waiting for a long run does not ask
// its supervisor five times a second. At worst it delays the news of an idle instance's end, whose
// time stays exact.
type busy struct{ at sync.Map } // id to time.Time

const busyFor = 2 * time.Second

func (b *busy) note(id string, now time.Time) { b.at.Store(id, now) }

func (b *busy) lately(id string, now time.Time) bool {
	at, ok := b.at.Load(id)
	return ok && !now.Before(at.(time.Time)) && now.Sub(at.(time.Time)) < busyFor
}
