package runpod

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"runctl"
	"runctl/internal/job"
	"runctl/internal/newborn"
)

// process is the run of a pod that was launched with its job. All that it knows is in the pod's record and log.
type process struct {
	p          *Provider
	id         string
	run, nonce string
	born       time.Time // by RunPod's clock

	mu   sync.Mutex
	seen bool         // the pod's record was read: from then on its absence may mean its end
	away time.Time    // since when RunPod has not known the pod; zero: it does
	head []*job.Birth // the container's first start, once it is known
	wait *reader      // of Wait, while nobody uses it
	logs *reader      // of Logs, likewise
}

// tailLines is how far back a look at a run goes: our first process prints a line each minute, and after the job's end
// each half a minute.
const tailLines = 1000

// Process implements [runctl.JobRunner]. All that is needed to follow the job is in the pod's own record, so any process
// of the owner may.
func (p *Provider) Process(ctx context.Context, i runctl.Instance) (runctl.Process, error) {
	v, ok := i.Native.(*Pod)
	seen := false
	if !ok || v.ID != i.ID || v.Env[nonceEnv] == "" {
		var err error
		if v, _, err = p.pod(ctx, i.ID); err != nil {
			return nil, err
		}
		seen = true
	}
	r := &process{p: p, id: v.ID, run: v.Env[runEnv], nonce: v.Env[nonceEnv], born: v.CreatedAt, seen: seen || over[v.Status] || v.Status == "RUNNING"}
	if r.run == "" || r.nonce == "" {
		return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrInvalid, Msg: "the pod was not launched with a job by runctl"}
	}
	return r, nil
}

// record reads the pod's record. gone: RunPod knew it before, and has said twice, some time apart, that it does not any more.
func (r *process) record(ctx context.Context) (v *Pod, now time.Time, gone bool, err error) {
	v, reply, err := r.p.pod(ctx, r.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.seen, r.away = r.seen || over[v.Status] || v.Status == "RUNNING", time.Time{}
		return v, reply.Date, v.Status == "TERMINATED", nil
	case !errors.Is(err, runctl.ErrNotFound):
	case r.seen && !r.away.IsZero() && time.Since(r.away) >= patient.gone:
		return nil, reply.Date, true, nil
	case r.seen: // one such answer proves nothing: other servers of theirs may know it
		if r.away.IsZero() {
			r.away = time.Now()
		}
		err = &runctl.Error{ID: r.id, Kind: runctl.ErrUnavailable, Err: newborn.NotYet(err), Msg: "RunPod does not know the pod, which it did before; that counts when it says so again"}
	default: // so it is just after a launch
		err = &runctl.Error{ID: r.id, Kind: runctl.ErrUnavailable, Err: err, Msg: "RunPod does not show the pod yet"}
	}
	return nil, time.Time{}, false, err
}

// Status implements [runctl.Process]: the record, and what the log says.
func (r *process) Status(ctx context.Context) (runctl.Status, error) {
	s, _, err := r.look(ctx)
	return s, err
}

// look is one look. final: it stays as it is.
func (r *process) look(ctx context.Context) (s runctl.Status, final bool, err error) {
	v, _, gone, err := r.record(ctx)
	switch {
	case err != nil:
		return s, false, err
	case gone:
		return dead("RunPod no longer knows the pod: somebody deleted it, or the balance was used up"), true, nil
	case !over[v.Status] && v.Status != "RUNNING":
		return runctl.Status{Evidence: "the pod is " + v.Status, At: time.Now(), LogBytes: -1}, false, nil
	}
	tail := r.p.tail(r.id, r.nonce, tailLines)
	if err = r.meet(ctx); err == nil && r.met() {
		err = tail.snapshot(ctx, nil)
	}
	if err != nil && !over[v.Status] {
		return s, false, err
	}
	s, final = r.concluded(tail.journal)
	if !final && over[v.Status] {
		if err != nil { // the log may come back, but the job will not
			return s, false, err
		}
		return dead("RunPod shows the pod as " + v.Status + ", and its log has no receipt"), true, nil
	}
	return s, final, nil
}

func dead(evidence string) runctl.Status {
	return runctl.Status{Live: runctl.Dead, Evidence: evidence, At: time.Now(), LogBytes: -1}
}

