package lyceum

import (
	"time"

	"runctl/internal/wire"
)

// with runs do on a machine, under the lock. An id that never was panics: a mistake of the test.
func (f *Face) with(id string, do func(v *vm, now time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.vms {
		if v.ID == id {
			do(v, time.Now())
			return
		}
	}
	panic("lyceum: no machine " + id)
}

// VMs returns all machines that are not over, as they are: past every lag.
func (f *Face) VMs() (all []VM) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, v := range f.vms {
		if !v.over(now) {
			all = append(all, f.told(v, now))
		}
	}
	return all
}

func (f *Face) told(v *vm, now time.Time) VM {
	is := v.VM
	is.Status = v.status(f, now)
	return is
}

// VM returns a machine as it is, the dead too.
func (f *Face) VM(id string) (is VM) {
	f.with(id, func(v *vm, now time.Time) { is = f.told(v, now) })
	return is
}

// Billing returns the ids of all that costs something, or will if nobody ends it: machines that are not over, and runs.
func (f *Face) Billing() (ids []string) {
	for _, v := range f.VMs() {
		ids = append(ids, v.ID)
	}
	for _, r := range f.Runs() {
		if !r.Over {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Ledger returns what every machine and run has cost, span by span, until now.
func (f *Face) Ledger() []wire.Span {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.Spans(time.Now())
}

// Spent is what a machine or a run has cost until now, in USD.
func (f *Face) Spent(id string) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.Spent(id, time.Now())
}

// Add puts a machine of somebody else into the organisation, with this label, up and in every list.
func (f *Face) Add(label string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.add(&createRequest{Key: "ssh-ed25519 AAAA somebody", Profile: "h100", Name: &label, Type: onDemand}, 1)
	v.Label, v.hidden = label, map[string]time.Time{}
	return v.ID
}

// Remove deletes a machine behind the client's back: by the console, or another client.
func (f *Face) Remove(id string) {
	f.with(id, func(v *vm, now time.Time) { v.end(f, now, Terminated) })
}

// SetStatus brings a machine into a state, whatever led there: such as one that reclaims a spot machine.
func (f *Face) SetStatus(id, status string) {
	f.with(id, func(v *vm, now time.Time) { v.force(f, now, status) })
}

// SetLabel lets somebody name a machine anew.
func (f *Face) SetLabel(id, label string) {
	f.with(id, func(v *vm, _ time.Time) { v.Label = label })
}

// Hide makes operations not know a machine for some time; without operations it is the list.
func (f *Face) Hide(id string, d time.Duration, ops ...string) {
	f.with(id, func(v *vm, now time.Time) {
		if len(ops) == 0 {
			ops = []string{"listVMs"}
		}
		for _, op := range ops {
			v.hidden[op] = now.Add(d)
		}
	})
}

// HoldEnds makes machines go on, and bill, after their deletion was accepted.
func (f *Face) HoldEnds() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt.Deleting = stuck
}

// Broke empties the account: nothing new starts.
func (f *Face) Broke(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broke = v
}

// SoldOut leaves nothing to rent; the availability says so.
func (f *Face) SoldOut(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dry = v
}

// CutStreams breaks all streams that are open now.
func (f *Face) CutStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cut)
	f.cut = make(chan struct{})
}
