package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"runctl"
	"runctl/sshmachine"
)

const sshHelp = `Open a shell on a run's machine, or run a command there; on a machine by hand too, by its id or key.

At a terminal and without a command it is the login shell of the machine, in a terminal of the machine's own; with a
command, -t gives that one. Otherwise the command's standard input, output and error output are passed through as they
are, and without a command sh reads standard input. Ctrl-C ends it. It is no run: it has no record and no receipt.

Exit code: the command's; 255 when runctl failed.`

func (a *app) sshCommand() *cobra.Command {
	c := newCommand("ssh [RUN|INSTANCE] [-- COMMAND [ARG...]]", "Open a shell on a machine, or run a command there", nil, nil)
	c.Long = sshHelp
	c.Annotations = map[string]string{failsWith: fmt.Sprint(exitSSH)}
	tty := c.Flags().BoolP("tty", "t", false, "give the command a terminal of the machine's own")
	c.RunE = func(c *cobra.Command, args []string) error {
		names, argv := args, []string(nil)
		if n := c.ArgsLenAtDash(); n >= 0 {
			names, argv = args[:n], args[n:]
		}
		if len(names) > 1 {
			return usagef("ssh: one run or machine, and the command after --, as in runctl ssh %s -- %s", quote(names[0]), command(names[1:]...))
		}
		return a.ssh(c.Context(), names, argv, *tty)
	}
	return c
}

// shells are machines that have terminals of their own, such as *sshmachine.Machine.
type shells interface {
	Shell(ctx context.Context, t sshmachine.Terminal, argv ...string) (int, error)
}

func (a *app) ssh(ctx context.Context, names, argv []string, tty bool) error {
	if tty && a.screen == nil {
		return usagef("ssh -t: there is no terminal here")
	}
	x, m, err := a.enter(ctx, names)
	if err != nil {
		return err
	}
	defer x.close()
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	signals, stop := a.notify()
	defer stop()
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		switch {
		case tty, len(argv) == 0 && a.screen != nil:
			e.code, e.err = a.interact(own, m, argv)
		case len(argv) == 0:
			e.code, e.err = m.Exec(own, []string{"sh"}, a.stdin, a.stdout, a.stderr)
		default:
			e.code, e.err = m.Exec(own, argv, a.stdin, a.stdout, a.stderr)
		}
		ended <- e
	}()
	select {
	case sig := <-signals:
		cancel()
		<-ended
		return &exitError{code: signalExit(sig)}
	case e := <-ended:
		switch {
		case e.err != nil:
			return e.err
		case e.code != 0:
			return &exitError{code: e.code}
		}
		return nil
	}
}

// interact runs a command, or the login shell, in a terminal of the machine's own, with ours in raw mode.
func (a *app) interact(ctx context.Context, m runctl.Machine, argv []string) (int, error) {
	s, ok := m.(shells)
	if !ok {
		return 0, usagef("ssh: this machine gives no terminals; give it a command, as in runctl ssh RUN -- ls, or send one: echo ls | runctl ssh RUN")
	}
	sizes, stop := a.screen.sizes()
	defer stop()
	size := <-sizes
	restore, err := a.screen.raw()
	if err != nil {
		return 0, fmt.Errorf("the terminal could not be set up: %w", err)
	}
	defer restore()
	return s.Shell(ctx, sshmachine.Terminal{Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr, Term: a.env("TERM"),
		Rows: size[0], Cols: size[1], Resize: sizes}, argv...)
}

// enter connects to the machine of a run, or to one by hand.
func (a *app) enter(ctx context.Context, names []string) (*session, runctl.Machine, error) {
	x, ref, rec, err := a.openMachine(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	m, err := x.client.Machine(ctx, ref)
	if err != nil {
		x.close()
		return nil, nil, err
	}
	if h, ok := m.(runctl.Hosted); ok && ref.HostKey == "" {
		key, trust := h.HostKey()
		if trust <= runctl.TrustFirstUse {
			x.say.warnf("host key %s is seen for the first time, and nobody vouches for it", key)
		}
		if rec != nil {
			x.remember(ctx, rec)
		}
	}
	return x, m, nil
}

// remember keeps the host key of a run's machine, so that it is known from now on.
func (x *session) remember(ctx context.Context, rec *record) {
	run, err := x.client.Attach(ctx, rec.Ref)
	if err != nil {
		return
	}
	if x.reread(rec); rec.live() {
		rec.Ref = run.Ref()
		x.keep(rec)
	}
}

// openMachine finds what ssh is to enter: a reference, the machine of a live run (of the only one, without a name), or
// a machine by hand. There is no record of the last.
func (a *app) openMachine(ctx context.Context, names []string) (*session, runctl.Ref, *record, error) {
	var none runctl.Ref
	s, err := a.openState()
	if err != nil {
		return nil, none, nil, err
	}
	if len(names) == 1 && strings.HasPrefix(names[0], "rc1:") {
		ref, err := runctl.ParseRef(names[0])
		if err != nil {
			return nil, none, nil, err
		}
		x, err := a.one(ctx, s, ref.Provider)
		return x, ref, nil, err
	}
	rec, err := a.findRun(s, names)
	switch {
	case err == nil && rec.live():
		x, err := a.one(ctx, s, rec.Ref.Provider)
		return x, rec.Ref, rec, err
	case err == nil:
		return nil, none, nil, fmt.Errorf("%s: it has ended, and so has its machine. Its log and outputs: %s", rec.Name, a.pathText(rec.OutDir)+"/")
	case len(names) == 0:
		return nil, none, nil, err
	}
	x, i, err := a.openInstance(ctx, names[0])
	if err != nil {
		return nil, none, nil, err
	}
	return x, x.refOf(i), nil, nil
}
