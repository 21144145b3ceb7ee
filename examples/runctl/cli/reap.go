package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"runctl"
)

func (a *app) reapCommand() *cobra.Command {
	var yes bool
	c := newCommand("reap [INSTANCE...]", "End machines of ours whose time is over, or those named; a dry run without --yes", nil,
		func(ctx context.Context, args []string) error { return a.reap(ctx, yes, args) })
	c.Flags().BoolVar(&yes, "yes", false, "end them; without it they are only listed")
	return c
}

func (a *app) reap(ctx context.Context, yes bool, args []string) error {
	s, err := a.openState()
	if err != nil {
		return err
	}
	req := runctl.ReapRequest{DryRun: !yes}
	var need []string
	for _, word := range args {
		x, i, err := a.openInstance(ctx, word)
		if err != nil {
			return err
		}
		_ = x.client.Close()
		req.Only, need = append(req.Only, i.Ref()), append(need, i.Provider)
	}
	x, missing, err := a.wide(ctx, s, need)
	if err != nil || x.client == nil {
		return errors.Join(err, missing)
	}
	defer x.close()
	reaped, failed := x.client.Reap(ctx, req)
	var errs []error
	rows := []map[string]any{}
	t := &table{head: []string{"INSTANCE", "PROVIDER", "STATE", "AGE", "WHY", "ENDED"}}
	for _, r := range reaped {
		ended := "no"
		switch {
		case r.Ended:
			ended = "yes"
			errs = append(errs, x.terminated(r.Instance))
		case r.Err != nil:
			ended = "failed"
			errs = append(errs, r.Err)
		case !yes:
			ended = "dry run"
		}
		t.add(r.Instance.ID, r.Instance.Provider, r.Instance.State.String(), ageText(r.Instance.Age()), r.Why, ended)
		rows = append(rows, map[string]any{"instance": toInstance(r.Instance), "why": r.Why, "ended": r.Ended})
	}
	switch {
	case a.opt.json:
		writeJSON(a.stdout, rows, true)
	case len(reaped) == 0:
		a.say.sayf("nothing is due")
	default:
		a.print(t)
		if !yes {
			a.say.sayf("dry run: nothing was ended; --yes ends them")
		}
	}
	return a.incomplete(missing, failed, errors.Join(errs...))
}
