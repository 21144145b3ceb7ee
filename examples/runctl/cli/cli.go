// Package cli is the runctl command over any set of providers. It is built on the public API of package
// runctl alone, so that what it can do, every other program can do too:
//
//	func main() { cli.Main(registry) }
//
// What a job writes goes to stdout unchanged; every word of ours goes to stderr. What clouds and jobs say is
// made safe before a terminal sees it.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"runctl"
)

// Main runs the command line of this process over the providers of reg, and ends the process.
func Main(reg *runctl.Registry) {
	// A reader of stdout that went away must not end us before the machine is: writing fails instead.
	// The signal is caught and not ignored, because what is ignored is inherited by jobs on this computer.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	dir, _ := os.Getwd()
	a := &app{
		reg: reg, getenv: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, dir: dir,
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
		notify: notifySignals, now: time.Now,
	}
	if a.inTTY && a.outTTY {
		a.screen = ownScreen{os.Stdin, os.Stdout}
	}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// app is one invocation with its surroundings passed in.
type app struct {
	reg            *runctl.Registry
	getenv         func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	dir            string // where it was started
	inTTY          bool   // stdin is a terminal, and so on
	outTTY, errTTY bool
	screen         screen                            // stdin and stdout together; nil: they are no terminal
	notify         func() (<-chan os.Signal, func()) // interrupts from now on, and how to stop them
	now            func() time.Time
	deadlines      runctl.Deadlines // zero: the client's own

	opt     options
	say     *speaker
	json    *eventWriter
	answers chan string // lines from stdin, once somebody asked

	printName bool // a detached run prints its name on stdout
}

// options are the flags that every command has.
type options struct {
	providers            []string
	json, quiet, verbose bool
	raw                  bool // job bytes reach a terminal unchanged
}

// run executes one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.say = &speaker{w: a.stderr, tty: a.errTTY}
	a.json = &eventWriter{w: a.stdout}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, commandFirst(root, args)...)) // cobra takes nil for the arguments of the process
	cmd, err := root.ExecuteContextC(ctx)
	a.say.done()
	return a.report(cmd, err)
}

// env returns an environment variable, "" when it is not set.
func (a *app) env(name string) string {
	v, _ := a.getenv(name)
	return v
}

// interactive reports whether a person can be asked.
func (a *app) interactive() bool { return a.inTTY && a.errTTY && !a.opt.json }

// isTerminal reports whether f is a character device other than the null device.
func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(fi, null)
}

// version is what --version prints.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
