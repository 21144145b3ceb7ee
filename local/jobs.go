package local

import (
	"context"
	"fmt"
	"os"
	"time"

	"runctl"
	"runctl/internal/job"
)

// work is what the supervisor says of an instance's runs.
type work struct {
	live []string  // not known to be over; what is unknown is alive
	last time.Time // the latest end by receipt, not after now; zero: none
}

// work asks the supervisor. A root that is empty never had one, and needs no asking.
func (p *Provider) work(ctx context.Context, id string) (work, error) {
	var w work
	root, err := os.ReadDir(p.path(id, rootDir))
	if err != nil {
		return w, p.unreadable(id, rootDir, err)
	}
	if len(root) == 0 {
		return w, nil
	}
	runs, err := job.List(ctx, p.machine(id))
	if err != nil {
		return w, &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: err, Msg: "its runs cannot be listed"}
	}
	for _, r := range runs {
		if !r.Phase.Over() {
			w.live = append(w.live, r.Run)
		}
		if r.Receipt != nil {
			w.last = later(w.last, r.Receipt.Ended)
		}
	}
	if now := p.now(); w.last.After(now) {
		w.last = now
	}
	return w, nil
}

func (p *Provider) cancel(ctx context.Context, id, run string) error {
	if err := job.Cancel(ctx, p.machine(id), run, drainGrace); err != nil {
		return &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: err, Msg: fmt.Sprintf("its run %s cannot be asked to end", run)}
	}
	return nil
}

// CheckpointDir is the directory of a run's checkpoints, for another run's Job.Resume: as the machine sees
// it, which is as this computer sees it. It stays for seven days after the instance's end. Neither the
// instance nor the run needs to exist.
func (p *Provider) CheckpointDir(instance, run string) string {
	return job.CheckpointDir(p.path(instance, rootDir), run)
}
