package aws

import (
	"slices"
	"time"
)

// act is what an operation does to each of the instances that it names: all of them, or none.
type act struct {
	from []string // states from which it does something
	same []string // states in which it does nothing, and says so
	do   func(i *instance, now time.Time)
}

// acts are the operations that change an instance's state.
var acts = map[string]act{
	"TerminateInstances": {[]string{"pending", "running", "stopping", "stopped"}, []string{"shutting-down", "terminated"}, func(i *instance, now time.Time) {
		code, text, transition := userInitiated(now)
		i.end(now, code, text, transition)
	}},
	"StopInstances":   {[]string{"running"}, []string{"stopping", "stopped"}, func(i *instance, now time.Time) { code, text, t := userInitiated(now); i.halt(now, code, text, t) }},
	"StartInstances":  {[]string{"stopped"}, []string{"pending", "running"}, func(i *instance, now time.Time) { i.boot(now) }},
	"RebootInstances": {[]string{"running"}, nil, func(i *instance, now time.Time) { i.reboot() }},
}

func (x *exchange) change() ([]params, *refusal) {
	now, a := time.Now(), acts[x.o.name]
	all, no := x.idsNamed(x.in.strs("InstanceIds"), now)
	if no != nil {
		return nil, no
	}
	if len(all) == 0 {
		return nil, bad("MissingParameter", "The request must contain the parameter InstanceId")
	}
	for _, i := range all {
		_, once := i.in.at("InstanceMarketOptions", "MarketType").(string)
		once = once && i.in.str("InstanceMarketOptions", "SpotOptions", "SpotInstanceType") != "persistent"
		switch {
		case !slices.Contains(a.from, i.state) && !slices.Contains(a.same, i.state):
			return nil, bad("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be %s.", i.id, map[string]string{
				"StopInstances": "stopped", "StartInstances": "started", "RebootInstances": "rebooted"}[x.o.name])
		case x.o.name == "StopInstances" && once:
			return nil, bad("UnsupportedOperation", "You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request. "+
				"You can only stop Spot Instances associated with persistent Spot Instance requests.", i.id)
		case x.o.name == "TerminateInstances" && i.protected:
			return nil, bad("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", i.id)
		}
		if x.o.name == "StartInstances" && i.state == "stopped" {
			if x.f.full(i.typ.Name, i.zone, i.in) {
				return nil, refuse(500, "InsufficientInstanceCapacity", "Insufficient capacity.")
			}
			if no := x.f.quota(params{"InstanceMarketOptions": i.in["InstanceMarketOptions"]}, i.typ); no != nil {
				return nil, no
			}
		}
	}
	if x.in.flag("DryRun") {
		return nil, refuse(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	var rows []params
	for _, i := range all {
		before := i.state
		current := before
		if slices.Contains(a.from, i.state) {
			a.do(i, now)
			current = map[string]string{"TerminateInstances": "shutting-down", "StopInstances": "stopping", "StartInstances": "pending"}[x.o.name]
		}
		rows = append(rows, params{"InstanceId": i.id, "PreviousState": params{"Code": stateCodes[before], "Name": before},
			"CurrentState": params{"Code": stateCodes[current], "Name": current}})
	}
	return rows, nil
}

func (x *exchange) terminateInstances() (params, *refusal) {
	rows, no := x.change()
	return params{"TerminatingInstances": rows}, no
}

func (x *exchange) stopInstances() (params, *refusal) {
	rows, no := x.change()
	return params{"StoppingInstances": rows}, no
}

func (x *exchange) startInstances() (params, *refusal) {
	rows, no := x.change()
	return params{"StartingInstances": rows}, no
}

func (x *exchange) rebootInstances() (params, *refusal) {
	_, no := x.change()
	return nil, no
}
