package runctl

import "time"

// Liveness is what is known of a run: three values, because unreachable is not dead.
type Liveness uint8

// The three values. Only a receipt, or the cloud's own word that the machine is gone, makes Dead.
const (
	LiveUnknown Liveness = iota // not known; costs time, never a relaunch
	Alive
	Dead
)

// String returns "unknown", "alive" or "dead".
func (l Liveness) String() string { return [...]string{"unknown", "alive", "dead"}[min(l, 2)] }

// Cause says what ended a run.
type Cause string

// The causes. A receipt of a success has CauseExit and code 0.
const (
	CauseExit      = Cause("exit")      // the program returned
	CauseSignal    = Cause("signal")    // a signal that was not ours
	CauseNotFound  = Cause("notfound")  // there is no such command; code 127
	CauseNotExec   = Cause("notexec")   // the command cannot be run; code 126
	CauseCancel    = Cause("cancel")    // somebody cancelled it
	CauseLifetime  = Cause("lifetime")  // its lifetime, or the machine's, was over
	CauseLease     = Cause("lease")     // it asked for a lease and nobody renewed
	CauseBudget    = Cause("budget")    // its cost ceiling was reached
	CausePreempted = Cause("preempted") // the cloud took the spot machine back
	CauseAgain     = Cause("again")     // the program was started more than once, or may have been; it may go on
)

// Receipt is the proof that a run has ended: written atomically by the supervisor on the machine when
// the job's whole process group was empty or its grace was over, or the cloud's own terminal record with
// an exit code. Without one, nothing counts as finished.
type Receipt struct {
	Run        string    `json:"run"`                  // the run's id; a provider whose cloud does not keep it leaves it empty
	Source     string    `json:"source"`               // who says so: "supervisor" or the provider's name
	ExitCode   int       `json:"exit_code"`            // 0–255; 128+N when signal N ended it
	Signal     string    `json:"signal,omitempty"`     // without SIG, such as KILL; "?" when a signal is known but not which
	Cause      Cause     `json:"cause"`                // what ended it
	Checkpoint string    `json:"checkpoint,omitempty"` // the last committed one, relative to the checkpoint directory
	Started    time.Time `json:"started"`              // by the machine's clock
	Ended      time.Time `json:"ended"`                // by the machine's clock
	LogBytes   int64     `json:"log_bytes"`            // the log's final length; -1 unknown
}

// Succeeded reports whether the receipt says exit code 0 by the program's own return.
func (r Receipt) Succeeded() bool { return r.ExitCode == 0 && r.Cause == CauseExit }

// Status is one look at a run.
type Status struct {
	Live     Liveness  `json:"live"`
	Evidence string    `json:"evidence"`          // who saw what, for a person
	At       time.Time `json:"at"`                // when it was seen; its age is part of the evidence
	LogBytes int64     `json:"log_bytes"`         // bytes of log so far; -1 unknown
	Receipt  *Receipt  `json:"receipt,omitempty"` // nil: not known to have ended
}

// LogQuery asks for a run's log.
type LogQuery struct {
	Offset int64 // first byte wanted; negative is ErrInvalid
	Follow bool  // go on until the run has ended and every byte was given
}

// LogChunk is a piece of a run's log.
type LogChunk struct {
	Offset int64  // of Data's first byte in the whole log
	Data   []byte // valid until the next chunk
	Lost   int64  // bytes missing just before Data: 0 none, -1 an unknown number
}
