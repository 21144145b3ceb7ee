package job

import (
	"context"
	"io"
	"time"
)

// Machine is whatever runs an argument list. Concurrent calls are allowed. A process that ended, whatever
// its code, is a nil error; an error means that nobody knows what became of it.
type Machine interface {
	Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error)
}

// Spec is one run: what to start, where, and for how long.
type Spec struct {
	// Run is the run's id on its machine, [a-z0-9-]{1,64}, used once. Digest says what the run is: a
	// repeated start with the same Run and Digest succeeds without a second job, another Digest is *Used.
	Run, Digest string
	Argv        []string // the program and its arguments; never a shell
	// Dir is the working directory: absolute (used in place, must exist), or relative inside the run's own
	// work directory (created); empty is the work directory itself.
	Dir string
	// Code is the digest of a tree that the machine has, see [PutCode]: the run's work directory is a fresh copy of
	// it, verified before the job begins, and Dir is relative and must exist in it. Empty: none.
	Code string
	// Env is added to the job's environment. Names are shell names; those that a shell keeps for itself,
	// RUNCTL_* and sp_* are refused. It travels on stdin and rests only in a 0600 file that is unlinked
	// before the job's first instruction.
	Env     map[string]string
	Grace   time.Duration // from TERM to KILL; 0: 30 s
	Limit   time.Duration // hard lifetime of the run by the machine's uptime; 0: none
	Lease   time.Duration // ends the run, with its grace, when nobody has renewed it for so long (see Renew); 0: none
	Shared  bool          // run beside others; a machine takes one unshared run at a time
	Attempt int           // counts from 1; 0: 1
	Resume  string        // RUNCTL_RESUME, absolute; empty: not set
	// CheckpointDir and OutputDir are absolute; empty: inside the run's own directory.
	CheckpointDir, OutputDir string
}

// Phase is a reader's verdict on a run. Only PhaseDone comes with a receipt.
type Phase string

// The phases.
const (
	PhaseRunning  = Phase("running")  // its supervisor lives
	PhaseDone     = Phase("done")     // it ended, and the receipt says how
	PhaseLost     = Phase("lost")     // it began, and nobody can ever say how it ended; never rerun by itself
	PhaseOrphaned = Phase("orphaned") // the supervisor was killed, the job goes on; its code is still readable
	PhaseNone     = Phase("none")     // it never started on this machine, and is safe to start elsewhere
	PhaseUnknown  = Phase("unknown")  // the evidence contradicts itself: a receipt although the job is alive
)

// Status is one look at a run.
type Status struct {
	Run      string
	Phase    Phase
	Evidence string        // what was seen, for a person
	Up       time.Duration // the machine's uptime at the look; comparable with itself only
	LogBytes int64         // bytes of log so far; -1: the log is gone
	Lease    time.Duration // what the run asked for; 0: none
	Receipt  *Receipt      // set exactly in PhaseDone
}

// Receipt is the proof that a run has ended: written once, when the job's process group was empty or had
// been killed.
type Receipt struct {
	Run        string
	Source     string // "supervisor"
	Cause      string // exit, signal, cancel, lifetime, lease, preempted, notfound (code 127), notexec (code 126), again
	Signal     string // without SIG, such as KILL; "?": a code that a signal may have made, or that nobody could read (255)
	Checkpoint string // what RUNCTL_CHECKPOINT_DIR/latest named; empty: nothing, or nothing valid
	Code       int    // 0–255; 128+N when signal N ended the job
	Started    time.Time
	Ended      time.Time // both by the machine's clock, whole seconds
	LogBytes   int64     // the log's final length; -1: the log is gone
	Stragglers int       // marked processes outside the group that had to be ended
	End        string    // how far the ending had to go: EndSelf, EndTerm, EndKill
}

// What it took to empty the process group.
const (
	EndSelf = "self" // nothing
	EndTerm = "term" // TERM
	EndKill = "kill" // KILL, after the grace
)
