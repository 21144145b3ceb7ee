package fake

import (
	"slices"
	"sync"
	"time"

	"runctl"
)

// Cloud is one account in one region of a cloud that does not exist. It is made by [New] or [Realistic];
// all methods may be called concurrently.
type Cloud struct {
	info    runctl.Info
	offers  []runctl.Offer // in the order given
	byOffer map[string]int // index by id
	phys    Physics
	copies  bool // a clone carries the label
	hosted  bool // machines show host keys
	trust   runctl.HostTrust
	born    time.Time

	mu       sync.Mutex // never held while blocking
	last     time.Time  // of the last instant given out
	machines map[string]*machine
	listed   []*machine          // those that List still shows, in order of birth
	tokens   map[string]*machine // first machine of each token
	launched int
	minted   int
	draws    map[string]int // draws had, by operation and key
	calls    map[Op]int
	faults   []*planned
	buckets  map[string]*bucket
	scripts  map[string]*scripted
	log      []entry
	changed  chan struct{} // nil: nobody waits
}

// Option changes what [New] makes.
type Option func(*Cloud)

// Name sets Info.Name, which is "fake" otherwise.
func Name(name string) Option { return func(c *Cloud) { c.info.Name = name } }

// Idempotent lets the cloud honour LaunchRequest.Token: the same request with the same token starts one
// machine.
func Idempotent() Option { return func(c *Cloud) { c.info.Idempotent = true } }

// Settle sets Info.Settle, what the cloud declares; 0: it declares nothing. Without this option it is
// the listing lag, and at least a millisecond. Less than the lag makes the cloud a liar.
func Settle(d time.Duration) Option { return func(c *Cloud) { c.info.Settle = d } }

// Lag lets List show every machine as it was up to d ago; one born since is missing. Get is fresh.
func Lag(d time.Duration) Option { return func(c *Cloud) { c.phys.Lag = d } }

// NameOnly makes a cloud whose machines have no place that a clone could not copy, as on RunPod and
// Lyceum: the label is the name, and a clone carries it.
func NameOnly() Option { return func(c *Cloud) { c.copies = true } }

// Exitless makes a cloud whose listings do not know how jobs ended: Info.Exits is false, and only
// Process tells.
func Exitless() Option { return func(c *Cloud) { c.info.Exits = false } }

// Boots makes a cloud whose machines run the boot script that a launch gives them, and so are guarded; a fault of
// OpBoot keeps it from running.
func Boots() Option { return func(c *Cloud) { c.info.Boots = true } }

// New makes a cloud whose machines boot at once. Without options it sells the [Catalog], on both roads,
// and its machines end themselves: a job's vessel as soon as the job has ended, any other when it was
// idle for LaunchRequest.Keep or its lifetime is over.
func New(opts ...Option) *Cloud {
	c := &Cloud{
		info:   runctl.Info{Name: "fake", Kind: Kind, Settle: -1, Exits: true, Region: region, Credentials: "none needed"},
		offers: Catalog(), byOffer: map[string]int{}, born: time.Now(),
		machines: map[string]*machine{}, tokens: map[string]*machine{}, draws: map[string]int{}, calls: map[Op]int{},
		buckets: map[string]*bucket{}, scripts: map[string]*scripted{},
	}
	for _, o := range opts {
		o(c)
	}
	if c.info.Settle < 0 {
		c.info.Settle = max(c.phys.Lag, time.Millisecond)
	}
	c.info.Poll = c.phys.Poll
	if c.info.Poll <= 0 {
		c.info.Poll = 5 * time.Millisecond
	}
	for i, o := range c.offers {
		c.byOffer[o.ID] = i
		c.info.Markets |= o.Market
		c.info.EndsItself = c.info.EndsItself || o.EndsItself
	}
	return c
}

// Kind is the Info.Kind of every fake cloud.
const Kind = "fake"

// Info returns constants.
func (c *Cloud) Info() runctl.Info { return c.info }

// Changed returns a channel that is closed at the next change that a call makes or first sees. A cloud
// with Physics.Silent never closes it.
func (c *Cloud) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phys.Silent {
		return nil
	}
	if c.changed == nil { // made by who waits, so that a cloud made outside a bubble can be used inside it
		c.changed = make(chan struct{})
	}
	return c.changed
}

// wake closes the channel of Changed. c.mu is held.
func (c *Cloud) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// tick returns the present instant, later than every one before it, so that all that happens has an
// order. c.mu is held.
func (c *Cloud) tick() time.Time {
	now := time.Now()
	if !now.After(c.last) {
		now = c.last.Add(1)
	}
	c.last = now
	return now
}

// clock translates an instant into what the cloud's own clock shows.
func (c *Cloud) clock(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(c.phys.Skew).Round(0).UTC()
}

// Launched counts the machines that Launch has started.
func (c *Cloud) Launched() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.launched
}

// Calls counts the calls of an operation that reached the cloud; "" counts all.
func (c *Cloud) Calls(op Op) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op != "" {
		return c.calls[op]
	}
	n := 0
	for _, k := range c.calls {
		n += k
	}
	return n
}

// Billing returns the machines started by Launch that still bill, as they are now, in the order of their
// ids. Strangers and clones are on somebody else's bill.
func (c *Cloud) Billing() []runctl.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.tick()
	var on []runctl.Instance
	for _, m := range c.all() {
		c.advance(m, now)
		if i, ok := c.view(m, now, now); ok && !m.stranger && i.State.Billing() {
			on = append(on, i)
		}
	}
	return on
}

// all returns every machine that there ever was, by id. c.mu is held.
func (c *Cloud) all() []*machine {
	ms := make([]*machine, 0, len(c.machines))
	for _, m := range c.machines {
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b *machine) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return ms
}

var (
	_ runctl.Provider  = (*Cloud)(nil)
	_ runctl.Connector = (*Cloud)(nil)
	_ runctl.JobRunner = (*Cloud)(nil)
	_ runctl.Stopper   = (*Cloud)(nil)
	_ runctl.Notifier  = (*Cloud)(nil)
)
