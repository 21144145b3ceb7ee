package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runctl"
)

func (a *app) launchCommand() *cobra.Command {
	var n needs
	var f consent
	c := newCommand("launch", "Launch a machine without a job", between(0, 0, "no arguments"),
		func(ctx context.Context, _ []string) error { return a.launch(ctx, &n, &f) })
	n.add(c.Flags())
	f.add(c.Flags())
	return c
}

// launch starts a machine by hand. It prints the machine's id on stdout.
func (a *app) launch(ctx context.Context, n *needs, f *consent) error {
	q, err := n.query()
	if err != nil {
		return err
	}
	if f.name != "" && !validName.MatchString(f.name) {
		return usagef("--name %q: 1 to %d characters of a-z, 0-9 and inner '-'", f.name, maxName)
	}
	s, err := a.openState()
	if err != nil {
		return err
	}
	x, err := a.chosen(ctx, s)
	if err != nil {
		return err
	}
	defer x.client.Close()
	key := f.name
	if key == "" {
		key = "machine-" + randomText("abcdefghjkmnpqrstuvwxyz023456789", 4)
	}
	// A machine by hand is entered over a shell; any job that has one stands for those to come.
	q.Road = runctl.RoadShell
	spec := runctl.RunSpec{Key: key, Needs: q, Job: runctl.Job{Args: []string{"true"}}, Disk: int64(n.disk)}
	est, err := x.prepareSpec(ctx, &spec, n, f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return x.showPlan(key, est, 0)
	}
	if err := x.consentTo(key, est, &spec, n, f, true); err != nil {
		return err
	}
	track := x.newTracker(key)
	x.listen(track.event)
	i, err := x.client.Launch(ctx, runctl.LaunchSpec{Key: key, Needs: q, Lifetime: spec.Lifetime, Keep: spec.Keep, MaxHourly: spec.MaxHourly,
		MaxCost: spec.MaxCost, Image: f.image, Disk: spec.Disk, Unguarded: spec.Unguarded})
	x.listen(nil)
	track.close()
	if err != nil {
		return err
	}
	x.say.sayf("%s is launched\n%-36s run a job on it\n%-36s end it", i.ID, command("runctl", "submit", i.ID, "--")+" COMMAND", command("runctl", "terminate", i.ID))
	if a.opt.json {
		writeJSON(a.stdout, toInstance(i), true)
	} else {
		fmt.Fprintln(a.stdout, i.ID)
	}
	return nil
}

func (a *app) submitCommand() *cobra.Command {
	var f jobFlags
	var place codeFlags
	var name string
	c := newCommand("submit INSTANCE [flags] -- COMMAND [ARG...]", "Run a job on a launched machine; prints its name", between(1, -1, "a machine and a command"), nil)
	c.RunE = func(c *cobra.Command, args []string) error {
		// The machine ended the flags before it; those behind it go up to the job's command.
		if err := c.Flags().Parse(args[1:]); err != nil {
			return c.FlagErrorFunc()(c, err)
		}
		a.say.quiet, a.say.json = a.opt.quiet, a.opt.json
		return a.submit(c.Context(), &f, &place, name, args[0], c.Flags().Args())
	}
	c.Flags().SetInterspersed(false)
	f.add(c.Flags())
	place.add(c.Flags())
	c.Flags().StringVar(&name, "name", "", "`NAME` of the run: a-z, 0-9 and '-', at most 24")
	return c
}

// submit starts a job on a machine by hand and leaves it running there.
func (a *app) submit(ctx context.Context, f *jobFlags, place *codeFlags, name, machine string, args []string) error {
	job, err := f.job(a, args)
	if err != nil {
		return err
	}
	x, i, err := a.openInstance(ctx, machine)
	if err != nil {
		return err
	}
	defer x.client.Close()
	all, err := x.records()
	if err != nil {
		return err
	}
	rec := &record{Args: job.Args, Dir: a.dir, Outputs: job.Outputs, Created: a.now().UTC(), Phase: phaseRunning, ByHand: true}
	if err := nameRun(rec, name, all); err != nil {
		return err
	}
	on := x.refOf(i)
	rec.OutDir, rec.Ref = a.outDir(rec.Name), on
	rec.Ref.Run, rec.Launched, rec.Lifetime = rec.Name, utc(i.Launched), seconds(i.Mark.Lifetime)
	job.ID, job.Attempt, rec.Grace = rec.Name, rec.Attempt, seconds(orGrace(job.Grace))
	rec.Lease = seconds(job.Lease)
	if err := x.carry(ctx, &job, f.carry.all); err != nil {
		return err
	}
	if err := x.place(&job, place, x.named(i.Provider)); err != nil {
		return err
	}
	if err := x.add(rec); err != nil {
		return err
	}
	track := x.newTracker(rec.Name)
	track.code = job.Code != nil
	x.listen(track.event)
	x.listenSync(track.sync)
	run, err := x.client.Submit(ctx, on, job)
	x.listen(nil)
	x.listenSync(nil)
	track.close()
	if err != nil {
		if k := runctl.Kind(""); errors.As(err, &k) && (k == runctl.ErrInvalid || k == runctl.ErrConflict) {
			x.remove(rec)
		}
		return err
	}
	rec.Ref = run.Ref()
	x.keep(rec)
	x.printName = true
	x.detached(rec, true)
	return nil
}

