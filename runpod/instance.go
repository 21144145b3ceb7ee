package runpod

import (
	"net"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// states are RunPod's words for the state of a pod. A word that is not here is StateUnknown, which bills. So is
// ERROR, which RunPod calls unrecoverable, and from which a pod may still be started: nothing says that it has ended.
var states = map[string]runctl.State{
	"PROVISIONING": runctl.StatePending,
	"STARTING":     runctl.StatePending,
	"RUNNING":      runctl.StateRunning, // its container is up; what runs in it may not be ready, or starts over and over
	"EXITED":       runctl.StateStopped, // no compute charge; it keeps its host and its disk
	"ERROR":        runctl.StateUnknown,
	"TERMINATED":   runctl.StateTerminated,
}

// Names in the environment of a pod that say whose it is. GET shows them to everybody in the account.
const (
	markEnv  = "RUNCTL_MARK"  // the label, whole, should the name be cut
	nonceEnv = "RUNCTL_NONCE" // tells what our own PID 1 prints from what a job prints
	roadEnv  = "RUNCTL_ROAD"
)

// instance maps a pod's record. seen is the clock of the reply.
func (p *Provider) instance(v *Pod, seen time.Time) runctl.Instance {
	i := runctl.Instance{
		ID: v.ID, Label: label(v), State: states[v.Status], Reason: v.Status, Region: v.DC, Zone: v.Cloud, Market: runctl.OnDemand,
		Road: runctl.RoadShell, Launched: v.CreatedAt, Seen: seen, Native: v,
	}
	if v.Env[roadEnv] == runctl.RoadJob.String() {
		i.Road = runctl.RoadJob
	}
	switch {
	case v.GPU != nil:
		i.GPU = gpu(v.GPU.ID, v.GPU.Count, 0)
		i.Type = typeName(v.GPU.ID, v.GPU.Count)
	case v.CPU != nil:
		i.Type = typeName(v.CPU.ID, v.CPU.VCPUs)
	}
	if v.Cost > 0 { // a pod that does not run shows 0, which is not its price
		i.Price = runctl.Price{Hourly: runctl.USD(v.Cost), Source: "pod", At: seen}
	}
	if d := v.SSH.Direct; d != nil && d.Host != "" && d.Port > 0 {
		i.Addr = net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	}
	return i
}

// label is the pod's name. Of a name that was cut, the environment has the whole.
func label(v *Pod) string {
	if whole := v.Env[markEnv]; strings.HasPrefix(whole, v.Name) {
		return whole
	}
	return v.Name
}
