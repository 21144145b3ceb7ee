package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// errFailAt is the failure that --fail-at asks for.
var errFailAt = errors.New("failed on purpose")

// modelName is the file of the final model within --out.
const modelName = "model.json"

// runTraining does what opts ask for: resume or start, train, save, and write
// the final model. If ctx ends first it saves a checkpoint and returns the
// cause of that end.
func runTraining(ctx context.Context, opts Options, stdout io.Writer) error {
	if err := os.MkdirAll(opts.Out, 0o777); err != nil {
		return fmt.Errorf("making the output directory: %w", err)
	}
	store, err := openStore(opts.Dir)
	if err != nil {
		return err
	}
	t, err := startTrainer(opts, stdout)
	if err != nil {
		return err
	}
	if err := train(ctx, t, opts, store, stdout); err != nil {
		return err
	}

	loss, accuracy := t.net.Evaluate(heldOut(opts.Seed))
	path := filepath.Join(opts.Out, modelName)
	if err := writeModel(path, t, loss, accuracy); err != nil {
		return fmt.Errorf("writing the model: %w", err)
	}
	fmt.Fprintf(stdout, "final loss %.4f  accuracy %.1f%%\n", loss, 100*accuracy)
	fmt.Fprintf(stdout, "model %s\n", path)
	return nil
}

// startTrainer continues the checkpoint that opts lead to, or starts at step 0.
func startTrainer(opts Options, stdout io.Writer) (*Trainer, error) {
	path, err := findCheckpoint(opts.Resume, opts.Dir)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return newTrainer(opts.Config()), nil
	}
	state, err := loadCheckpoint(path, opts.Config())
	if err != nil {
		return nil, err
	}
	if state.Step > opts.Steps {
		return nil, fmt.Errorf("checkpoint %s is at step %d, past --steps %d: "+
			"use a larger --steps to continue it, or an empty --dir and no RUNCTL_RESUME to start anew",
			path, state.Step, opts.Steps)
	}
	t, err := restoreTrainer(state)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stdout, "resumed from step %d\n", t.step)
	if t.step == opts.Steps {
		fmt.Fprintf(stdout, "nothing left to train; a larger --steps goes on, an empty --dir starts anew\n")
	}
	return t, nil
}

// train takes steps until opts.Steps, printing and saving on the way.
func train(ctx context.Context, t *Trainer, opts Options, store *Store, stdout io.Writer) error {
	for t.step < opts.Steps {
		if ctx.Err() != nil {
			if err := save(t, store); err != nil {
				return err
			}
			fmt.Fprintf(stdout, "saved checkpoint step %d\n", t.step)
			return context.Cause(ctx)
		}
		if _, err := t.Step(); err != nil {
			return err
		}
		last := t.step == opts.Steps
		due := t.step%opts.Every == 0
		if due || last {
			fmt.Fprintf(stdout, "step %d  loss %.4f\n", t.step, t.window.Mean())
		}
		if due {
			// Only here: a run that ends between two lines and is later
			// continued must average over the same steps as a longer run.
			t.window = Window{}
		}
		if last || opts.CheckpointEvery > 0 && t.step%opts.CheckpointEvery == 0 {
			if err := save(t, store); err != nil {
				return err
			}
		}
		if t.step == opts.FailAt {
			return fmt.Errorf("%w at step %d, because of --fail-at", errFailAt, t.step)
		}
		if !last {
			rest(ctx, opts.Pause)
		}
	}
	return nil
}

// save commits a checkpoint of the trainer as it is now.
func save(t *Trainer, store *Store) error {
	state, err := t.Snapshot()
	if err != nil {
		return err
	}
	return store.Save(state)
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// writeModel writes the trained network with all that is needed to use it.
func writeModel(path string, t *Trainer, loss, accuracy float64) error {
	data, err := json.Marshal(struct {
		Config
		Step     int       `json:"step"`
		Loss     float64   `json:"loss"`
		Accuracy float64   `json:"accuracy"`
		Params   []float64 `json:"params"`
	}{t.cfg, t.step, loss, accuracy, t.net.Params})
	if err != nil {
		return err
	}
	return writeAtomic(path, append(data, '\n'))
}
