package runctl

import (
	"context"
	"sync/atomic"
	"time"

	"runctl/internal/job"
)

// A run with a lease ends when nobody renews it. Whoever waits for it or follows its log renews it, four times in
// each lease, so that a lost connection has half a lease to come back. Looking at it does not. A renewal quotes the
// machine's uptime as the look before it saw it, and no clock of ours: after a computer was asleep, or a network
// away, it simply looks again.

// lease is what this handle knows of a run's lease: 0 nothing yet, noLease that there is none.
type lease struct{ length atomic.Int64 }

const noLease = -1

// set takes note of the lease that a run was started with, or was seen to have.
func (l *lease) set(d time.Duration) {
	if d <= 0 {
		d = noLease
	}
	l.length.Store(int64(d))
}

// none reports whether the run is known to have no lease.
func (l *lease) none() bool { return l.length.Load() == noLease }

// within is d, or a quarter of the lease where that is shorter.
func (l *lease) within(d time.Duration) time.Duration {
	if n := time.Duration(l.length.Load()); n > 0 {
		return min(n/4, d)
	}
	return d
}

// renew asks that the run be kept for a whole lease from the look on. Whether it was heard is not its caller's
// matter: the receipt says how the run ended.
func (p *shellProcess) renew(ctx context.Context, s job.Status) {
	if s.Lease <= 0 || s.Phase.Over() {
		return
	}
	_ = p.within(ctx, 0, func(ctx context.Context, m job.Machine) error {
		_, err := job.Renew(ctx, m, p.run, s.Up, s.Lease)
		return err
	})
}

// attend renews the run's lease beside something else, such as a log that is being followed, until stop is called;
// it ends by itself where there is none.
func (p *shellProcess) attend(ctx context.Context) (stop func()) {
	if p.lease.none() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for n := 1; ; {
			_, s, err := p.inspect(ctx)
			pause := p.lease.within(delay(p.run, n))
			switch k := kindOf(err); {
			case err == nil && (s.Lease <= 0 || s.Phase.Over()), k == ErrNotFound || k == ErrClosed || k == ErrHostKey:
				return
			case err == nil:
				p.renew(ctx, s)
				n, pause = 1, p.lease.within(waitSlice)
			default:
				n++
			}
			if sleep(ctx, pause) != nil {
				return
			}
		}
	}()
	return func() { cancel(); <-gone }
}