// meet looks for the container's first start, at the beginning of the log: one that was started again may have
// printed so much since that its tail does not show it.
func (r *process) meet(ctx context.Context) error {
	if r.met() {
		return nil
	}
	first := r.p.from(r.id, r.nonce, r.born)
	err := first.snapshot(ctx, func(j *job.Journal) bool { return len(j.Births()) > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head = first.journal.Births()
	return err
}

func (r *process) met() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head != nil
}

func (r *process) concluded(j *job.Journal) (runctl.Status, bool) {
	r.mu.Lock()
	head := r.head
	r.mu.Unlock()
	return conclude(r.run, together(head, j.Births()))
}

// Wait implements [runctl.Process] with one stream of the pod's log. When nothing comes for longer than our first
// process is ever silent, the pod's record is read, and the stream is asked for anew.
func (r *process) Wait(ctx context.Context) (runctl.Status, error) {
	own := r.take(&r.wait)
	if own == nil {
		own = r.p.tail(r.id, r.nonce, tailLines)
	}
	defer r.give(&r.wait, own)
	for {
		v, _, gone, err := r.record(ctx)
		if err != nil {
			return runctl.Status{}, err
		}
		if gone || over[v.Status] {
			s, _, err := r.look(ctx)
			return s, err
		}
		if v.Status == "RUNNING" {
			if err := r.meet(ctx); err != nil {
				return runctl.Status{}, err
			}
		}
		for l, err := range own.lines(ctx, func() time.Duration { return patient.silence }) {
			if errors.Is(err, errQuiet) {
				break
			}
			if err != nil {
				return runctl.Status{}, err
			}
			own.journal.Line(l.Text)
			if s, final := r.concluded(own.journal); final {
				return s, nil
			}
		}
	}
}

// take gives a reader to one caller; nil: there is none, or another has it.
func (r *process) take(place **reader) *reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := *place
	*place = nil
	return own
}

func (r *process) give(place **reader, own *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*place = own
}

// Logs implements [runctl.Process]. RunPod keeps lines and loses some under load: our first process says between them which
// bytes they were, so every byte has its place, and what is missing is named.
func (r *process) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return func(yield func(runctl.LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(runctl.LogChunk{}, invalid("LogQuery.Offset: %d: must not be negative", q.Offset))
			return
		}
		own := r.take(&r.logs)
		if own == nil || own.journal.Next() != q.Offset || q.Offset == 0 {
			own = r.p.from(r.id, r.nonce, r.born)
		}
		defer r.give(&r.logs, own)
		if err := r.read(ctx, own, q, func(c runctl.LogChunk) bool { return yield(c, nil) }); err != nil {
			yield(runctl.LogChunk{Offset: own.journal.Next()}, err)
		}
	}
}

// read is Logs with one reader. It ends when the log was given to the job's end, when the pod has ended, and without
// Follow when all was given that there was at the beginning.
func (r *process) read(ctx context.Context, own *reader, q runctl.LogQuery, give func(runctl.LogChunk) bool) error {
	for !own.journal.Whole() {
		v, now, gone, err := r.record(ctx)
		switch {
		case err != nil:
			return err
		case gone:
			return &runctl.Error{ID: r.id, Kind: runctl.ErrNotFound, Msg: "RunPod no longer knows the pod, nor its log"}
		}
		ended := over[v.Status]
		some := false
		wait := func() time.Duration {
			switch {
			case q.Follow && !ended:
				return patient.silence
			case some:
				return patient.quiet
			}
			return patient.first
		}
		for l, err := range own.lines(ctx, wait) {
			if errors.Is(err, errQuiet) || err == errEnded && ended {
				break
			}
			if err != nil {
				return err
			}
			some = true
			for _, piece := range own.journal.Line(l.Text) {
				if c, ok := chunk(piece, q.Offset); ok && !give(c) {
					return nil
				}
			}
			t, bad := time.Parse(time.RFC3339Nano, l.TS)
			if own.journal.Whole() || !q.Follow && bad == nil && !now.IsZero() && t.After(now.Add(2*time.Second)) {
				return nil
			}
		}
		if ended || !q.Follow {
			return nil
		}
	}
	return nil
}

// chunk is the part of a piece from an offset on; false: there is none.
func chunk(p job.Piece, offset int64) (runctl.LogChunk, bool) {
	end := p.Offset + int64(len(p.Data))
	if end < offset || end == offset && p.Lost == 0 {
		return runctl.LogChunk{}, false
	}
	if skip := offset - p.Offset; skip > 0 {
		return runctl.LogChunk{Offset: offset, Data: p.Data[skip:]}, true
	}
	if p.Lost > p.Offset-offset {
		p.Lost = p.Offset - offset
	}
	return runctl.LogChunk{Offset: p.Offset, Data: p.Data, Lost: p.Lost}, len(p.Data) > 0 || p.Lost != 0
}

// Cancel implements [runctl.Process] by stopping the pod: RunPod sends TERM to its first process, which ends the job
// with the job's own grace, whatever grace is asked for here, and then prints the receipt. How long RunPod waits before
// it ends the container is not documented: a job that takes longer leaves no receipt. A run that has ended is left alone.
func (r *process) Cancel(ctx context.Context, _ time.Duration) error {
	s, final, err := r.look(ctx)
	if err == nil && (final || s.Receipt != nil) {
		return nil
	}
	return r.p.Stop(ctx, r.id)
}

var _ runctl.JobRunner = (*Provider)(nil)
