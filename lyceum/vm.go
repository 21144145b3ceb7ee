package lyceum

import (
	"net"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// VM is a virtual machine as it stands in replies of the API; Instance.Native is a pointer to one. What Lyceum does not
// tell is empty: in the reply to a create the hardware stands in Specs alone.
type VM struct {
	ID          Text   `json:"vm_id"` // opaque
	Status      Text   `json:"status"`
	CreatedAt   Text   `json:"created_at"`
	Specs       *Specs `json:"instance_specs"`
	Address     Text   `json:"ip_address"` // host or host:port; empty until it has one, and sometimes even when it is ready
	Profile     Text   `json:"hardware_profile"`
	GPUs        Text   `json:"gpu_count"`
	Bought      Text   `json:"instance_type"` // on-demand or spot
	Name        Text   `json:"name"`          // Lyceum's own
	DisplayName Text   `json:"display_name"`  // ours
	Uptime      Text   `json:"uptime_seconds"`
	Billed      Text   `json:"billed"` // credits so far
	OrgID       Text   `json:"org_id"`
}

// Specs is the hardware of a machine.
type Specs struct {
	GPU  Text `json:"gpu_type"`
	GPUs Text `json:"gpu_count"`
}

// vmStates are Lyceum's words for the state of a virtual machine, in lower case. A word that is not here is StateUnknown,
// which bills.
var vmStates = map[string]runctl.State{
	"pending":      runctl.StatePending,
	"provisioning": runctl.StatePending,
	"ready":        runctl.StateRunning, // once it has an address
	"running":      runctl.StateRunning, // likewise
	"stopped":      runctl.StateStopped, // named on one page; no call leads to it
	"terminated":   runctl.StateTerminated,
	"failed":       runctl.StateTerminated, // could not be made, or broke; terminal in Lyceum's own client
	"error":        runctl.StateTerminated, // likewise
}

// markets are how a machine was bought. Another word is no market.
var markets = map[string]runctl.Market{"on_demand": runctl.OnDemand, "spot": runctl.Spot}

// state is the machine's. One that is ready and has no address is not.
func (v *VM) state() runctl.State {
	s := vmStates[v.Status.word()]
	if s == runctl.StateRunning && strings.TrimSpace(string(v.Address)) == "" {
		return runctl.StatePending
	}
	return s
}

// hardware is the machine's, from where it is told.
func (v *VM) hardware() (profile string, count int) {
	kind, n := v.Profile, v.GPUs
	if s := v.Specs; s != nil {
		if s.GPU != "" {
			kind = s.GPU
		}
		if s.GPUs != "" {
			n = s.GPUs
		}
	}
	count, _ = n.Int()
	return strings.ToLower(string(kind)), count
}

// instance maps a machine. seen is the clock of the reply.
func (v *VM) instance(seen time.Time) runctl.Instance {
	profile, count := v.hardware()
	i := runctl.Instance{
		ID: vmPrefix + string(v.ID), Label: string(v.DisplayName), State: v.state(), Reason: string(v.Status), Type: typeName(profile, count),
		GPU: gpu(profile, count), Market: markets[v.Bought.word()], Road: runctl.RoadShell, Launched: v.CreatedAt.Time(), Seen: seen, Native: v,
	}
	if i.Market == runctl.Spot && i.State == runctl.StateTerminated {
		i.Reason += "; it was a spot machine, which Lyceum may take back without notice"
	}
	if host, port, err := splitAddress(string(v.Address)); err == nil && i.State != runctl.StateTerminated {
		i.Addr = net.JoinHostPort(host, port)
	}
	return i
}

// splitAddress reads a machine's address: a host, an IPv6 address with or without brackets, or either of them with a
// port. Without a port it is 22.
func splitAddress(s string) (host, port string, err error) {
	s = strings.TrimSpace(s)
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if net.ParseIP(bare) != nil && strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]") {
		return bare, "22", nil
	}
	host, port = s, "22"
	if strings.Contains(s, ":") {
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", "", invalid("%q is not an address", clip(s))
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " \t\r\n/@[]") {
		return "", "", invalid("%q is not an address", clip(s))
	}
	return host, strconv.FormatUint(n, 10), nil
}
