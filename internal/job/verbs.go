package job

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWait bounds one blocking call, so that an idle connection is used again before somebody cuts it.
const maxWait = 50 * time.Second

// Start starts the run and returns once the machine has taken it over: from then on it needs nobody. A
// *Refused or *Used means that this call started nothing. After any other error it is not known whether the
// run started; the same call again finds out, and never starts a second one.
func Start(ctx context.Context, m Machine, s Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	text := formatSpec(s)
	lines, err := ask(ctx, m, text, "start", s.Run, s.Digest, strconv.Itoa(len(text)))
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindStarted) {
		err = errDamaged
	}
	return err
}

// Inspect takes one look at a run. An id that never ran here is PhaseNone, not an error. When only the held
// exit status of a run is left, the look itself has the receipt written.
func Inspect(ctx context.Context, m Machine, run string) (Status, error) {
	return status(ctx, m, run, "status", run)
}

// Wait returns when the run has ended for any reason, or after upTo with the status of that moment. It is
// one blocking call for each 50 s.
func Wait(ctx context.Context, m Machine, run string, upTo time.Duration) (Status, error) {
	deadline := time.Now().Add(upTo)
	for {
		left := max(min(time.Until(deadline), maxWait), 0)
		s, err := status(ctx, m, run, "wait", run, strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10))
		if err != nil || s.Phase.Over() || !time.Now().Before(deadline) {
			return s, err
		}
	}
}

// Over reports whether nothing of the run is left to wait for: done, lost or none.
func (p Phase) Over() bool { return p == PhaseDone || p == PhaseLost || p == PhaseNone }

func status(ctx context.Context, m Machine, run string, verb ...string) (Status, error) {
	if !validRun(run) {
		return Status{}, &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	}
	lines, err := ask(ctx, m, nil, verb...)
	if err != nil {
		return Status{}, err
	}
	all, err := parseStatuses(lines)
	if err == nil && (len(all) != 1 || all[0].Run != run) {
		err = errDamaged
	}
	if err != nil {
		return Status{}, err
	}
	return all[0], nil
}

// List returns every run that ever started on the machine, in the order of their ids.
func List(ctx context.Context, m Machine) ([]Status, error) {
	lines, err := ask(ctx, m, nil, "list")
	if err != nil {
		return nil, err
	}
	all, err := parseStatuses(lines)
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Run, b.Run) })
	return all, err
}

// Cancel asks the run to end: TERM to its process group, KILL after grace. It returns when the supervisor has
// begun, not when the run has ended. Grace 0 kills at once, a negative one is the spec's own; of several
// cancels the shortest grace holds. An ended run is nil.
func Cancel(ctx context.Context, m Machine, run string, grace time.Duration) error {
	if !validRun(run) {
		return &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	}
	word := "spec"
	if grace >= 0 {
		word = strconv.FormatInt(ceilMilli(min(grace, maxDuration)), 10)
	}
	lines, err := ask(ctx, m, nil, "cancel", run, word)
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindCancelled) {
		err = errDamaged
	}
	return err
}

// CheckpointDir is where a run's checkpoints lie below the machine's root when its spec names no other place.
func CheckpointDir(root, run string) string { return path.Join(root, "run", run, "job", "checkpoints") }
