package lyceum

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"runctl"
	"runctl/rest"
)

const (
	// pastLife is how long the list of ended runs is kept. Lyceum allowed 100 calls about billing an hour, by an older page.
	pastLife = time.Minute
	// pastPage is how many of the last runs are looked at. The highest number that is allowed is not documented.
	pastPage = 100
)

// known is what this process knows of runs beside Lyceum: the labels of those that it launched, and which went on when it
// looked last.
type known struct {
	mu     sync.Mutex
	labels map[string]launched
	active map[string]bool
}

type launched struct {
	label string
	at    time.Time
}

func (k *known) add(name, label string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.labels == nil {
		k.labels = map[string]launched{}
	}
	for other, l := range k.labels {
		if time.Since(l.at) > time.Hour {
			delete(k.labels, other)
		}
	}
	k.labels[name] = launched{label, time.Now()}
}

// name fills in the label that a run of ours was launched with, where Lyceum does not tell it.
func (k *known) name(r *Run) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.FileName == "" {
		r.FileName = Text(k.labels[string(r.ID)].label)
	}
}

// ended takes note of the runs that go on, and reports whether one that did has vanished.
func (k *known) ended(runs []Run) (some bool) {
	now := map[string]bool{}
	for _, r := range runs {
		now[string(r.ID)] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.active {
		some = some || !now[id]
	}
	k.active = now
	return some
}

// runs are all that go on, and those of the last hundred that have ended: without these, a key whose run was short would launch
// another one. An account that may not see its history goes without.
func (p *Provider) runs(ctx context.Context) ([]Run, time.Time, error) {
	all, reply, err := p.active(ctx)
	if err != nil {
		return nil, reply.Date, err
	}
	if p.known.ended(all) {
		p.past.void()
	}
	past, _, err := p.past.get(ctx, pastLife, p.history)
	if err != nil {
		return nil, reply.Date, err
	}
	all = append(all, past...)
	for n := range all {
		p.known.name(&all[n])
	}
	return all, reply.Date, nil
}

// active are the runs that go on.
func (p *Provider) active(ctx context.Context) ([]Run, rest.Reply, error) {
	var all *[]Run
	reply, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/workloads/list"}, &all)
	if err != nil {
		return nil, reply, err
	}
	if all == nil {
		return nil, reply, errors.New("the listing has no runs in it, not even none")
	}
	for _, r := range *all {
		if r.ID == "" {
			return nil, reply, errors.New("a run of the listing has no id")
		}
	}
	return *all, reply, nil
}

// history is the last runs that were billed. Their order is not documented: where the first page does not begin with the
// newest, the last one is read too.
func (p *Provider) history(ctx context.Context) ([]Run, error) {
	all, total, err := p.historyPage(ctx, 0)
	if errors.Is(err, runctl.ErrAuth) || errors.Is(err, runctl.ErrNotFound) {
		return nil, nil // what counts is what may bill, and those lists were given
	}
	if n := len(all); err == nil && total > n && n > 1 && all[0].CreatedAt.Time().Before(all[n-1].CreatedAt.Time()) {
		var last []Run
		last, _, err = p.historyPage(ctx, max(n, total-pastPage))
		all = append(last, all...)
	}
	if err != nil {
		return nil, err
	}
	// It may have machines in it, and what goes on is listed elsewhere.
	return slices.DeleteFunc(all, func(r Run) bool { return r.ID == "" || r.state() != runctl.StateTerminated }), nil
}

func (p *Provider) historyPage(ctx context.Context, offset int) ([]Run, int, error) {
	var page struct {
		Runs  *[]Run `json:"executions"`
		Total Text   `json:"total_executions"`
	}
	_, err := p.api.Do(ctx, rest.Request{Method: "GET", Path: "/billing/history",
		Query: url.Values{"limit": {strconv.Itoa(pastPage)}, "offset": {strconv.Itoa(offset)}}}, &page)
	switch {
	case err != nil:
		return nil, 0, err
	case page.Runs == nil:
		return nil, 0, errors.New("the history has no runs in it, not even none")
	}
	total, _ := page.Total.Int()
	return *page.Runs, total, nil
}

// labelled fills in what a record was never seen to have. Where the lists do not tell, what this process launched itself has the
// label that it was launched with.
func (p *Provider) labelled(ctx context.Context, r *Run) (*Run, error) {
	err := p.look(ctx, r)
	if p.known.name(r); r.FileName == "" && err != nil {
		return nil, err
	}
	return r, nil
}

// look looks for a run in the lists: for its label, and for what else is missing.
func (p *Provider) look(ctx context.Context, r *Run) error {
	found := func(runs []Run) bool {
		for _, l := range runs {
			if l.ID == r.ID {
				r.FileName, r.CreatedAt, r.Type = cmp.Or(r.FileName, l.FileName), cmp.Or(r.CreatedAt, l.CreatedAt), cmp.Or(r.Type, l.Type)
			}
		}
		return r.FileName != ""
	}
	if r.FileName != "" {
		return nil
	}
	if r.state() != runctl.StateTerminated {
		runs, _, err := p.active(ctx)
		if err != nil || found(runs) {
			return err
		}
	}
	for range 2 { // what is kept may be older than the run's end
		runs, asked, err := p.past.get(ctx, pastLife, p.history)
		if err != nil || found(runs) || time.Since(asked) < time.Second {
			return err
		}
		p.past.void()
	}
	return nil
}
