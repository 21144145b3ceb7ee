package runctl

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"time"

	"runctl/internal/job"
)

// shellProcess is a run on the shell road: the supervisor's verbs over a machine, seen as a Process.
type shellProcess struct {
	c    *Client
	a    *account
	inst Instance
	run  string

	lease lease
}

// waitSlice bounds one blocking wait on a machine, so that a connection that died silently is noticed.
const waitSlice = 5 * time.Minute

// on runs f with the machine's connection. A connection on which f failed for reasons of its own is dropped.
func (p *shellProcess) on(ctx context.Context, f func(job.Machine) error) error {
	m, w, err := p.c.wired(ctx, p.a, p.inst)
	if err != nil {
		return err
	}
	err = f(m)
	var used *job.Used
	var refused *job.Refused
	var gap *job.Gap
	var field *job.FieldError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, job.ErrNoRun):
		return p.fail(ErrNotFound, "the machine knows no run of this id", err)
	case errors.As(err, &used):
		return p.fail(ErrConflict, "the run's id was used for a different job; choose another", nil)
	case errors.As(err, &refused):
		return p.fail(ErrConflict, "the machine refused the job", err)
	case errors.As(err, &field):
		return p.fail(ErrInvalid, "Job."+field.Field+": "+field.Problem, nil)
	case errors.As(err, &gap):
		return err
	case kindOf(err) == ErrInvalid: // it was this side's, and the connection is as good as it was
		return p.fail(ErrInvalid, "", err)
	}
	if ctx.Err() == nil {
		p.a.wires.dropBroken(p.inst.ID, w)
	}
	if kindOf(err) == ErrClosed && !p.a.wires.over() { // another call found it broken, and the next one gets a new connection
		return p.fail(ErrUnavailable, "the connection was cut under another call", nil)
	}
	return p.fail(kindOr(err, ErrUnavailable), "the machine did not answer", err)
}

// within is on with a deadline of its own: a machine that hangs is not waited for longer than it was asked to
// block.
func (p *shellProcess) within(ctx context.Context, blocks time.Duration, f func(context.Context, job.Machine) error) error {
	return p.on(ctx, func(m job.Machine) error {
		own, cancel := context.WithTimeout(ctx, blocks+p.lease.within(p.c.cfg.Deadlines.Call))
		defer cancel()
		return f(own, m)
	})
}

func kindOr(err error, k Kind) Kind {
	if own := kindOf(err); own != "" {
		return own
	}
	if errors.Is(err, context.Canceled) {
		return ""
	}
	return k
}

func (p *shellProcess) fail(k Kind, msg string, err error) error {
	return &Error{Provider: p.a.info.Name, Op: "exec", ID: p.inst.ID, Key: p.run, Kind: k, Err: err, Msg: msg}
}

// start hands the job over. Repeating it finds the same run.
func (p *shellProcess) start(ctx context.Context, j Job, digest string) error {
	spec, err := p.spec(j, digest)
	if err != nil {
		return err
	}
	if err := p.carried(ctx, j, &spec); err != nil && !p.begun(ctx) {
		return err
	}
	return p.within(ctx, 0, func(ctx context.Context, m job.Machine) error { return job.Start(ctx, m, spec) })
}

// begun reports whether the machine has started the run: what it had to fetch may be gone by now, and need not be there.
func (p *shellProcess) begun(ctx context.Context) bool {
	s, err := p.Status(ctx)
	return err == nil && (s.Live == Alive || s.Receipt != nil)
}

// spec translates a job for the supervisor. Secrets are revealed here, and travel on the connection's
// standard input only.
func (p *shellProcess) spec(j Job, digest string) (job.Spec, error) {
	s := job.Spec{Run: j.ID, Digest: digest, Argv: j.Args, Dir: filepath.ToSlash(j.Dir), Env: maps.Clone(j.Env), Grace: j.Grace,
		Limit: p.remaining(), Lease: j.Lease, Shared: j.Shared, Attempt: max(j.Attempt, 1), Resume: j.Resume}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	if j.Limit > 0 {
		s.Limit = min(s.Limit, j.Limit)
	}
	if j.Code != nil {
		s.Code = j.Code.Digest()
	} else if p.a.info.InPlace {
		dir, err := filepath.Abs(j.Dir)
		if err != nil {
			return s, invalid("Job.Dir", "%v", err)
		}
		s.Dir = dir
	}
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	for name, secret := range j.Secrets {
		v, err := secret.Reveal()
		if err != nil {
			return s, err
		}
		s.Env[name] = v
	}
	return s, nil
}

// remaining is what is left of the machine's lifetime, at least a second.
func (p *shellProcess) remaining() time.Duration {
	return max(p.inst.Mark.Lifetime-max(p.inst.Age(), 0), time.Second)
}

func (p *shellProcess) Status(ctx context.Context) (Status, error) {
	s, _, err := p.inspect(ctx)
	return s, err
}

