package lyceum

import (
	"context"
	"sync"
	"time"
)

// cached keeps one reply for a while. No lock is held while it is asked for, so two who ask at once may both send.
type cached[T any] struct {
	mu    sync.Mutex
	turn  int // of void
	of    int // the turn in which value was asked for
	at    time.Time
	value T
}

// get returns the value, and when it was asked for: the one that is kept, unless it is older than life or void.
func (c *cached[T]) get(ctx context.Context, life time.Duration, ask func(context.Context) (T, error)) (T, time.Time, error) {
	c.mu.Lock()
	value, at, turn := c.value, c.at, c.turn
	fresh := !at.IsZero() && c.of == turn && time.Since(at) < life
	c.mu.Unlock()
	if fresh {
		return value, at, nil
	}
	at = time.Now()
	value, err := ask(ctx)
	if err != nil {
		return value, at, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.at, c.of = value, at, turn
	return value, at, nil
}

// void lets the next get ask anew.
func (c *cached[T]) void() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
}
