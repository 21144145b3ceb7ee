package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"runctl"
)

type psFlags struct{ all, allOwners bool }

func (a *app) psCommand() *cobra.Command {
	var f psFlags
	c := newCommand("ps [RUN]", "List runs and machines, or show one run in full", between(0, 1, "at most one run"),
		func(ctx context.Context, args []string) error {
			if len(args) == 1 {
				return a.psOne(ctx, args)
			}
			return a.ps(ctx, f)
		})
	c.Flags().BoolVarP(&f.all, "all", "a", false, "also runs that have ended")
	c.Flags().BoolVar(&f.allOwners, "all-owners", false, "also machines of others in the accounts, to look at only")
	return c
}

// psRow is a run, a machine without one, or both.
type psRow struct {
	rec    *record
	inst   *runctl.Instance
	status *runctl.Status
	state  string
	note   string
}

func (a *app) ps(ctx context.Context, f psFlags) error {
	s, err := a.openState()
	if err != nil {
		return err
	}
	recs, broken := s.records()
	var need []string
	for _, r := range recs {
		if r.live() && !slices.Contains(need, r.Ref.Provider) {
			need = append(need, r.Ref.Provider)
		}
	}
	x, missing, err := a.wide(ctx, s, need)
	if err != nil {
		return err
	}
	defer x.close()
	var list []runctl.Instance
	var listed error
	switch {
	case x.client == nil:
	case f.allOwners:
		list, listed = x.client.ListAll(ctx)
	default:
		list, listed = x.client.List(ctx)
	}
	var rows []*psRow
	for _, r := range recs {
		if r.live() || f.all {
			rows = append(rows, &psRow{rec: r})
		}
	}
	rows = joinInstances(rows, list)
	x.look(ctx, rows, errors.Join(missing, listed) == nil)
	if a.opt.json {
		out := []map[string]any{}
		for _, r := range rows {
			out = append(out, r.json())
		}
		writeJSON(a.stdout, out, true)
		return a.incomplete(broken, missing, listed)
	}
	t := &table{head: []string{"RUN", "STATE", "PROVIDER", "GPU", "AGE", "COST", "ENDS BY", "COMMAND"}}
	if f.all {
		t.head = slices.Insert(t.head, 2, "EXIT")
	}
	if f.allOwners {
		t.head = append(t.head, "OWNER")
	}
	for _, r := range rows {
		cells := r.cells(a)
		if f.all {
			cells = slices.Insert(cells, 2, r.exit())
		}
		if f.allOwners {
			cells = append(cells, r.owner(s))
		}
		t.add(cells...)
	}
	a.print(t)
	return a.incomplete(broken, missing, listed)
}

// joinInstances gives every run its machine, and machines that bill without a run a row of their own.
func joinInstances(rows []*psRow, list []runctl.Instance) []*psRow {
	for n := range list {
		i := &list[n]
		at := slices.IndexFunc(rows, func(r *psRow) bool {
			return r.rec != nil && r.rec.Ref.Provider == i.Provider &&
				(r.rec.Ref.ID == i.ID || r.rec.Ref.ID == "" && i.Mark.Key != "" && r.rec.Ref.Key == i.Mark.Key)
		})
		switch {
		case at >= 0 && rows[at].rec.live():
			rows[at].inst = i
		case at < 0 && i.State.Billing():
			rows = append(rows, &psRow{inst: i})
		}
	}
	return rows
}

// look finds out the state of every row; whole says that every provider has answered.
func (x *session) look(ctx context.Context, rows []*psRow, whole bool) {
	var g errgroup.Group
	g.SetLimit(8)
	for _, r := range rows {
		switch {
		case r.rec == nil:
			r.state = r.inst.State.String()
		case !r.rec.live():
			r.state = r.rec.Outcome
		case r.inst == nil && !whole:
			r.state = "unknown"
		case r.inst == nil && r.rec.Phase == phaseDoubt:
			r.state = "in doubt"
		case r.inst == nil:
			r.state, r.note = "gone", "its machine is not listed any more; runctl attach settles it"
		case r.inst.State == runctl.StateRunning || r.inst.State == runctl.StateTerminated || r.inst.State == runctl.StateStopping:
			g.Go(func() error { x.lookAt(ctx, r); return nil })
		case r.inst.State == runctl.StatePending:
			r.state = "launching"
		default:
			r.state = r.inst.State.String()
		}
	}
	_ = g.Wait()
}

