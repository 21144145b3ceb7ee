// Package tuner is a service that fine-tunes models on rented machines. It shows how runctl is built into a
// program: one function starts a run and returns text to store, another one, perhaps days and restarts
// later, returns how the run ended.
package tuner

import (
	"context"
	"errors"
	"time"

	"runctl"
)

// Tuner starts fine-tunes and reports on them.
type Tuner struct{ Runs *runctl.Client }

// Start launches one fine-tune and returns the text to store in the jobs table.
func (t Tuner) Start(ctx context.Context, id, hfToken string) (string, error) {
	run, err := t.Runs.Start(ctx, runctl.RunSpec{
		Key:   "tune-" + id, // a retried request finds the same run
		Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, MaxHourly: runctl.USD(4)},
		Job: runctl.Job{
			Args:    []string{"uv", "run", "tune.py", "--dataset", id},
			Dir:     "./trainer",
			Secrets: map[string]runctl.Secret{"HF_TOKEN": runctl.NewSecret(hfToken)},
			Outputs: []string{"adapter/"},
		},
		Lifetime: 3 * time.Hour,
	})
	if err != nil {
		return "", err
	}
	return run.Ref().String(), nil
}

// Result is called by a worker, maybe days and restarts later.
func (t Tuner) Result(ctx context.Context, stored string) (exit int, err error) {
	ref, err := runctl.ParseRef(stored)
	if err != nil {
		return 0, err
	}
	run, err := t.Runs.Attach(ctx, ref)
	if err != nil {
		return 0, err
	}
	res, err := run.Wait(ctx) // nil only for success
	if exitErr := (*runctl.ExitError)(nil); errors.As(err, &exitErr) {
		return exitErr.Result.ExitCode, nil
	}
	return res.ExitCode, err
}
