package fake

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strconv"
	"time"

	"runctl"
)

// Physics is how a cloud behaves. The zero value is what [New] does: everything is at once, and nothing
// goes wrong but what was injected. Durations are medians; draws spread by about a third around them.
type Physics struct {
	// Seed is that of every draw. 0: ids are counted in the order of calls, and Lag is the same for all.
	Seed uint64

	Latency time.Duration // of a call, half before its effect and half after; a launch takes eight times as long
	Boot    time.Duration // from accepted to running, at launch and after a Stop
	Stop    time.Duration // from Stop to stopped
	End     time.Duration // from Terminate to terminated; it bills until then
	Lag     time.Duration // the most by which List is late; drawn for each machine
	Keep    bool          // a vessel stays for LaunchRequest.Keep after its job, as real ones do

	Faults   float64       // share of calls that fail: before the effect, after it, or by hanging
	Throttle bool          // token buckets of the sizes that EC2 publishes
	Scarcity float64       // share of time in which a type has no capacity in a zone
	Reclaim  time.Duration // mean time until a spot machine is taken back; 0: never
	Skew     time.Duration // what the cloud's clock is ahead of ours

	Poll   time.Duration // Info.Poll; 0: 5 ms
	Silent bool          // Changed never tells
}

// With sets the physics in place of all that was set before, the listing lag included.
func With(p Physics) Option { return func(c *Cloud) { c.phys = p } }

// EC2 is the physics of [Realistic]: 26 s to boot, 20 s to end, a listing that is up to 5 s late, a fault in
// one call of fifty, token buckets, zones that run dry a tenth of the time, spot machines that live ten
// hours, a clock that is up to two minutes wrong, a look every 10 s, no notifications.
func EC2(seed uint64) Physics {
	p := Physics{
		Seed: seed, Latency: 180 * time.Millisecond, Boot: 26 * time.Second, Stop: 30 * time.Second, End: 20 * time.Second,
		Lag: 5 * time.Second, Keep: true, Faults: 0.02, Throttle: true, Scarcity: 0.1, Reclaim: 10 * time.Hour,
		Poll: 10 * time.Second, Silent: true,
	}
	p.Skew = time.Duration((p.draw("skew") - 0.5) * float64(4*time.Minute))
	return p
}

// Realistic makes a cloud that behaves as EC2 does, with a declared settle time of 30 s. The options come
// after that and win.
func Realistic(seed uint64, opts ...Option) *Cloud {
	return New(append([]Option{With(EC2(seed)), Settle(30 * time.Second)}, opts...)...)
}

// draw hashes the parts and the seed to a number in [0, 1).
func (p Physics) draw(parts ...string) float64 { return float64(p.hash(parts...)>>11) / (1 << 53) }

func (p Physics) hash(parts ...string) uint64 {
	h := fnv.New64a()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], p.Seed)
	_, _ = h.Write(n[:])
	for _, s := range parts {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64() // FNV mixes its last bytes badly; this is the finish of splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// around draws a duration log-normally around a median, never more than ten times it; 0 stays 0.
func (p Physics) around(median time.Duration, parts ...string) time.Duration {
	if median <= 0 {
		return 0
	}
	u, v := p.draw(append(parts, "u")...), p.draw(append(parts, "v")...)
	z := math.Sqrt(-2*math.Log(1-u)) * math.Cos(2*math.Pi*v)
	return time.Duration(float64(median) * min(math.Exp(0.3*z), 10))
}

// lifespan draws exponentially: when a spot machine is taken back.
func (p Physics) lifespan(mean time.Duration, parts ...string) time.Duration {
	return time.Duration(float64(mean) * -math.Log(1-p.draw(parts...)))
}

// window is how long a zone's capacity stays as it is.
const window = 20 * time.Minute

// scarce reports whether the offer's type has no capacity in its zone now.
func (c *Cloud) scarce(o runctl.Offer, now time.Time) bool {
	if c.phys.Scarcity <= 0 {
		return false
	}
	n := strconv.Itoa(int(now.Sub(c.born) / window))
	return c.phys.draw("capacity", o.Zone, o.Type, o.Market.String(), n) < c.phys.Scarcity
}

// nth counts the draws of an operation and key, so that each is another. c.mu is held.
func (c *Cloud) nth(op, key string) string {
	k := op + "\x00" + key
	c.draws[k]++
	return strconv.Itoa(c.draws[k])
}

// pause waits for d of (real or virtual) time, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
