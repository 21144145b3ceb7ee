package acme

import (
	"context"
	"fmt"
	"iter"
	"time"

	"runctl"
)

// process is the read side of a machine's job. Acme holds a request until there is something to say, so
// nothing here polls.
type process struct {
	p  *Provider
	id string
}

// Process implements runctl.JobRunner.
func (p *Provider) Process(_ context.Context, i runctl.Instance) (runctl.Process, error) {
	return &process{p, i.ID}, nil
}

// command is the part of a launch request that says what to run.
func command(j *runctl.Job) (map[string]any, error) {
	env := map[string]string{}
	for name, value := range j.Env {
		env[name] = value
	}
	for name, s := range j.Secrets {
		value, err := s.Reveal()
		if err != nil {
			return nil, err
		}
		env[name] = value
	}
	return map[string]any{"args": j.Args, "image": j.Image, "env": env}, nil
}

// Status implements runctl.Process.
func (j *process) Status(ctx context.Context) (runctl.Status, error) { return j.look(ctx, "/job") }

// Wait implements runctl.Process.
func (j *process) Wait(ctx context.Context) (runctl.Status, error) { return j.look(ctx, "/job?hold=1") }

func (j *process) look(ctx context.Context, what string) (runctl.Status, error) {
	var job struct {
		State     string // runs, exited, cancelled
		Exit      int
		Bytes     int64
		From, Til time.Time
	}
	if _, err := j.p.call(ctx, "GET", path(j.id)+what, nil, &job); err != nil {
		return runctl.Status{}, err
	}
	s := runctl.Status{Evidence: "acme says " + job.State, At: time.Now(), LogBytes: job.Bytes}
	cause, ended := map[string]runctl.Cause{"exited": runctl.CauseExit, "cancelled": runctl.CauseCancel}[job.State]
	switch {
	case ended:
		s.Live = runctl.Dead
		s.Receipt = &runctl.Receipt{Source: "acme", ExitCode: job.Exit, Cause: cause, Started: job.From, Ended: job.Til, LogBytes: job.Bytes}
	case job.State == "runs":
		s.Live = runctl.Alive
	}
	return s, nil
}

// Logs implements runctl.Process. A reply has what follows the offset; the last one says so.
func (j *process) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return func(yield func(runctl.LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(runctl.LogChunk{}, &runctl.Error{Kind: runctl.ErrInvalid, Msg: "acme: the offset is negative"})
			return
		}
		for at := q.Offset; ; {
			var part struct {
				Data []byte // base64 in JSON
				Last bool
			}
			if _, err := j.p.call(ctx, "GET", fmt.Sprintf("%s/log?from=%d&hold=%t", path(j.id), at, q.Follow), nil, &part); err != nil {
				yield(runctl.LogChunk{}, err)
				return
			}
			if len(part.Data) > 0 && !yield(runctl.LogChunk{Offset: at, Data: part.Data}, nil) {
				return
			}
			at += int64(len(part.Data))
			if part.Last || !q.Follow && len(part.Data) == 0 {
				return
			}
		}
	}
}

// Cancel implements runctl.Process.
func (j *process) Cancel(ctx context.Context, grace time.Duration) error {
	_, err := j.p.call(ctx, "POST", fmt.Sprintf("%s/cancel?grace=%d", path(j.id), int(grace.Seconds())), nil, nil)
	return err
}

var _ runctl.JobRunner = (*Provider)(nil)
