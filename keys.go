package runctl

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// keyState is what this client knows of one key. It is owned by whoever holds its lock.
type keyState struct {
	key      string
	lock     chan struct{} // one token
	users    int           // who holds or wants the lock; guarded by Client.mu
	used     time.Time     // guarded by Client.mu
	digest   string
	trial    int    // refusals so far: part of the token, so that no two attempts share one
	doubt    *doubt // a request whose outcome is not known
	provider string // of id
	id       string // of the machine, once known
}

func (st *keyState) known() bool { return st.doubt != nil || st.id != "" }

func (st *keyState) started(i Instance) {
	st.doubt, st.provider, st.id, st.digest = nil, i.Provider, i.ID, i.Mark.Digest
}

// Keys that are not in doubt are forgotten a day after their last use, beyond this many.
const maxIdleKeys = 4096

// lockKey serialises the launches of one key, so that two callers with the same key get the same machine.
func (c *Client) lockKey(ctx context.Context, key string) (*keyState, error) {
	if err := c.loadIntents(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	st := c.keys[key]
	if st == nil {
		c.forgetKeys()
		st = &keyState{key: key, lock: make(chan struct{}, 1)}
		c.keys[key] = st
	}
	st.users++
	c.mu.Unlock()
	select {
	case st.lock <- struct{}{}:
		return st, nil
	case <-ctx.Done():
		c.mu.Lock()
		st.users--
		c.mu.Unlock()
		return nil, &Error{Op: "launch", Key: key, NotStarted: true, Err: context.Cause(ctx)}
	}
}

func (c *Client) unlockKey(st *keyState) {
	c.mu.Lock()
	st.users--
	st.used = time.Now()
	c.mu.Unlock()
	<-st.lock
}

// forgetKeys drops old entries, so that memory does not grow with the launches of a lifetime. The caller
// holds c.mu.
func (c *Client) forgetKeys() {
	if len(c.keys) < maxIdleKeys {
		return
	}
	for k, st := range c.keys {
		if st.users == 0 && st.doubt == nil && time.Since(st.used) > 24*time.Hour {
			delete(c.keys, k)
		}
	}
}

// loadIntents reads the intent log once: what was in flight when an earlier process died is in doubt.
func (c *Client) loadIntents() error {
	if c.cfg.Intents == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded {
		return nil
	}
	log, err := c.cfg.Intents.Load()
	if err != nil {
		return &Error{Op: "launch", Kind: ErrInvalid, NotStarted: true, Err: err, Msg: "the intent log cannot be read, so nothing was launched"}
	}
	offers := map[string]*Offer{} // of the last request of each key
	for _, in := range log {
		a := c.byName[in.Provider]
		if in.Owner != c.cfg.Owner || a == nil {
			continue
		}
		st := c.keys[in.Key]
		if st == nil {
			st = &keyState{key: in.Key, lock: make(chan struct{}, 1)}
			c.keys[in.Key] = st
		}
		st.digest, st.trial, st.used = in.Digest, in.Trial, time.Now()
		switch in.Event {
		case IntentLaunching, IntentDoubt:
			ended := in.Time
			if in.Event == IntentLaunching { // the process died while the request was under way
				ended = in.Time.Add(c.cfg.Deadlines.Launch)
			}
			st.doubt = &doubt{account: a, began: in.Time, ended: ended, offer: in.Offer}
			if in.Offer == nil && offers[in.Key] != nil {
				st.doubt.offer = offers[in.Key]
			}
			offers[in.Key] = st.doubt.offer
		case IntentRefused:
			st.doubt = nil
			st.trial++
		case IntentStarted, IntentAbandoned, IntentEnded:
			st.doubt, st.provider, st.id = nil, in.Provider, in.ID
		}
	}
	c.loaded = true
	return nil
}

// intend writes one line to the intent log. Before a launch request its failure forbids the request.
func (c *Client) intend(ev IntentEvent, p *plan, st *keyState, a *account, id string, o *Offer) error {
	return c.record(Intent{Event: ev, Provider: a.info.Name, Key: p.key, Digest: p.digest, Trial: st.trial, ID: id, Offer: o})
}

func (c *Client) record(in Intent) error {
	if c.cfg.Intents == nil {
		return nil
	}
	in.Time, in.Owner, in.Controller = time.Now().UTC(), c.cfg.Owner, c.cfg.Controller
	if err := c.cfg.Intents.Record(in); err != nil {
		return &Error{Provider: in.Provider, Op: "launch", Key: in.Key, Kind: ErrInvalid, NotStarted: true, Err: err,
			Msg: "the intent log cannot be written, so nothing was launched"}
	}
	return nil
}

// mintKey makes a key that nobody has used.
func mintKey() string { return fmt.Sprintf("k-%s", shortHash(12, rand.Text())) }