func (a *app) stopCommand() *cobra.Command {
	return a.onInstance("stop INSTANCE", "Pause a machine: only its disk bills, its lifetime goes on", "stopped",
		func(x *session, ctx context.Context, i runctl.Instance) error {
			return x.client.StopInstance(ctx, i.Ref())
		})
}

func (a *app) startCommand() *cobra.Command {
	return a.onInstance("start INSTANCE", "Resume a stopped machine", "running",
		func(x *session, ctx context.Context, i runctl.Instance) error {
			return x.client.StartInstance(ctx, i.Ref())
		})
}

func (a *app) terminateCommand() *cobra.Command {
	c := a.onInstance("terminate INSTANCE|RUN", "End a machine and what runs on it; returns when the cloud shows it ended", "terminated",
		func(x *session, ctx context.Context, i runctl.Instance) error {
			if err := x.client.Terminate(ctx, i.Ref()); err != nil {
				return err
			}
			return x.terminated(i)
		})
	c.Aliases = []string{"down"}
	return c
}

// terminated ends the records of the runs on a machine.
func (x *session) terminated(i runctl.Instance) error {
	all, broken := x.records()
	for _, r := range all {
		if r.live() && r.Ref.Provider == i.Provider && (r.Ref.ID == i.ID || r.Ref.ID == "" && r.Ref.Key == i.Mark.Key) {
			r.end(x.now(), cmp.Or(r.Outcome, "terminated"), "its machine was ended by hand")
			x.keep(r)
		}
	}
	return broken
}

// onInstance makes a command that does one thing to one machine.
func (a *app) onInstance(use, short, done string, do func(*session, context.Context, runctl.Instance) error) *cobra.Command {
	return newCommand(use, short, between(1, 1, "one machine"), func(ctx context.Context, args []string) error {
		x, i, err := a.openInstance(ctx, args[0])
		if err != nil {
			return err
		}
		defer x.client.Close()
		if err := do(x, ctx, i); err != nil {
			return err
		}
		x.say.sayf("%s %s: %s", i.Provider, i.ID, done)
		if a.opt.json {
			writeJSON(a.stdout, map[string]any{"provider": i.Provider, "id": i.ID, "state": done}, true)
		}
		return nil
	})
}

// openInstance finds a machine of ours by its id, its key, its reference, or the run on it.
func (a *app) openInstance(ctx context.Context, word string) (*session, runctl.Instance, error) {
	var none runctl.Instance
	s, err := a.openState()
	if err != nil {
		return nil, none, err
	}
	ref, known, err := a.machineRef(s, word)
	if err != nil {
		return nil, none, err
	}
	if known {
		x, err := a.one(ctx, s, ref.Provider)
		if err != nil {
			return nil, none, err
		}
		i, err := x.client.Get(ctx, ref)
		return x, i, err
	}
	x, missing, err := a.wide(ctx, s, nil)
	if err != nil || x.client == nil {
		return nil, none, errors.Join(err, missing)
	}
	list, failed := x.client.List(ctx)
	list = slices.DeleteFunc(list, func(i runctl.Instance) bool { return i.ID != word && i.Mark.Key != word })
	switch alive := slices.DeleteFunc(slices.Clone(list), func(i runctl.Instance) bool { return !i.State.Billing() }); {
	case len(alive) == 1:
		return x, alive[0], nil
	case len(alive) > 1:
		return nil, none, usagef("%q is %d machines: name one by its id, with -p PROVIDER", word, len(alive))
	case len(list) > 0:
		return x, list[0], nil
	}
	if err := errors.Join(missing, failed); err != nil {
		return nil, none, fmt.Errorf("no machine %q is seen, and not everything could be looked at: %w", word, err)
	}
	return nil, none, fmt.Errorf("no machine %q of ours; runctl ps lists them", word)
}

// refOf is the reference to a machine, with the host key that it is known by from any run on it.
func (s *state) refOf(i runctl.Instance) runctl.Ref {
	ref := i.Ref()
	all, _ := s.records()
	for _, r := range all {
		if r.Ref.Provider == ref.Provider && r.Ref.ID == ref.ID && r.Ref.HostKey != "" {
			ref.HostKey, ref.FirstUse = r.Ref.HostKey, r.Ref.FirstUse
		}
	}
	return ref
}

// machineRef is the reference that a word means without asking a cloud: a reference itself, or a run's.
func (a *app) machineRef(s *state, word string) (runctl.Ref, bool, error) {
	if strings.HasPrefix(word, "rc1:") {
		ref, err := runctl.ParseRef(word)
		return ref, true, err
	}
	all, _ := s.records()
	for _, r := range slices.Backward(all) {
		if (r.Name == word || r.Job == word) && r.live() {
			return r.Ref, true, nil
		}
	}
	return runctl.Ref{}, false, nil
}
