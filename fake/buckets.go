package fake

import (
	"errors"
	"time"

	"runctl"
)

// bucket is a token bucket: it holds size tokens and gains refill of them a second.
type bucket struct {
	size, refill float64
	tokens       float64
	at           time.Time
}

// limits are EC2's published request buckets and resource buckets: size, refill a second. Each operation
// has buckets of its own.
var limits = map[Op][][2]float64{
	OpOffers:    {{100, 20}},
	OpGet:       {{100, 20}},
	OpList:      {{100, 20}},
	OpLaunch:    {{50, 5}, {1000, 2}},
	OpTerminate: {{50, 5}, {1000, 20}},
	OpStop:      {{50, 5}, {1000, 20}},
	OpStart:     {{50, 5}, {1000, 2}},
}

// take takes a token at the instant, or says how long it is until there is one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.tokens = min(b.size, b.tokens+b.refill*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return 1 + time.Duration((1-b.tokens)/b.refill*float64(time.Second))
	}
	b.tokens--
	return 0
}

// throttled refuses a call whose buckets are empty. c.mu is held.
func (c *Cloud) throttled(op Op, now time.Time) error {
	if !c.phys.Throttle {
		return nil
	}
	for i, l := range limits[op] {
		name := string(op) + string(rune('0'+i))
		b := c.buckets[name]
		if b == nil {
			b = &bucket{size: l[0], refill: l[1], tokens: l[0], at: now}
			c.buckets[name] = b
		}
		if wait := b.take(now); wait > 0 {
			return &runctl.Error{Kind: runctl.ErrRateLimit, NotStarted: true, RetryAfter: wait,
				Err: errors.New("RequestLimitExceeded: request limit exceeded")}
		}
	}
	return nil
}
