package job

import (
	"context"
	"errors"
	"io"
	"path"
	"time"
)

var errSkeleton = errors.New("job: not yet")

func (s Spec) Validate() error                           { return nil }
func ParseReceipt(b []byte) (Receipt, error)             { return Receipt{}, errSkeleton }
func (r Receipt) Marshal() []byte                        { return nil }
func Start(ctx context.Context, m Machine, s Spec) error { return errSkeleton }
func Inspect(ctx context.Context, m Machine, run string) (Status, error) {
	return Status{}, errSkeleton
}
func List(ctx context.Context, m Machine) ([]Status, error) { return nil, errSkeleton }
func Wait(ctx context.Context, m Machine, run string, upTo time.Duration) (Status, error) {
	return Status{}, errSkeleton
}
func Log(ctx context.Context, m Machine, run string, offset int64, follow bool, w io.Writer) (next int64, err error) {
	return offset, errSkeleton
}
func Cancel(ctx context.Context, m Machine, run string, grace time.Duration) error {
	return errSkeleton
}
func Get(ctx context.Context, m Machine, run, path string, w io.Writer) error { return errSkeleton }

// CheckpointDir is where a run's checkpoints lie below the machine's root when its spec names no other place.
func CheckpointDir(root, run string) string { return path.Join(root, "run", run, "job", "checkpoints") }
