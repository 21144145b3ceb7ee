package job

import (
	"errors"
	"fmt"
)

// ErrNoRun means that the machine has no started run of that id.
var ErrNoRun = errors.New("job: no such run on this machine")

// The codes of [Refused].
const (
	RefusedRequest  = 64 // the verb or its arguments make no sense to the supervisor
	RefusedSpec     = 65 // the spec arrived cut or damaged, or the code on the machine does not verify
	RefusedDir      = 66 // the working directory does not exist, or no code of the spec's digest: send it again
	RefusedMachine  = 69 // the machine lacks something the supervisor needs
	RefusedNoSpace  = 74 // no room for the receipt
	RefusedBusy     = 75 // another run has the machine, or it is ending
	RefusedNotFound = 76 // the path asked for does not exist, leads out of the run, or is something else there
	RefusedLease    = 77 // the run has no lease to renew, it is ending, or the claim is not believable
	RefusedGuard    = 78 // the guard was armed with other values
	RefusedOver     = 79 // the run has ended, or works in place, and takes no files
)

// Refused is the machine's own answer that it did not do what was asked: the job certainly did not start.
// The same start may be tried again.
type Refused struct {
	Code   int
	Reason string
}

// Error says why.
func (e *Refused) Error() string { return fmt.Sprintf("job: refused (%d): %s", e.Code, e.Reason) }

// Used means that the run's id was used before, for a different job.
type Used struct{ Run string }

// Error names the run.
func (e *Used) Error() string { return fmt.Sprintf("job: run id %q was used for another job", e.Run) }

// Gap means that bytes of a log are gone for ever: the log is From bytes long although To bytes of it had
// been read before. The returned next offset is From.
type Gap struct{ From, To int64 }

// Error names the bytes.
func (e *Gap) Error() string {
	return fmt.Sprintf("job: the log shrank: bytes %d to %d are gone", e.From, e.To)
}

// FieldError says which field of a [Spec] or argument is wrong. Nothing was sent.
type FieldError struct{ Field, Problem string }

// Error names the field.
func (e *FieldError) Error() string { return "job: " + e.Field + ": " + e.Problem }
