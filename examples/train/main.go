// Command train fits a small neural network to points on intertwined spirals.
//
// It is an example of a program worth running under a supervisor: it prints
// its progress, saves checkpoints that survive a crash, stops cleanly when it
// is told to, and continues an earlier run exactly where that one stopped.
//
//	go run ./examples/train --steps 500
//
// Given the same seed and learning rate on the same kind of machine, every run
// sees the same numbers: a run that was interrupted and resumed prints the
// same losses, and writes the same model, as one that was left alone.
//
// # Exit status
//
//	0    the model was trained and written
//	1    the run could not go on (unreadable checkpoint, full disk, ...)
//	2    a flag or argument was not understood
//	3    the step named by --fail-at was reached
//	130  interrupted (SIGINT), after saving a checkpoint
//	143  terminated (SIGTERM), after saving a checkpoint
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses of the command, documented above.
const (
	exitOK     = 0
	exitError  = 1
	exitUsage  = 2
	exitFailAt = 3
)

func main() {
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// stopSignal is the cause of a context that was cancelled by a signal.
type stopSignal struct{ sig syscall.Signal }

func (s stopSignal) Error() string { return "stopped by " + s.sig.String() }

// exitCode is the status a shell reports for a program ended by the signal.
func (s stopSignal) exitCode() int { return 128 + int(s.sig) }

// withSignals returns a context that ends, with a [stopSignal] as its cause,
// at the first SIGTERM or SIGINT. Later ones are swallowed, so that a second
// signal cannot tear the checkpoint the first one asked for.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case got := <-signals:
			if sig, ok := got.(syscall.Signal); ok {
				cancel(stopSignal{sig})
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// run is the whole command with its surroundings passed in. It returns the
// exit status; everything that goes wrong is told in one line on stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage())
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "train: %v\n", err)
		return exitUsage
	}

	err = runTraining(ctx, opts, stdout)
	var stopped stopSignal
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &stopped):
		return stopped.exitCode()
	case errors.Is(err, errFailAt):
		fmt.Fprintf(stderr, "train: %v\n", err)
		return exitFailAt
	default:
		fmt.Fprintf(stderr, "train: %v\n", err)
		return exitError
	}
}
