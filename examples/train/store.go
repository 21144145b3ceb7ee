package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// keep is how many checkpoints stay in a directory.
const keep = 3

const (
	pointerName = "latest" // file that names the committed checkpoint
	tempSuffix  = ".tmp"   // ends the name of a file still being written
)

// Store is a directory of checkpoints. A checkpoint counts from the moment the
// file "latest" names it; that file is replaced in one atomic rename, so a
// crash at any point leaves the checkpoint before or the one after, never
// half of one. One process at a time may write to a store.
type Store struct{ dir string }

// openStore returns the store in dir, which it creates if need be.
func openStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("making the checkpoint directory: %w", err)
	}
	return &Store{dir}, nil
}

// checkpointName returns the file name of the checkpoint of a step.
func checkpointName(step int) string { return fmt.Sprintf("step-%010d.ckpt", step) }

// checkpointStep returns the step in a checkpoint's file name.
func checkpointStep(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "step-")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ".ckpt")
	if !ok {
		return 0, false
	}
	step, err := strconv.Atoi(digits)
	return step, err == nil && checkpointName(step) == name
}

// Save writes and commits s, then removes checkpoints that are no longer kept.
func (st *Store) Save(s *State) error {
	data, err := encode(s)
	if err != nil {
		return fmt.Errorf("saving the checkpoint of step %d: %w", s.Step, err)
	}
	name := checkpointName(s.Step)
	if err := writeAtomic(filepath.Join(st.dir, name), data); err != nil {
		return fmt.Errorf("saving the checkpoint of step %d: %w", s.Step, err)
	}
	if err := writeAtomic(filepath.Join(st.dir, pointerName), []byte(name+"\n")); err != nil {
		return fmt.Errorf("committing the checkpoint of step %d: %w", s.Step, err)
	}
	if err := st.prune(name); err != nil {
		return fmt.Errorf("removing old checkpoints: %w", err)
	}
	return nil
}

// prune removes what is left of interrupted writes, and all checkpoints but
// the committed one and the newest others. The committed one stays even if
// it is not the newest, as after a resume from an earlier step.
func (st *Store) prune(committed string) error {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return err
	}
	var doomed, old []string
	for _, e := range entries {
		name := e.Name()
		if base, temp := strings.CutSuffix(name, tempSuffix); temp {
			if _, ok := checkpointStep(base); ok || base == pointerName {
				doomed = append(doomed, name)
			}
		} else if _, ok := checkpointStep(name); ok && name != committed {
			old = append(old, name)
		}
	}
	slices.Sort(old) // names sort like their steps, which have a fixed width
	doomed = append(doomed, old[:max(0, len(old)-(keep-1))]...)
	for _, name := range doomed {
		if err := os.Remove(filepath.Join(st.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// latestIn returns the path of the checkpoint committed in dir. If there is
// none the error is [fs.ErrNotExist].
func latestIn(dir string) (string, error) {
	path := filepath.Join(dir, pointerName)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	name, ok := strings.CutSuffix(string(data), "\n")
	if _, valid := checkpointStep(name); !ok || !valid {
		return "", fmt.Errorf("%s does not hold one line with the name of a checkpoint: "+
			"write the name of one there, or use another directory", path)
	}
	return filepath.Join(dir, name), nil
}

// findCheckpoint returns the checkpoint a run starts from: the one resume
// leads to (a checkpoint file, or a directory of them) if resume is not empty,
// else the one committed in dir, else "" for a fresh start.
func findCheckpoint(resume, dir string) (string, error) {
	if resume == "" {
		path, err := latestIn(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return path, err
	}
	info, err := os.Stat(resume)
	if err != nil {
		return "", fmt.Errorf("RUNCTL_RESUME: %w: set it to a checkpoint file or directory, or unset it", err)
	}
	if !info.IsDir() {
		return resume, nil
	}
	path, err := latestIn(resume)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("RUNCTL_RESUME: %s has no file %q, so no checkpoint was committed there: "+
			"set it to another directory, or unset it to start anew", resume, pointerName)
	}
	return path, err
}

// loadCheckpoint reads the checkpoint at path and refuses one that is damaged
// or was made under another config.
func loadCheckpoint(path string, want Config) (*State, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w: set RUNCTL_RESUME to another checkpoint, "+
			"or use an empty --dir to start anew", err)
	}
	s, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s is refused: %w: set RUNCTL_RESUME to an earlier checkpoint, "+
			"or use an empty --dir to start anew", path, err)
	}
	if diffs := s.Config.differences(want); len(diffs) > 0 {
		return nil, fmt.Errorf("checkpoint %s is refused: it was made with %s: "+
			"use the checkpoint's values to continue it, or an empty --dir and no RUNCTL_RESUME to start anew",
			path, strings.Join(diffs, ", "))
	}
	return s, nil
}

// writeAtomic replaces the file at path by data, so that after a crash the
// file holds either what it held before or all of data.
func writeAtomic(path string, data []byte) (err error) {
	temp := path + tempSuffix
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the renames done in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
