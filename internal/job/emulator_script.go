package job

import "time"

// Script says what an emulated job does, by the clock since its start. The zero value ends at once with
// code 0 and no output.
type Script struct {
	// Log is the whole output. Line i of n is there at (i+1)/n of Duration, and never in part.
	Log string
	// Duration is how long the job runs when nobody interferes. 0: it ends at once, with all of Log.
	Duration time.Duration
	// Spread is what the lines of Log are spread over; 0: Duration, below 0: they are all there at once.
	Spread time.Duration
	// Hold keeps the job running after Duration until [Emulator.Finish], its limit or a cancel.
	Hold bool

	ExitCode int    // of a job that ends by itself
	Signal   string // without SIG: the job dies of it instead of exiting, with code 128+its number; ExitCode if the name is unknown
	Cause    string // of a job that ends by itself, such as notfound; empty: exit, or signal when Signal is set

	Checkpoints []Checkpoint      // committed on the way, in order of At
	Outputs     map[string]string // relative path to content: what get sends

	// SaveTime is how long the job goes on after TERM before it exits with SaveCode; log and checkpoints
	// go on too. 0: it dies of TERM at once. Longer than the grace: KILL ends it.
	SaveTime time.Duration
	SaveCode int
	// IgnoreTerm lets the job go on after TERM as if nothing had come: KILL ends it when the grace is
	// over, unless it ended by itself before.
	IgnoreTerm bool
}

// Checkpoint is one that an emulated job commits.
type Checkpoint struct {
	At   time.Duration // since the job's start
	Name string        // relative to the checkpoint directory
}

// signals are the numbers of the signals that a script may name, on Linux.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "XCPU": 24, "XFSZ": 25,
}