func (p *shellProcess) inspect(ctx context.Context) (Status, job.Status, error) {
	return p.look(ctx, 0, func(ctx context.Context, m job.Machine) (job.Status, error) { return job.Inspect(ctx, m, p.run) })
}

// Wait blocks on the machine, a slice at a time. What it saw at the end of a slice renews the run's lease for the next.
func (p *shellProcess) Wait(ctx context.Context) (Status, error) {
	for first := true; ; first = false {
		slice := p.lease.within(waitSlice)
		if first && !p.lease.none() {
			slice = 0 // a look, to renew it at once
		}
		s, seen, err := p.look(ctx, slice, func(ctx context.Context, m job.Machine) (job.Status, error) {
			return job.Wait(ctx, m, p.run, slice)
		})
		if err != nil || s.Receipt != nil || s.Live == Dead {
			return s, err
		}
		if err := context.Cause(ctx); err != nil {
			return s, err
		}
		p.renew(ctx, seen)
		if s.Live != Alive { // nothing holds the call back: do not spin
			if err := sleep(ctx, time.Second); err != nil {
				return s, err
			}
		}
	}
}

func (p *shellProcess) look(ctx context.Context, blocks time.Duration, f func(context.Context, job.Machine) (job.Status, error)) (Status, job.Status, error) {
	var js job.Status
	err := p.within(ctx, blocks, func(ctx context.Context, m job.Machine) (err error) { js, err = f(ctx, m); return err })
	if err != nil {
		return Status{Evidence: err.Error(), At: time.Now(), LogBytes: -1}, js, err
	}
	p.lease.set(js.Lease)
	s := Status{Evidence: text(js.Evidence), At: time.Now(), LogBytes: js.LogBytes}
	switch js.Phase {
	case job.PhaseNone:
		return s, js, p.fail(ErrNotFound, "the run was never started on this machine", nil)
	case job.PhaseRunning, job.PhaseOrphaned:
		s.Live = Alive
	case job.PhaseDone:
		s.Live = Dead
	case job.PhaseLost:
		s.Live = Dead
		return s, js, nil
	}
	if r := js.Receipt; r != nil && js.Phase == job.PhaseDone {
		s.Receipt = p.receipt(*r)
	}
	return s, js, nil
}

func (p *shellProcess) receipt(r job.Receipt) *Receipt {
	own := checkReceipt(Receipt{Run: p.run, Source: r.Source, ExitCode: r.Code, Signal: r.Signal, Cause: Cause(r.Cause),
		Checkpoint: r.Checkpoint, Started: r.Started, Ended: r.Ended, LogBytes: r.LogBytes})
	return &own
}

func (p *shellProcess) Cancel(ctx context.Context, grace time.Duration) error {
	if grace == 0 {
		grace = -1 // the job's own
	}
	return p.within(ctx, 0, func(ctx context.Context, m job.Machine) error { return job.Cancel(ctx, m, p.run, grace) })
}

// Logs streams the run's output. The reader's pace is the stream's: nothing is buffered beyond one chunk. A
// followed stream is opened anew every waitSlice, so that a connection that died silently cannot end it; beside it
// the run's lease is renewed, also while the reader pauses.
func (p *shellProcess) Logs(ctx context.Context, q LogQuery) iter.Seq2[LogChunk, error] {
	return func(yield func(LogChunk, error) bool) {
		if q.Follow {
			defer p.attend(ctx)()
		}
		for next := q.Offset; ; {
			own, cancel := context.WithTimeout(ctx, waitSlice)
			more := true
			err := p.stream(own, LogQuery{Offset: next, Follow: q.Follow}, func(c LogChunk) bool {
				next = c.Offset + int64(len(c.Data))
				more = yield(c, nil)
				return more
			})
			sliced := own.Err() != nil && ctx.Err() == nil
			cancel()
			switch {
			case !more || err == nil:
				return
			case !sliced:
				yield(LogChunk{Offset: next}, err)
				return
			}
		}
	}
}

// stream yields one connection's worth of the log. A goroutine writes to a pipe, and has ended on return.
func (p *shellProcess) stream(ctx context.Context, q LogQuery, yield func(LogChunk) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(p.on(ctx, func(m job.Machine) error {
			_, err := job.Log(ctx, m, p.run, q.Offset, q.Follow, pw)
			return err
		}))
	}()
	defer func() { cancel(); pr.Close(); <-done }()
	offset, buf := q.Offset, make([]byte, 128<<10)
	for {
		n, err := pr.Read(buf)
		if n > 0 {
			if !yield(LogChunk{Offset: offset, Data: buf[:n]}) {
				return nil
			}
			offset += int64(n)
		}
		var gap *job.Gap
		switch {
		case err == io.EOF: // all was delivered
			return nil
		case errors.As(err, &gap): // the log is shorter than what we have seen of it
			yield(LogChunk{Offset: offset, Lost: -1})
			return nil
		case err != nil:
			return err
		}
	}
}
