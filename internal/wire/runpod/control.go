package runpod

import (
	"time"

	"runctl/internal/wire"
)

// with runs do on a pod, under the lock, after time has done its part. An id that never was panics: a mistake of the test.
func (f *Face) with(id string, do func(p *pod, now time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.advance(now)
	for _, p := range f.pods {
		if p.ID == id {
			do(p, now)
			f.changed.Notify()
			return
		}
	}
	panic("runpod: no pod " + id)
}

// Pods returns all pods that are not TERMINATED, as they are: past every lag.
func (f *Face) Pods() (pods []Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance(time.Now())
	for _, p := range f.pods {
		if p.Status != Terminated {
			pods = append(pods, p.view())
		}
	}
	return pods
}

// Billing returns the ids of all pods that cost something: compute, or the disk of one that is stopped.
func (f *Face) Billing() (ids []string) {
	for _, p := range f.Pods() {
		ids = append(ids, p.ID)
	}
	return ids
}

// Pod returns a pod as it is, TERMINATED ones too.
func (f *Face) Pod(id string) (v Pod) {
	f.with(id, func(p *pod, _ time.Time) { v = p.view() })
	return v
}

// Starts is how many containers the pod has had.
func (f *Face) Starts(id string) (n int) {
	f.with(id, func(p *pod, _ time.Time) { n = p.starts })
	return n
}

// PodKey is the key that the pod finds in its environment.
func (f *Face) PodKey(id string) (key string) {
	f.with(id, func(p *pod, _ time.Time) { key = p.key })
	return key
}

// Ledger returns what every pod has cost, span by span, until now.
func (f *Face) Ledger() []wire.Span {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.advance(now)
	return f.ledger.Spans(now)
}

// Spent is what a pod has cost until now, in USD: compute alone.
func (f *Face) Spent(id string) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.advance(now)
	return f.ledger.Spent(id, now)
}

// Add puts a pod of somebody else into the account, with this name and environment.
func (f *Face) Add(name string, env map[string]string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, cloud := 1, "SECURE"
	p := f.add(&create{Name: name, Image: "busybox:1.36", Env: env, GPU: &GPU{ID: gpuTypes[0].ID, Count: &one}, Cloud: &cloud})
	p.hidden = map[string]time.Time{}
	return p.ID
}

// Remove deletes a pod behind the client's back: by the console, or another client.
func (f *Face) Remove(id string) {
	f.with(id, func(p *pod, now time.Time) {
		p.become(now, Terminated)
		if p.box != nil {
			go p.box.Kill()
		}
	})
}

// StopByPlatform stops a pod without asking its container: no signal, no grace.
func (f *Face) StopByPlatform(id string) {
	f.with(id, func(p *pod, now time.Time) {
		p.stopping = true
		if p.box != nil {
			go p.box.Kill()
			return
		}
		p.returned(now)
	})
}

// SetStatus brings a pod into a state, whatever led there.
func (f *Face) SetStatus(id, status string) {
	f.with(id, func(p *pod, now time.Time) {
		p.next = nil
		p.become(now, status)
	})
}

// Join makes a pod a member of a cluster, which the pod endpoints cannot end.
func (f *Face) Join(id, cluster string) {
	f.with(id, func(p *pod, _ time.Time) { p.Cluster = &Cluster{ID: cluster} })
}

// Astray makes a pod's address lead to another host, as that of an earlier pod does; empty: to the pod again.
func (f *Face) Astray(id, addr string) {
	f.with(id, func(p *pod, _ time.Time) { p.astray = addr })
}

// Hide makes operations not know a pod for some time; without operations it is the list.
func (f *Face) Hide(id string, d time.Duration, ops ...string) {
	f.with(id, func(p *pod, now time.Time) {
		if len(ops) == 0 {
			ops = []string{"listPods"}
		}
		for _, op := range ops {
			p.hidden[op] = now.Add(d)
		}
	})
}

// HoldEnds makes pods go on, and bill, after their deletion was accepted.
func (f *Face) HoldEnds() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt.Deleting = stuck
}

// Broke empties the account: pods without a network volume are deleted, the others are stopped, and nothing new starts.
func (f *Face) Broke() {
	f.mu.Lock()
	f.broke = true
	f.mu.Unlock()
	for _, p := range f.Pods() {
		if len(p.Mounts.Network) == 0 {
			f.Remove(p.ID)
		} else if p.Status == Running {
			f.StopByPlatform(p.ID)
		}
	}
}

// SoldOut leaves nothing to rent; the catalog says so.
func (f *Face) SoldOut(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dry = v
}

// Deaf makes actions answer 200 and do nothing.
func (f *Face) Deaf(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = v
}

// Restart is what the host does when it reboots: the container is gone at once, and another starts.
func (f *Face) Restart(id string) {
	f.with(id, func(p *pod, now time.Time) {
		switch {
		case p.box != nil:
			go p.box.Kill()
		case !p.since.IsZero():
			p.returned(now)
		}
	})
}
