package runctl

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Config is what a [Client] is made of. Only Owner is required.
type Config struct {
	// Owner names whose machines these are: 1 to 12 of a-z and 0-9, public. Every machine carries it, and
	// machines of other owners are never touched.
	Owner string
	// Controller tells the owner's clients apart: 3 characters of a-z and 2-7. Keep it with the intent
	// log, so that a restarted client recognises its own launches. Empty: minted.
	Controller string
	// Secret seals the owner's marks and derives the keys that enter its machines. All clients of one
	// owner share it. Empty: marks are sealed against accidents, but not against forgery.
	Secret []byte
	// OldSecrets are still accepted when reading marks, after Secret was changed.
	OldSecrets [][]byte

	Logger    *slog.Logger // nil: silent
	Intents   Intents      // nil: launches are remembered by this process alone
	Trace     func(Event)  // nil: none; called synchronously and concurrently, must not block
	Deadlines Deadlines
}

// Deadlines bound the phases between a request and a running job. A phase that takes longer ends with
// ErrTimeout and a defined end, which the error names. A zero field has the default in its comment.
type Deadlines struct {
	Call      time.Duration // one request to a cloud: 1 minute
	Launch    time.Duration // the launch request alone: 2 minutes
	Doubt     time.Duration // looking for a machine that may have started: 3 minutes
	Boot      time.Duration // from accepted to running: 20 minutes; then the machine is terminated
	Connect   time.Duration // from running to reachable: 10 minutes; then the machine is terminated
	Sync      time.Duration // bringing the code over, however often it is cut: 1 hour; Start then terminates the machine
	Submit    time.Duration // handing the job over: 2 minutes
	Terminate time.Duration // until the cloud shows the machine ended: 10 minutes
}

func (d Deadlines) withDefaults() Deadlines {
	for _, f := range []struct {
		field *time.Duration
		dflt  time.Duration
	}{
		{&d.Call, time.Minute}, {&d.Launch, 2 * time.Minute}, {&d.Doubt, 3 * time.Minute}, {&d.Boot, 20 * time.Minute},
		{&d.Connect, 10 * time.Minute}, {&d.Sync, time.Hour}, {&d.Submit, 2 * time.Minute}, {&d.Terminate, 10 * time.Minute},
	} {
		if *f.field <= 0 {
			*f.field = f.dflt
		}
	}
	return d
}

// Client runs jobs on machines of one owner, over one or more providers. It is made by [New], may be used
// concurrently, and holds no goroutine while nobody waits. A context given to a method bounds the call,
// never the job.
type Client struct {
	cfg       *Config // a pointer, so that printing what holds a Client does not reach the secrets
	log       *slog.Logger
	providers []*account
	byName    map[string]*account
	marks     marks

	mu     sync.Mutex
	closed bool
	keys   map[string]*keyState // what this process knows of launches, by key
	loaded bool                 // the intent log was read
}

// account is one provider within a client: the provider with what the client keeps for it.
type account struct {
	Provider
	info   Info
	pacer  pacer
	poller poller
	gather gather
	wires  wires
	pins   pins
}

// New checks the configuration and returns a client. It does no I/O. The order of the providers breaks
// ties between equal offers; Info.Name must be unique.
func New(cfg Config, providers ...Provider) (*Client, error) {
	if !validOwner(cfg.Owner) {
		return nil, invalid("Config.Owner", "%q: 1 to %d characters of a-z and 0-9", clip(oneLine(cfg.Owner), 40), maxOwner)
	}
	if cfg.Controller == "" {
		cfg.Controller = shortHash(ctrlLen, rand.Text())
	}
	if len(cfg.Controller) != ctrlLen || !validController(cfg.Controller) {
		return nil, invalid("Config.Controller", "%q: %d characters of a-z and 2-7, or empty", clip(oneLine(cfg.Controller), 40), ctrlLen)
	}
	if len(providers) == 0 {
		return nil, invalid("providers", "at least one is needed; local.New runs jobs on this computer")
	}
	cfg.Deadlines = cfg.Deadlines.withDefaults()
	c := &Client{cfg: &cfg, log: cfg.Logger, byName: map[string]*account{}, keys: map[string]*keyState{}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range providers {
		if p == nil {
			return nil, invalid("providers", "one is nil")
		}
		a := &account{Provider: p, info: p.Info()}
		if !validKey(a.info.Name, maxKey) {
			return nil, invalid("Info.Name", "%q: letters a-z, digits and '-', at most %d", clip(oneLine(a.info.Name), 40), maxKey)
		}
		if c.byName[a.info.Name] != nil {
			return nil, invalid("providers", "two are named %s; give one another Info.Name", a.info.Name)
		}
		if a.info.Poll <= 0 {
			a.info.Poll = 10 * time.Second
		}
		a.pacer.rate = a.info.Rate
		c.providers, c.byName[a.info.Name] = append(c.providers, a), a
	}
	if len(cfg.Secret) == 0 {
		c.log.Warn("no Config.Secret: marks are not safe from forgery, and machines cannot be entered over SSH", "owner", cfg.Owner)
	}
	return c, nil
}

// Providers returns the client's providers, in the order given to New.
func (c *Client) Providers() []Provider {
	var ps []Provider
	for _, a := range c.providers {
		ps = append(ps, a.Provider)
	}
	return ps
}

// Close closes connections to machines and fails whoever waits with ErrClosed. It never ends a machine or
// a job.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for _, a := range c.providers {
		a.poller.close()
		a.wires.close()
	}
	return nil
}

// account returns the named provider of this client.
func (c *Client) account(name string) (*account, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil, &Error{Kind: ErrClosed, Msg: "the client was closed"}
	}
	if a := c.byName[name]; a != nil {
		return a, nil
	}
	var names []string
	for _, a := range c.providers {
		names = append(names, a.info.Name)
	}
	slices.Sort(names)
	return nil, invalid("provider", "%q is not one of this client's: %v%s", clip(oneLine(name), 40), names, didYouMean(name, names))
}

// open fails with ErrClosed after Close, and with the context's error when it is over.
func (c *Client) open(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &Error{Kind: ErrClosed, Msg: "the client was closed"}
	}
	return context.Cause(ctx)
}

func validController(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '2' || r > '7') {
			return false
		}
	}
	return true
}
