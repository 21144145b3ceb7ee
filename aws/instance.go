package aws

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

// states are EC2's names for the state of an instance. One that is not here is StateUnknown, which bills. A machine that
// shuts down is not shown ended yet, and has disks: only "terminated" is an end.
var states = map[types.InstanceStateName]runctl.State{
	types.InstanceStateNamePending:      runctl.StatePending,
	types.InstanceStateNameRunning:      runctl.StateRunning,
	types.InstanceStateNameShuttingDown: runctl.StateStopping,
	types.InstanceStateNameStopping:     runctl.StateStopping,
	types.InstanceStateNameStopped:      runctl.StateStopped,
	types.InstanceStateNameTerminated:   runctl.StateTerminated,
}

// instance maps EC2's record of a machine. seen is the clock of the reply.
func (p *Provider) instance(v *types.Instance, seen time.Time) runctl.Instance {
	i := runctl.Instance{
		ID: awssdk.ToString(v.InstanceId), Label: labelOf(v), Type: string(v.InstanceType), Region: p.cfg.Region,
		Market: runctl.OnDemand, Road: runctl.RoadShell, Launched: born(v), Seen: seen, Native: v,
		GPU: parseGPU(tagOf(v.Tags, gpuTag)), Price: parsePrice(tagOf(v.Tags, priceTag)),
	}
	if v.State != nil {
		i.State = states[v.State.Name]
	}
	if v.InstanceLifecycle == types.InstanceLifecycleTypeSpot {
		i.Market = runctl.Spot
	}
	if v.Placement != nil {
		i.Zone = awssdk.ToString(v.Placement.AvailabilityZone)
	}
	why := awssdk.ToString(v.StateTransitionReason)
	if v.StateReason != nil {
		i.Reason = cmp.Or(awssdk.ToString(v.StateReason.Code), awssdk.ToString(v.StateReason.Message))
	}
	if i.Reason = cmp.Or(i.Reason, why); i.State == runctl.StateTerminated {
		i.Ended = changed(why)
	}
	if i.State == runctl.StateUnknown && v.State != nil {
		i.Reason = cmp.Or(i.Reason, "EC2 calls its state "+string(v.State.Name))
	}
	i.Addr = awssdk.ToString(v.PublicIpAddress)
	if p.cfg.Private {
		i.Addr = awssdk.ToString(v.PrivateIpAddress)
	}
	return i
}

// born is when a machine was launched first. EC2's LaunchTime is that of the last start; the root volume has been
// there since the first.
func born(v *types.Instance) time.Time {
	at := awssdk.ToTime(v.LaunchTime)
	for _, d := range v.BlockDeviceMappings {
		if d.Ebs == nil || awssdk.ToString(d.DeviceName) != awssdk.ToString(v.RootDeviceName) {
			continue
		}
		if first := awssdk.ToTime(d.Ebs.AttachTime); !first.IsZero() && first.Before(at) {
			at = first
		}
	}
	return at
}

var transition = regexp.MustCompile(`\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)`)

// changed is the time in a StateTransitionReason such as "User initiated (2026-11-02 10:04:05 GMT)"; zero without one.
func changed(reason string) time.Time {
	m := transition.FindStringSubmatch(reason)
	if m == nil {
		return time.Time{}
	}
	at, err := time.ParseInLocation(time.DateTime, m[1], time.UTC)
	if err != nil {
		return time.Time{}
	}
	return at
}

// formatGPU is what the tag has of an offer's GPUs.
func formatGPU(g runctl.GPU) string {
	if g == (runctl.GPU{}) {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", g.Model, g.Count, g.Memory)
}

func parseGPU(s string) runctl.GPU {
	f := strings.Split(s, ":")
	if len(f) != 3 {
		return runctl.GPU{}
	}
	count, err1 := strconv.Atoi(f[1])
	memory, err2 := strconv.ParseInt(f[2], 10, 64)
	if f[0] == "" || err1 != nil || err2 != nil || count < 1 || count > 1024 || memory < 0 || memory > 1<<30 {
		return runctl.GPU{}
	}
	return runctl.GPU{Model: f[0], Count: count, Memory: memory}
}

// formatPrice is what the tag has of an offer's price: nanos an hour, currency, and when the price was read.
func formatPrice(p runctl.Price) string {
	if !p.Hourly.Known() {
		return ""
	}
	return fmt.Sprintf("%d %s %d", p.Hourly.Nanos, p.Hourly.Currency, p.At.Unix())
}

func parsePrice(s string) runctl.Price {
	f := strings.Fields(s)
	if len(f) != 3 {
		return runctl.Price{}
	}
	nanos, err1 := strconv.ParseInt(f[0], 10, 64)
	at, err2 := strconv.ParseInt(f[2], 10, 64)
	if err1 != nil || err2 != nil || nanos < 0 || len(f[1]) != 3 {
		return runctl.Price{}
	}
	return runctl.Price{Hourly: runctl.Money{Nanos: nanos, Currency: f[1]}, Source: "launch", At: time.Unix(at, 0).UTC()}
}
