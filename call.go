package runctl

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// call makes one request to a provider: paced, bounded by limit, traced, its error wrapped. The client
// repeats nothing in here; whoever wants a read again polls.
func call[T any](ctx context.Context, c *Client, a *account, e Event, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	if err := a.pacer.wait(ctx); err != nil {
		var zero T
		return zero, c.wrap(a, e, err)
	}
	return paced(ctx, c, a, e, limit, f)
}

// paced is call for whoever has waited for the pacer already.
func paced[T any](ctx context.Context, c *Client, a *account, e Event, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	var zero T
	e.Name, e.Provider = EventCall, a.info.Name
	own, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	v, err := f(own)
	if err != nil {
		if own.Err() != nil && ctx.Err() == nil {
			err = &Error{Kind: ErrUnavailable, Err: err, Msg: fmt.Sprintf("%s: no answer within %s", e.Op, limit)}
		}
		err = c.wrap(a, e, err)
	}
	a.pacer.result(a.info.Name, err)
	e.Elapsed, e.Err = time.Since(start), err
	c.trace(e)
	if err != nil {
		c.log.Debug("call failed", "provider", e.Provider, "op", e.Op, "id", e.ID, "key", e.Key, "error", err)
		return zero, err
	}
	return v, nil
}

// wrap makes a provider's error ours: who, which operation, which thing. A kind that is missing is
// ErrUnavailable, but for the caller's own cancel, which has none.
func (c *Client) wrap(a *account, ev Event, err error) error {
	fallback := ErrUnavailable
	if errors.Is(err, context.Canceled) {
		fallback = ""
	}
	e := asError(err, fallback)
	e.Provider, e.Op, e.Msg = a.info.Name, ev.Op, redact(e.Msg)
	e.ID, e.Key = redact(e.ID), redact(e.Key)
	if ev.ID != "" {
		e.ID = ev.ID
	}
	if ev.Key != "" {
		e.Key = ev.Key
	}
	e.RetryAfter = min(max(e.RetryAfter, 0), maxRetryAfter)
	return e
}

// pacer spaces the calls to one provider: never faster than its rate, and not before it wants to be asked
// again. One throttled call slows the provider down for everybody, once; nobody retries alone.
type pacer struct {
	mu      sync.Mutex
	rate    float64   // calls a second, 0 unlimited
	next    time.Time // when the bucket would be full again
	after   time.Time // told to stay away until then
	strikes int
}

const pacerBurst = 4 * time.Second

func (p *pacer) wait(ctx context.Context) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		d := p.reserve(time.Now())
		if d <= 0 {
			return nil
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

// reserve takes a place and returns 0, or returns how long to wait before asking again.
func (p *pacer) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.after.Sub(now); d > 0 {
		return d
	}
	if p.rate <= 0 {
		return 0
	}
	if p.next.Before(now) {
		p.next = now
	}
	if d := p.next.Sub(now) - pacerBurst; d > 0 {
		return d
	}
	p.next = p.next.Add(time.Duration(float64(time.Second) / p.rate))
	return 0
}

// result notes how a call went: rate limits push everybody back, by what the cloud asked for or by 1 s,
// 2 s, 4 s … 1 min.
func (p *pacer) result(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrRateLimit {
		p.strikes = 0
		return
	}
	now := time.Now()
	if p.after.After(now) {
		return // this answer belongs to a call sent before we were told
	}
	p.strikes++
	p.after = now.Add(max(e.RetryAfter, delay(name, p.strikes)))
}

// delay is the nth pause (from 1) of a series that doubles from 1 s to 1 min, spread by ±25 % according to
// the name, so that the same run always waits the same.
func delay(name string, nth int) time.Duration {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0), backoff.WithRandomizationFactor(0))
	var d time.Duration
	for range min(nth, 8) {
		d = b.NextBackOff()
	}
	h := fnv.New32a()
	fmt.Fprint(h, name, nth)
	return d*3/4 + time.Duration(float64(d)/2*float64(h.Sum32()%1024)/1024)
}

// sleep waits for d or the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
