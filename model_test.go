package runctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// modelCloud is the smallest cloud that can go wrong in every way that matters to the launch rule. It
// trusts nothing of the client: what it holds is the truth that tests compare with.
type modelCloud struct {
	info Info
	lag  time.Duration // until a machine shows up in List

	mu       sync.Mutex
	machines map[string]*modelMachine
	seq      int
	faults   []modelFault
	calls    map[string]int
	tokens   map[string]string // token → id, when idempotent
	skew     time.Duration     // of the cloud's clock
	cutLabel int               // keep only so many characters of labels; 0: all
	offers   []Offer
}

type modelMachine struct {
	Instance
	token string
	ended bool
}

// modelFault hits the nth call of an operation: before its effect, or after it; hanging until the
// context ends, or at once. late delays the effect of a hanging call to the end of the request.
type modelFault struct {
	op                string
	nth               int
	after, hang, late bool
	slow              time.Duration // only that
	err               error
}

func (f modelFault) String() string {
	return fmt.Sprintf("%s#%d after=%t hang=%t late=%t err=%v", f.op, f.nth, f.after, f.hang, f.late, f.err)
}

var errReset = errors.New("connection reset by peer")

func newModelCloud() *modelCloud {
	return &modelCloud{
		info:     Info{Name: "model", Kind: "model", Settle: time.Second, Poll: 10 * time.Second},
		machines: map[string]*modelMachine{}, calls: map[string]int{}, tokens: map[string]string{},
		offers: []Offer{modelOffer("small", 1)},
	}
}

func modelOffer(id string, price float64) Offer {
	return Offer{ID: id, Type: id, Region: "r1", Zone: "z1", Market: OnDemand, VCPU: 4, Memory: 8 << 10,
		Price: Price{Hourly: USD(price), Source: "model"}, Roads: RoadShell, EndsItself: true, Keeps: true}
}

func (m *modelCloud) Info() Info { return m.info }

// fault runs effect with whatever is planned for this call.
func (m *modelCloud) fault(ctx context.Context, op string, effect func() error) error {
	m.mu.Lock()
	m.calls[op]++
	n := m.calls[op]
	var f *modelFault
	for k := range m.faults {
		if m.faults[k].op == op && m.faults[k].nth == n {
			f = &m.faults[k]
		}
	}
	m.mu.Unlock()
	if f == nil {
		return m.effect(effect)
	}
	if f.slow > 0 {
		if err := sleep(ctx, f.slow); err != nil {
			return err
		}
		return m.effect(effect)
	}
	if f.after && !f.late {
		if err := m.effect(effect); err != nil {
			return err
		}
	}
	if f.hang {
		<-ctx.Done()
		if f.after && f.late {
			_ = m.effect(effect)
		}
		return ctx.Err()
	}
	return f.err
}

func (m *modelCloud) effect(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *modelCloud) now() time.Time { return time.Now().Add(m.skew) }

func (m *modelCloud) Offers(ctx context.Context, _ OfferQuery) ([]Offer, error) {
	return m.offers, m.fault(ctx, "offers", func() error { return nil })
}

func (m *modelCloud) Launch(ctx context.Context, r LaunchRequest) (Instance, error) {
	var i Instance
	err := m.fault(ctx, "launch", func() error {
		if id, ok := m.tokens[r.Token]; ok && m.info.Idempotent {
			i = m.seen(m.machines[id])
			return nil
		}
		i = m.add(r)
		return nil
	})
	return i, err
}

// add makes a machine; the caller holds the lock.
func (m *modelCloud) add(r LaunchRequest) Instance {
	m.seq++
	id := "m-" + strconv.Itoa(m.seq)
	label := r.Label
	if m.cutLabel > 0 {
		label = label[:m.cutLabel]
	}
	mm := &modelMachine{token: r.Token, Instance: Instance{ID: id, Label: label, State: StateRunning, Type: r.Offer.Type,
		Market: r.Offer.Market, Road: RoadShell, Price: r.Offer.Price, Launched: m.now()}}
	m.machines[id], m.tokens[r.Token] = mm, id
	return m.seen(mm)
}

func (m *modelCloud) seen(mm *modelMachine) Instance {
	i := mm.Instance
	i.Seen = m.now()
	if mm.ended {
		i.State = StateTerminated
	}
	return i
}

func (m *modelCloud) Get(ctx context.Context, id string) (Instance, error) {
	var i Instance
	err := m.fault(ctx, "get", func() error {
		mm, ok := m.machines[id]
		if !ok {
			return &Error{Kind: ErrNotFound}
		}
		i = m.seen(mm)
		return nil
	})
	return i, err
}

func (m *modelCloud) List(ctx context.Context, _ ListQuery) ([]Instance, error) {
	var all []Instance
	err := m.fault(ctx, "list", func() error {
		for _, mm := range m.machines {
			if m.now().Sub(mm.Launched) >= m.lag {
				all = append(all, m.seen(mm))
			}
		}
		return nil
	})
	return all, err
}

func (m *modelCloud) Terminate(ctx context.Context, id string) error {
	return m.fault(ctx, "terminate", func() error {
		mm, ok := m.machines[id]
		if !ok {
			return &Error{Kind: ErrNotFound}
		}
		mm.ended = true
		return nil
	})
}

// living counts the machines that bill and carry the key.
func (m *modelCloud) living(key string) (n int, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mm := range m.machines {
		if _, k, _ := LabelOwner(mm.Label); k == key && !mm.ended {
			n, id = n+1, mm.ID
		}
	}
	return n, id
}

// everLaunched counts all machines that ever carried the key.
func (m *modelCloud) everLaunched(key string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mm := range m.machines {
		if _, k, _ := LabelOwner(mm.Label); k == key {
			n++
		}
	}
	return n
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
