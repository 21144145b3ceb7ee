package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"runctl"
)

// runFlags are those of run.
type runFlags struct {
	needs
	consent
	jobFlags
	codeFlags
	resume string
	detach bool
}

const runHelp = `Launch a machine, run a job on it, follow it, collect its outputs, terminate the machine.

Ctrl-C at a terminal asks whether to cancel, detach or keep watching; a second one leaves at once and prints
the commands that attach and end. Without a terminal SIGINT and SIGTERM cancel with the grace. SIGHUP detaches.

The log, everything that the job put into $RUNCTL_OUTPUT_DIR, and the paths of --out are kept in runctl-out/RUN;
the record of the run in the state directory (RUNCTL_STATE_DIR, else XDG_STATE_HOME/runctl, else
~/.local/state/runctl).

--input, --result and --checkpoints are objects of a store, such as s3://bucket/key, whatever provider the machine is
of. It gets to them by addresses that are signed here and hold for a while, and has no key of the store.

A directory in a git work tree is sent to the machine, without what git ignores and without what looks like a secret;
any other only when --workdir names it. On this computer the job works in the directory itself.

Exit code: the job's own, 128+N when signal N ended it, 130 when Ctrl-C did;
  122  in doubt: something may still bill       125  runctl failed or its usage is wrong; nothing bills
  123  pre-empted, lost, or started twice       126  the command cannot be run
  124  lifetime, lease or budget ended it       127  the command is not there`

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	c := newCommand("run [flags] -- COMMAND [ARG...]", "Launch a machine, run a job on it, follow it, collect, terminate", nil,
		func(ctx context.Context, args []string) error { return a.runJob(ctx, &f, args) })
	c.Long = runHelp
	c.Annotations = map[string]string{followsRun: "yes"}
	c.Flags().SetInterspersed(false)
	f.needs.add(c.Flags())
	f.consent.add(c.Flags())
	f.jobFlags.add(c.Flags())
	f.codeFlags.add(c.Flags())
	c.Flags().StringVar(&f.resume, "resume", "", "`RUN` whose last checkpoint the job goes on from")
	c.Flags().BoolVarP(&f.detach, "detach", "d", false, "leave when the job runs; its name is printed on stdout")
	a.addRaw(c)
	return c
}

// addRaw adds the flag of the commands that print a job's bytes.
func (a *app) addRaw(c *cobra.Command) {
	c.Flags().BoolVar(&a.opt.raw, "raw", false, "send the job's bytes to a terminal unchanged, escape sequences included")
}

func (a *app) runJob(ctx context.Context, f *runFlags, args []string) error {
	job, err := f.job(a, args)
	if err != nil {
		return err
	}
	query, err := f.query()
	if err != nil {
		return err
	}
	s, err := a.openState()
	if err != nil {
		return err
	}
	all, err := s.records()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, nothing)
	}
	rec := &record{Args: args, Dir: a.dir, Outputs: job.Outputs, Created: a.now().UTC(), Phase: phaseLaunching}
	if err := nameRun(rec, f.name, all); err != nil {
		return err
	}
	rec.OutDir = a.outDir(rec.Name)
	x, err := a.chosen(ctx, s)
	if err != nil {
		return err
	}
	providers := x.client.Providers()
	defer x.client.Close()
	if f.resume != "" {
		if job.Resume, err = x.checkpointDir(f.resume, providers); err != nil {
			return err
		}
	}
	job.ID, job.Attempt, job.Image = rec.Name, rec.Attempt, f.image
	if err := x.carry(ctx, &job, f.carry.all); err != nil {
		return err
	}
	if err := x.place(&job, &f.codeFlags, providers); err != nil {
		return err
	}
	spec := runctl.RunSpec{Key: rec.Name, Needs: query, Job: job, Disk: int64(f.disk)}
	est, err := x.prepareSpec(ctx, &spec, &f.needs, &f.consent)
	if job.Code != nil && f.workdir == "" && !carries(job) && errors.Is(err, errors.ErrUnsupported) {
		x.say.sayf("sync: nothing is sent after all, since machines there take no code")
		spec.Job.Code = nil
		est, err = x.prepareSpec(ctx, &spec, &f.needs, &f.consent)
	}
	if err != nil {
		return err
	}
	if f.dryRun {
		return x.showPlan(rec.Name, est, job.Lease)
	}
	if err := x.consentTo(rec.Name, est, &spec, &f.needs, &f.consent, f.detach); err != nil {
		return err
	}
	rec.plan(s, est, &spec)
	if err := s.add(rec); err != nil {
		return fmt.Errorf("%w. %s", err, nothing)
	}
	unlock, _ := s.lock(rec)
	defer unlock()
	signals, stop := a.notify()
	defer stop()
	run, err := x.start(ctx, rec, &spec, signals)
	if err != nil {
		return err
	}
	if f.detach {
		x.printName = true
		x.detached(rec, true)
		return nil
	}
	return x.follow(ctx, &watch{rec: rec, run: run, signals: signals, mine: true})
}

// plan writes what will be launched into the record, before anything is.
func (r *record) plan(s *state, e runctl.Estimate, spec *runctl.RunSpec) {
	r.Ref = runctl.Ref{Provider: e.Offer.Provider, Owner: s.owner, Key: r.Name, Run: r.Name}
	r.Offer = toOffer(e.Offer)
	r.Lifetime, r.Keep, r.EndsItself = seconds(e.Lifetime), seconds(spec.Keep), e.Offer.EndsItself
	r.Grace, r.Lease = seconds(orGrace(spec.Job.Grace)), seconds(spec.Job.Lease)
	if r.Keep == 0 {
		r.Keep = seconds(30 * time.Minute)
	}
}

// showPlan is the end of a dry run.
func (x *session) showPlan(name string, e runctl.Estimate, lease time.Duration) error {
	if x.opt.json {
		writeJSON(x.stdout, map[string]any{"run": name, "offer": toOffer(e.Offer), "road": e.Road.String(), "lifetime": seconds(e.Lifetime),
			"max_cost": toMoney(e.Max), "others": e.Others, "lease": seconds(lease)}, true)
		return nil
	}
	x.say.print(x.planText(name, e, lease))
	if e.Others > 0 {
		x.say.print(fmt.Sprintf("without capacity there, other offers that fit are tried: %d", e.Others))
	}
	x.say.print("dry run. " + nothing)
	return nil
}

// checkpointDir is where an earlier run left its checkpoints, as a new machine sees it.
func (x *session) checkpointDir(name string, providers []runctl.Provider) (string, error) {
	old, err := x.findRun(x.state, []string{name})
	if err != nil {
		return "", fmt.Errorf("--resume: %w", err)
	}
	for _, p := range providers {
		d, ok := runctl.As[interface {
			CheckpointDir(instance, run string) string
		}](p)
		if ok && p.Info().Name == old.Ref.Provider && old.Ref.ID != "" {
			if dir := d.CheckpointDir(old.Ref.ID, old.Ref.Run); dir != "" {
				return dir, nil
			}
		}
	}
	return "", usagef("--resume %s: its checkpoints on %s cannot be reached from the new machine. %s", old.Name, old.Ref.Provider, nothing)
}
