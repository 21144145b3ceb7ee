package toycloud

import (
	"context"
	"fmt"
	"iter"
	"time"

	"runctl"
)

type process struct {
	p  *Provider
	id string
}

// Process implements runctl.JobRunner.
func (p *Provider) Process(_ context.Context, i runctl.Instance) (runctl.Process, error) {
	return &process{p, i.ID}, nil
}

func receipt(s JobState) *runctl.Receipt {
	if !s.Ended {
		return nil
	}
	r := &runctl.Receipt{Source: "toy", ExitCode: s.Code, Cause: runctl.CauseExit, Started: s.Started, Ended: s.EndedAt, LogBytes: s.Bytes}
	if s.Cause == "cancel" {
		r.Cause, r.Signal = runctl.CauseCancel, "TERM"
	}
	return r
}

func (r *process) look(ctx context.Context, query string) (runctl.Status, error) {
	var s JobState
	if _, err := r.p.call(ctx, "GET", r.p.Path(r.id)+"/job"+query, nil, &s); err != nil {
		return runctl.Status{}, err
	}
	status := runctl.Status{Live: runctl.Alive, Evidence: "the cloud says so", At: time.Now(), LogBytes: s.Bytes, Receipt: receipt(s)}
	if s.Ended {
		status.Live = runctl.Dead
	}
	return status, nil
}

// Status implements runctl.Process.
func (r *process) Status(ctx context.Context) (runctl.Status, error) { return r.look(ctx, "") }

// Wait implements runctl.Process: one request, which the cloud holds until the end.
func (r *process) Wait(ctx context.Context) (runctl.Status, error) { return r.look(ctx, "?wait=1") }

// Logs implements runctl.Process.
func (r *process) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return func(yield func(runctl.LogChunk, error) bool) {
		if q.Offset < 0 {
			yield(runctl.LogChunk{}, &runctl.Error{Kind: runctl.ErrInvalid, Msg: "the offset is negative"})
			return
		}
		for at := q.Offset; ; {
			path := fmt.Sprintf("%s/log?offset=%d", r.p.Path(r.id), at)
			if q.Follow {
				path += "&wait=1"
			}
			var data []byte
			head, err := r.p.call(ctx, "GET", path, nil, &data)
			if err != nil {
				yield(runctl.LogChunk{}, err)
				return
			}
			if len(data) > 0 && !yield(runctl.LogChunk{Offset: at, Data: data}, nil) {
				return
			}
			at += int64(len(data))
			if head.Get("X-Last") == "true" || !q.Follow && len(data) == 0 {
				return
			}
		}
	}
}

// Cancel implements runctl.Process.
func (r *process) Cancel(ctx context.Context, _ time.Duration) error {
	_, err := r.p.call(ctx, "POST", r.p.Path(r.id)+"/cancel", nil, nil)
	return err
}

var (
	_ runctl.Provider  = (*Provider)(nil)
	_ runctl.Connector = (*Provider)(nil)
	_ runctl.JobRunner = (*Provider)(nil)
	_ runctl.Stopper   = (*Provider)(nil)
	_ runctl.Notifier  = (*Provider)(nil)
	_ runctl.Machine   = (*Machine)(nil)
)
