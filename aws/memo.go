package aws

import (
	"context"
	"sync"
	"time"
)

// memo keeps answers by name for as long as its user says. Its zero value works. One question is asked at a time: who
// waits for the same answer meanwhile gets it without asking. Failures are not kept.
type memo[T any] struct {
	mu   sync.Mutex
	busy chan struct{} // holds a token while nobody asks
	kept map[string]kept[T]
}

type kept[T any] struct {
	v  T
	at time.Time
}

// get returns what is kept, unless it is older than age, or what ask answers.
func (m *memo[T]) get(ctx context.Context, name string, age time.Duration, ask func(context.Context) (T, error)) (T, error) {
	var none T
	if v, ok := m.look(name, age); ok {
		return v, nil
	}
	m.mu.Lock()
	if m.busy == nil {
		m.busy = make(chan struct{}, 1)
		m.busy <- struct{}{}
	}
	busy := m.busy
	m.mu.Unlock()
	select {
	case <-busy:
		defer func() { busy <- struct{}{} }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if v, ok := m.look(name, age); ok {
		return v, nil
	}
	v, err := ask(ctx)
	if err != nil {
		return none, err
	}
	m.keep(name, v, age)
	return v, nil
}

// keep keeps an answer, and drops those that are older than age.
func (m *memo[T]) keep(name string, v T, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[string]kept[T]{}
	}
	for other, k := range m.kept {
		if time.Since(k.at) > age {
			delete(m.kept, other)
		}
	}
	m.kept[name] = kept[T]{v, time.Now()}
}

// look returns what is kept, unless it is older than age.
func (m *memo[T]) look(name string, age time.Duration) (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[name]
	return k.v, ok && time.Since(k.at) <= age
}

// forget drops what is kept under a name.
func (m *memo[T]) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, name)
}

// clear drops all that is kept.
func (m *memo[T]) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.kept)
}
