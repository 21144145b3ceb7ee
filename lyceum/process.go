package lyceum

import (
	"context"
	"errors"
	"sync"
	"time"

	"runctl"
)

// process is the job of one run. What it is and how it ended stands in Lyceum's record; the stream only says when to look.
type process struct {
	p    *Provider
	name string
	url  string // of the stream, as the submission's reply has it; empty: not told

	mu     sync.Mutex
	asked  bool   // Cancel was accepted
	method string // that the stream takes; empty: not known
	live   bool   // a stream has only what comes after its opening
	mark   mark   // of what Logs gave
}

// patience is how long a reader of a run waits.
type patience struct {
	silence time.Duration // a stream that is held says nothing: then the record is looked at
	poll    time.Duration // between two looks at what there is of the log, where there is no stream
	again   time.Duration // before a stream that was cut is opened again
	settle  time.Duration // after the run's end the store of logs may not have all
	looks   int           // at the record, after the stream has said that the run is over
	first   time.Duration // between two of those; doubled each time
}

var patient = patience{silence: time.Minute, poll: 5 * time.Second, again: time.Second, settle: 10 * time.Second, looks: 5, first: 100 * time.Millisecond}

// Process implements [runctl.JobRunner], without a request.
func (p *Provider) Process(_ context.Context, i runctl.Instance) (runctl.Process, error) {
	run, name, err := parseID(i.ID)
	if err != nil {
		return nil, err
	}
	if !run {
		return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrInvalid, Msg: "the machine was not launched with a job: its jobs are followed over SSH"}
	}
	r := &process{p: p, name: name}
	if is, ok := i.Native.(*Run); ok && string(is.ID) == name {
		r.url = string(is.StreamURL)
	}
	return r, nil
}

// Status implements [runctl.Process]: the record.
func (r *process) Status(ctx context.Context) (runctl.Status, error) {
	s, _, err := r.look(ctx)
	return s, err
}

// look is one look at the record. final: it stays as it is.
func (r *process) look(ctx context.Context) (s runctl.Status, final bool, err error) {
	is, _, err := r.p.run(ctx, r.name)
	switch {
	case errors.Is(err, runctl.ErrNotFound):
		return runctl.Status{Live: runctl.Dead, Evidence: "Lyceum does not know the run: its record was deleted", At: time.Now(), LogBytes: -1}, true, nil
	case err != nil:
		return s, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, final = is.conclude(r.asked)
	return s, final, nil
}

// Wait implements [runctl.Process] with one held stream. When that is over or cut, or has been silent for long, the record is
// read: nothing but that tells how a run has ended.
func (r *process) Wait(ctx context.Context) (runctl.Status, error) {
	looks, over := 0, false
	for {
		s, final, err := r.look(ctx)
		switch {
		case err != nil || final:
			return s, err
		case over && looks == patient.looks:
			return runctl.Status{}, &runctl.Error{ID: runPrefix + r.name, Kind: runctl.ErrUnavailable, Msg: "the run's stream has ended, and by its record the run goes on"}
		case over:
			if err := pause(ctx, patient.first<<looks); err != nil {
				return runctl.Status{}, err
			}
			looks++
			continue
		}
		over, err = r.hold(ctx)
		if err != nil { // its end and the stream's may have been one
			if s, final, look := r.look(ctx); look == nil && final {
				return s, nil
			}
			return runctl.Status{}, err
		}
	}
}

// hold reads the stream until it is over, or silent for long, which is false.
func (r *process) hold(ctx context.Context) (over bool, err error) {
	for e, err := range r.events(ctx) {
		switch {
		case errors.Is(err, errQuiet):
			return false, nil
		case err != nil:
			return false, err
		case e.over:
			return true, nil
		}
	}
	return true, nil
}

// Cancel implements [runctl.Process] by an abort, which is under way when it returns. A container gets the grace that the job
// was launched with, whatever is asked for here. A run that has ended is left alone.
func (r *process) Cancel(ctx context.Context, _ time.Duration) error {
	accepted, err := r.p.abort(ctx, r.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = r.asked || accepted
	return err
}

// pause waits for d or the context.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

var _ runctl.JobRunner = (*Provider)(nil)
