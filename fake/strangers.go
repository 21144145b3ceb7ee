package fake

import (
	"cmp"
	"time"

	"runctl"
)

// Add puts machines of other people into the account and returns their ids. Label is what is found on the
// machine, such as a look-alike of ours; an empty ID is minted, no State is running, no Launched is now.
// They never end by themselves, and are on nobody's bill. An id that is there already panics.
func (c *Cloud) Add(machines ...runctl.Instance) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, i := range machines {
		now := c.tick()
		if i.ID == "" {
			i.ID = c.mint("stranger")
		}
		if c.machines[i.ID] != nil {
			panic("fake: there is a machine " + i.ID + " already")
		}
		if i.State == runctl.StateUnknown {
			i.State = runctl.StateRunning
		}
		born := now
		if !i.Launched.IsZero() {
			born = i.Launched.Add(-c.phys.Skew)
		}
		i.Launched = c.clock(born)
		i.Type, i.Region = cmp.Or(i.Type, "cpu-4"), cmp.Or(i.Region, region)
		i.Market, i.Road = cmp.Or(i.Market, runctl.OnDemand), cmp.Or(i.Road, runctl.RoadShell)
		if i.Native == nil {
			i.Native = Native{Name: i.Label}
		}
		m := &machine{id: i.ID, key: cmp.Or(keyOf(i.Label), i.ID), name: i.Label, stranger: true, base: i,
			past: []change{{born, i.State, i.Reason}}}
		c.keep(m)
		c.note(now, "%s %s: a stranger's", m.key, m.id)
		ids = append(ids, m.id)
	}
	c.wake()
	return ids
}

// Clone lets somebody copy a machine in the console, and returns the copy's id. The copy has the same
// name, that is tag, price and type; it has no launch token, and so no label where the cloud keeps labels
// in what a copy cannot carry. On a [NameOnly] cloud it has the label. An unknown id panics.
func (c *Cloud) Clone(id string) string {
	c.mu.Lock()
	m := c.machines[id]
	if m == nil {
		c.mu.Unlock()
		panic("fake: no machine " + id)
	}
	i := m.base
	c.mu.Unlock()
	i.ID, i.Launched = "", time.Time{}
	if !c.copies {
		i.Label = ""
	}
	i.Native = Native{Name: m.name, CloneOf: id}
	return c.Add(i)[0]
}
