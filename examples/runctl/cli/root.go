package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Groups of commands in the help.
const (
	groupRuns     = "runs"
	groupLook     = "look"
	groupMachines = "machines"
)

// fromEnv are the flags whose default may come from RUNCTL_NAME.
var fromEnv = []string{"provider", "gpu", "region", "image", "lifetime", "max-price", "max-cost", "keep", "grace"}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "runctl",
		Short: "Run training jobs on rented machines, and on this one",
		Long: "Run training jobs on rented machines, and on this one.\n\n" +
			"A job's output goes to stdout unchanged, every word of runctl to stderr. A RUN is a name, the unique\n" +
			"beginning of one, or absent when one run is live. Flags stand before or after the command; what follows --\n" +
			"is not touched.",
		Example: "  runctl run -p local -- python train.py\n" +
			"  runctl offers --gpu H100:8\n" +
			"  runctl run -p aws --gpu H100:8 --lifetime 12h -- python train.py\n" +
			"  runctl ps",
		Version: version(), SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: see runctl help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.prepare(cmd)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("runctl {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if errors.As(err, new(*pflag.NotExistError)) {
			return usagef("%v; %s --help lists the flags", err, c.CommandPath())
		}
		return usagef("%v", err)
	})
	root.AddGroup(&cobra.Group{ID: groupRuns, Title: "Runs:"}, &cobra.Group{ID: groupLook, Title: "What there is:"},
		&cobra.Group{ID: groupMachines, Title: "Machines by hand:"})
	f := root.PersistentFlags()
	f.StringSliceVarP(&a.opt.providers, "provider", "p", nil, "`NAMES` of providers, comma-separated (run and launch: aws; lists: all that are configured)")
	f.BoolVar(&a.opt.json, "json", false, "machine-readable output")
	f.BoolVarP(&a.opt.quiet, "quiet", "q", false, "only errors and warnings on stderr")
	f.BoolVarP(&a.opt.verbose, "verbose", "v", false, "say more of what happens")
	for group, cmds := range map[string][]*cobra.Command{
		groupRuns:     {a.runCommand(), a.attachCommand(), a.waitCommand(), a.psCommand(), a.logsCommand(), a.cancelCommand(), a.cpCommand(), a.sshCommand()},
		groupLook:     {a.offersCommand(), a.providersCommand()},
		groupMachines: {a.launchCommand(), a.submitCommand(), a.stopCommand(), a.startCommand(), a.terminateCommand(), a.reapCommand()},
	} {
		for _, c := range cmds {
			c.GroupID = group
			c.DisableFlagsInUseLine = true
			root.AddCommand(c)
		}
	}
	return root
}

// prepare takes defaults from the environment and sets the way in which we speak.
func (a *app) prepare(cmd *cobra.Command) error {
	for _, name := range fromEnv {
		f := cmd.Flags().Lookup(name)
		v := a.env("RUNCTL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		if f == nil || f.Changed || v == "" {
			continue
		}
		if name == "provider" && !launches(cmd) {
			continue // a list covers all
		}
		if err := f.Value.Set(v); err != nil {
			return usagef("RUNCTL_%s: %v", strings.ToUpper(strings.ReplaceAll(name, "-", "_")), err)
		}
	}
	a.say.quiet, a.say.json = a.opt.quiet, a.opt.json
	return nil
}

// launches reports whether the command launches something, so that a default provider makes sense.
func launches(cmd *cobra.Command) bool { return cmd.Name() == "run" || cmd.Name() == "launch" }

// commandFirst puts flags that stand before the command's word behind it, so that every flag may stand on
// either side. What follows the word stays as it is, and so does what cobra refuses better.
func commandFirst(root *cobra.Command, args []string) []string {
	all := pflag.NewFlagSet("of any command", pflag.ContinueOnError)
	all.SetInterspersed(false)
	all.Usage = func() {}
	for _, c := range append(root.Commands(), root) {
		all.AddFlagSet(c.Flags())
		all.AddFlagSet(c.PersistentFlags())
	}
	err := all.ParseAll(args, func(*pflag.Flag, string) error { return nil }) // sets nothing
	n := len(args) - all.NArg()
	if err != nil || n == 0 || n == len(args) || args[n-1] == "--" {
		return args
	}
	return slices.Concat(args[n:n+1], args[:n], args[n+1:])
}

// action is what a command does. ctx bounds the command, never a job.
type action func(ctx context.Context, args []string) error

// newCommand makes a command; flags stop at its first argument when the rest is a job's command.
func newCommand(use, short string, args cobra.PositionalArgs, do action) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), args) },
	}
}

// between checks the number of arguments; a negative most is no bound.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("%s: give %s; it reads runctl %s", cmd.Name(), what, cmd.Use)
		}
		return nil
	}
}