// lookTime bounds one look at a run.
const lookTime = 20 * time.Second

// lookAt asks a run for its status.
func (x *session) lookAt(ctx context.Context, r *psRow) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	r.state = "unknown"
	ref := r.rec.Ref
	ref.ID = r.inst.ID
	run, err := x.client.Attach(ctx, ref)
	if err == nil {
		var s runctl.Status
		s, err = run.Status(ctx)
		r.status = &s
	}
	switch {
	case errors.Is(err, runctl.ErrNotFound) && r.rec.Phase != phaseRunning:
		r.state = "launching"
	case err != nil:
		r.note = err.Error()
	case r.status.Receipt != nil:
		r.state, r.note = outcome(*r.status.Receipt), "not collected yet; runctl attach does that"
	case r.status.Live == runctl.Alive:
		r.state = "running"
	case r.status.Live == runctl.Dead:
		r.state = "lost"
	}
}

func (r *psRow) cells(a *app) []string {
	if r.rec == nil {
		i := r.inst
		return []string{absent, r.state, i.Provider, i.GPU.String(), ageText(i.Age()), instCost(*i), a.endsBy(i.Deadline()), absent}
	}
	gpu, age, cost := absent, absent, absent
	if r.rec.Offer != nil {
		gpu = r.rec.Offer.gpu().String()
	}
	if r.rec.Launched != nil {
		end := a.now()
		if r.rec.Ended != nil {
			end = *r.rec.Ended
		}
		age = ageText(end.Sub(*r.rec.Launched))
	}
	switch {
	case r.rec.free() || r.rec.ByHand:
	case r.rec.Cost != nil:
		cost = costText(r.rec.Cost.money())
	case r.inst != nil:
		cost = instCost(*r.inst)
	case r.rec.Launched != nil:
		cost = unknown
	}
	ends := absent
	if r.rec.live() {
		ends = a.endsBy(r.rec.deadline())
		if r.inst != nil && !r.inst.Deadline().IsZero() {
			ends = a.endsBy(r.inst.Deadline())
		}
	}
	return []string{r.rec.Name, r.state, r.rec.Ref.Provider, gpu, age, cost, ends, command(r.rec.Args...)}
}

// instCost is what a machine has cost: absent when it is free, "?" when nobody knows.
func instCost(i runctl.Instance) string {
	if i.Price.Free() {
		return absent
	}
	return costText(i.Cost())
}

// endsBy is a deadline in a table.
func (a *app) endsBy(t time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return a.clock(t)
}

func (r *psRow) exit() string {
	switch {
	case r.rec != nil && r.rec.Exit != nil:
		return strconv.Itoa(*r.rec.Exit)
	case r.status != nil && r.status.Receipt != nil:
		return strconv.Itoa(jobExit(*r.status.Receipt))
	}
	return absent
}

func (r *psRow) owner(s *state) string {
	if r.inst == nil || r.inst.Mark.Owner != "" {
		return s.owner
	}
	if o, _, ok := runctl.LabelOwner(r.inst.Label); ok {
		return o
	}
	return unknown
}

func (r *psRow) json() map[string]any {
	m := map[string]any{"state": r.state, "run": nil, "instance": nil}
	if r.rec != nil {
		m["run"] = r.rec
	}
	if r.inst != nil {
		m["instance"] = toInstance(*r.inst)
	}
	if r.status != nil {
		m["status"] = map[string]any{"live": r.status.Live.String(), "evidence": r.status.Evidence, "at": utc(r.status.At),
			"log_bytes": r.status.LogBytes, "receipt": r.status.Receipt}
	}
	if r.note != "" {
		m["note"] = r.note
	}
	return m
}
