package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"runctl"
	"runctl/examples/runctl/cli/safe"
)

// psOne shows one run in full.
func (a *app) psOne(ctx context.Context, args []string) error {
	x, rec, err := a.openRun(ctx, args)
	if err != nil {
		return err
	}
	row := &psRow{rec: rec}
	if !rec.live() {
		row.state = rec.Outcome
	} else {
		defer x.client.Close()
		i, err := x.client.Get(ctx, rec.Ref)
		switch {
		case err == nil:
			row.inst = &i
		case !errors.Is(err, runctl.ErrNotFound):
			return err
		}
		x.look(ctx, []*psRow{row}, true)
	}
	if a.opt.json {
		writeJSON(a.stdout, row.json(), true)
		return nil
	}
	for _, line := range x.inFull(row) {
		if line[1] != "" {
			fmt.Fprintf(a.stdout, "%-12s %s\n", line[0], safe.Line(line[1]))
		}
	}
	return nil
}

// inFull is all that is known of a run, as names and values; what is empty is left out.
func (x *session) inFull(row *psRow) [][2]string {
	rec, a := row.rec, x.app
	l := [][2]string{
		{"run", rec.Name}, {"state", row.state}, {"note", row.note},
		{"attempt", fmt.Sprintf("%d of %s", rec.Attempt, rec.Job)},
		{"command", command(rec.Args...)}, {"directory", rec.Dir},
	}
	if rec.Offer != nil {
		l = append(l, [2]string{"machine", strings.Join(slices.DeleteFunc([]string{rec.Offer.Provider, rec.Offer.Region, rec.Offer.Type,
			rec.Offer.gpu().String(), rec.Ref.ID}, func(s string) bool { return s == "" || s == absent }), " ")})
		price := "none"
		if p := rec.Offer.price(); !p.Free() {
			price = moneyText(p.Hourly) + "/h, " + p.Source
		}
		l = append(l, [2]string{"price", price})
	}
	if rec.Launched != nil {
		l = append(l, [2]string{"launched", a.clock(*rec.Launched)})
	}
	if rec.live() {
		l = append(l, [2]string{"ends by", a.clock(rec.deadline())})
		if row.inst != nil && !rec.free() {
			l = append(l, [2]string{"cost so far", costText(row.inst.Cost())})
		}
	} else {
		l = append(l, [2]string{"ended", a.clock(*rec.Ended)})
		if rec.Cost != nil && !rec.free() {
			l = append(l, [2]string{"cost", costText(rec.Cost.money())})
		}
	}
	if s := row.status; s != nil {
		l = append(l, [2]string{"seen", fmt.Sprintf("%s, %s ago: %s", s.Live, durText(a.now().Sub(s.At)), s.Evidence)})
	}
	r := rec.Receipt
	if r == nil && row.status != nil {
		r = row.status.Receipt
	}
	if r != nil {
		signal := ""
		if r.Signal != "" {
			signal = ", signal " + r.Signal
		}
		l = append(l, [2]string{"receipt", fmt.Sprintf("cause %s, exit %d%s, by %s, ran %s, log %d bytes", r.Cause, r.ExitCode, signal, r.Source,
			durText(r.Ended.Sub(r.Started)), r.LogBytes)}, [2]string{"checkpoint", r.Checkpoint})
	}
	return append(l, [2]string{"reason", rec.Note}, [2]string{"reference", rec.Ref.String()}, [2]string{"log", rec.Log},
		[2]string{"outputs", rec.OutDir}, [2]string{"record", x.recordPath(rec.Name)})
}
