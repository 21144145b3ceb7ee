package lyceum

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// The markets.
const (
	onDemand = "on-demand"
	spot     = "spot"
)

// The states of a machine that the face brings about by itself.
const (
	Pending      = "pending"
	Provisioning = "provisioning"
	Ready        = "ready"
	Terminated   = "terminated"
	Failed       = "failed"
)

// unbilled are the states that cost nothing; in those of over a machine is for ever.
var (
	unbilled = map[string]bool{Pending: true, Provisioning: true, Terminated: true, Failed: true, "error": true}
	over     = map[string]bool{Terminated: true, Failed: true, "error": true}
)

// stuck is further away than any test looks.
const stuck = 1000 * time.Hour

// VM is a machine as it is, whatever a request may be told.
type VM struct {
	ID, Label, Profile, Market, Key string
	GPUs                            int
	Status                          string
	Born                            time.Time
	Address                         string // host, or host:port
}

// vm is a machine and what becomes of it.
type vm struct {
	VM
	n      int // how many were before it
	name   string
	hourly float64
	up     time.Time            // when it is up
	ended  time.Time            // when it is over; zero: never
	last   string               // the state from then on
	forced string               // the state that a test has brought it into
	hidden map[string]time.Time // by operationId: 404, or missing from the list, until then
}

// add makes a machine. The lock is held, and the rules were looked at.
func (f *Face) add(c *createRequest, count int) *vm {
	now := time.Now()
	f.serial++
	v := &vm{n: len(f.vms), hidden: map[string]time.Time{}, name: fmt.Sprintf("croesus-%04d", f.serial)}
	v.ID, v.Profile, v.GPUs, v.Market, v.Key, v.Born = f.newID(), c.Profile, count, c.Type, c.Key, now
	if v.Label = c.label(); f.opt.LabelMax != 0 && len(v.Label) > f.opt.LabelMax {
		v.Label = v.Label[:max(f.opt.LabelMax, 0)]
	}
	v.Address = f.address(v.n)
	if f.opt.Drift != nil {
		f.opt.Drift(&v.VM)
	}
	v.hourly = perGPU(v.Profile, v.Market) * float64(v.GPUs)
	placing := f.opt.Provisioning
	if placing < 0 {
		placing = stuck
	}
	v.up = now.Add(placing)
	f.ledger.Set(v.ID, Pending, now, 0)
	f.ledger.Set(v.ID, Ready, v.up, v.hourly)
	v.hidden["listVMs"] = now.Add(f.opt.ListLag)
	for _, op := range []string{"getVMStatus", "terminateVM"} {
		v.hidden[op] = now.Add(f.opt.GetLag)
	}
	f.vms = append(f.vms, v)
	if f.opt.OnKey != nil {
		f.opt.OnKey(c.Key)
	}
	f.changed.Notify()
	return v
}

// newID is 32 hex digits for some, a dashed UUID for others.
func (f *Face) newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	s := hex.EncodeToString(b[:])
	if f.serial%2 == 0 {
		return s
	}
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// address is where a machine is reached: with a port for some, without for others.
func (f *Face) address(n int) string {
	switch {
	case f.opt.SSH != "":
		return f.opt.SSH
	case f.opt.Address != nil:
		return f.opt.Address(n)
	case n%2 == 0:
		return fmt.Sprintf("192.0.2.%d", 1+n%250)
	}
	return fmt.Sprintf("198.51.100.%d:%d", 1+n%250, 20000+n)
}

// status is the state at a time.
func (v *vm) status(f *Face, now time.Time) string {
	switch {
	case v.over(now):
		return v.last
	case v.forced != "":
		return v.forced
	case now.Before(v.Born.Add(v.up.Sub(v.Born) / 2)):
		return Pending
	case now.Before(v.up):
		return Provisioning
	}
	return cmp.Or(f.opt.Up, Ready)
}

func (v *vm) over(now time.Time) bool { return !v.ended.IsZero() && !v.ended.After(now) }

// end ends a machine at a time, which may be in the future. What it bills ends with it.
func (v *vm) end(f *Face, at time.Time, last string) {
	v.ended, v.last, v.forced = at, last, ""
	f.ledger.End(v.ID, at)
	f.changed.Notify()
}

// force brings a machine into a state, whatever led there. It has its address then, if ever one of that state has.
func (v *vm) force(f *Face, now time.Time, status string) {
	if over[status] {
		v.end(f, now, status)
		return
	}
	v.ended, v.forced = time.Time{}, status
	if at := now.Add(-f.opt.AddrLag); v.up.After(at) {
		v.up = at
	}
	hourly := v.hourly
	if unbilled[status] {
		hourly = 0
	}
	f.ledger.Set(v.ID, status, now, hourly)
	f.changed.Notify()
}

// How times are written: create names no zone, the others name it in two ways.
const (
	noZone = "2006-01-02T15:04:05.000000"
	zulu   = "2006-01-02T15:04:05.000000Z"
	offset = "2006-01-02T15:04:05.000000+00:00"
)

// view is the machine as it is told now.
func (f *Face) view(v *vm, now time.Time, layout string) map[string]any {
	status := v.status(f, now)
	m := map[string]any{
		"vm_id": v.ID, "status": status, "created_at": v.Born.UTC().Format(layout),
		"instance_specs": map[string]any{"gpu_type": v.Profile, "gpu_count": v.GPUs},
		"ip_address":     nil, "hardware_profile": v.Profile, "gpu_count": v.GPUs, "instance_type": v.Market,
		"name": v.name, "display_name": v.Label, "billed": nil, "croesus_billed": nil, "user_id": "user-1", "org_id": "org-1",
	}
	if f.opt.LabelMax < 0 {
		m["display_name"] = nil
	}
	if now.Sub(v.up) >= f.opt.AddrLag && status != Pending && status != Provisioning { // the dead keep their last
		m["ip_address"] = v.Address
	}
	if up := now.Sub(v.up); up > 0 && !v.over(now) {
		m["billed"] = f.ledger.Spent(v.ID, now)
		m["uptime_seconds"] = int(up / time.Second)
	}
	return f.dress(m, "vm_id", "status", "created_at", "instance_specs", "display_name", "ip_address")
}
