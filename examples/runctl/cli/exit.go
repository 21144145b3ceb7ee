package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"runctl"
)

// Exit codes of run, attach and wait that are not the job's own.
const (
	exitDoubt    = 122 // something may still bill
	exitLost     = 123 // pre-empted, lost or started more than once
	exitLimit    = 124 // lifetime, lease or budget
	exitRunctl   = 125 // runctl failed or its usage is wrong; nothing bills
	exitNotExec  = 126
	exitNotFound = 127
	exitCtrlC    = 130
	exitTerm     = 143
)

// signalExit is the exit code when a signal made us stop.
func signalExit(s os.Signal) int {
	if s == os.Interrupt {
		return exitCtrlC
	}
	return exitTerm
}

// Exit codes of all other commands.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSSH    = 255 // of ssh, whose other codes are the command's
)

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exitError ends the command with a code. Without an error in it everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// explained is an error in our words, with the cause kept for JSON.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// followsRun marks the commands whose exit code is the job's.
const followsRun = "follows a run"

// failsWith is the exit code of a command's own failures, where it is another than usual.
const failsWith = "fails with"

// inFlags are the flags for what the library calls by the names of its fields.
var inFlags = strings.NewReplacer("Job.SecretsOnFirstUse", "--secrets-on-first-use", "Job.Secrets", "--secret", "Job.Lease", "--lease",
	"Job.Inputs", "--input", "Job.Results", "--result", "Job.Checkpoints", "--checkpoints", "Job.Resume", "--resume")

// report says what went wrong and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var u *usageError
	var x *exitError
	follows := cmd != nil && cmd.Annotations[followsRun] != ""
	switch {
	case errors.As(err, &x):
		code = x.code
	case follows && mayBill(err):
		code = exitDoubt
	case follows:
		code = exitRunctl
	case cmd != nil && cmd.Annotations[failsWith] != "":
		code, _ = strconv.Atoi(cmd.Annotations[failsWith])
	case errors.As(err, &u):
		code = exitUsage
	}
	if x != nil && x.err == nil {
		return code
	}
	if a.opt.json {
		a.say.object(errorJSON(err))
	} else {
		a.say.print(inFlags.Replace(err.Error()))
	}
	return code
}

// mayBill reports whether a machine may be left billing behind an error.
func mayBill(err error) bool {
	if errors.Is(err, runctl.ErrUncertain) {
		return true
	}
	found := false
	walk(err, func(e *runctl.Error) { found = found || e.MayBill })
	return found
}

// walk visits every *runctl.Error within err.
func walk(err error, visit func(*runctl.Error)) {
	if e, ok := err.(*runctl.Error); ok {
		visit(e)
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if next := u.Unwrap(); next != nil {
			walk(next, visit)
		}
	case interface{ Unwrap() []error }:
		for _, next := range u.Unwrap() {
			walk(next, visit)
		}
	}
}

// jobExit is the exit code that a receipt stands for.
func jobExit(r runctl.Receipt) int {
	switch r.Cause {
	case runctl.CauseLifetime, runctl.CauseLease, runctl.CauseBudget:
		return exitLimit
	case runctl.CausePreempted, runctl.CauseAgain:
		return exitLost
	case runctl.CauseNotFound:
		return exitNotFound
	case runctl.CauseNotExec:
		return exitNotExec
	}
	if r.ExitCode == 0 && !r.Succeeded() {
		return exitCtrlC // cancelled, and it left with 0 all the same
	}
	return r.ExitCode
}

// outcome is a receipt in one word, for records and JSON.
func outcome(r runctl.Receipt) string {
	switch r.Cause {
	case runctl.CauseExit:
		if r.ExitCode == 0 {
			return "succeeded"
		}
		return "failed"
	case runctl.CauseSignal:
		return "failed"
	case runctl.CauseNotFound:
		return "not found"
	case runctl.CauseNotExec:
		return "not executable"
	case runctl.CauseCancel:
		return "cancelled"
	case runctl.CauseLifetime, runctl.CauseLease, runctl.CauseBudget:
		return "ended by " + string(r.Cause)
	case runctl.CausePreempted:
		return "pre-empted"
	case runctl.CauseAgain:
		return "started more than once"
	}
	return "failed"
}
