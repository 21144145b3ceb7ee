package s3store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"runctl"
)

const (
	// maxFailures is how often in a row something is tried again without any progress.
	maxFailures = 8
	// callLimit bounds a request without a body worth mentioning.
	callLimit = time.Minute
	// silence is how long a store may send nothing in the middle of a body.
	silence = time.Minute
	// partLimit bounds the sending of one part: on a line that is slower, smaller parts help.
	partLimit = 15 * time.Minute
)

// patiently calls f until it succeeds, fails for good, or has failed maxFailures times in a row without calling moved.
// Only what the line or the store's load may be to blame for is tried again.
func (s *Store) patiently(ctx context.Context, op, key string, f func(ctx context.Context, moved func()) error) error {
	pause := pauses()
	failed := 0
	for {
		if err := context.Cause(ctx); err != nil {
			return s.fail(op, key, err)
		}
		err := f(ctx, func() { failed = 0; pause.Reset() })
		if err == nil {
			return nil
		}
		if failed++; failed > maxFailures || !passes(err) || ctx.Err() != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // it was ours, and not the caller's
				err = fmt.Errorf("%w: %s", errMute, err)
			}
			return s.fail(op, key, errors.Join(context.Cause(ctx), err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// passes reports whether the same may succeed when it is done again.
func passes(err error) bool {
	var sum *SumError
	var short *TruncatedError
	if errors.Is(err, context.Canceled) || errors.As(err, &sum) || errors.As(err, &short) {
		return false
	}
	k := kindOf(err)
	return k == runctl.ErrUnavailable || k == runctl.ErrRateLimit
}

func pauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
}
