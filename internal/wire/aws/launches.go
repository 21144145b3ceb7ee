package aws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// launch is one accepted RunInstances request: its token answers for it as long as it is remembered.
type launch struct {
	reservation string
	request     string // its parameters, but for DryRun
	at          time.Time
	instances   []*instance
}

func (x *exchange) runInstances() (params, *refusal) {
	f := x.f
	if no := f.ruled(x.in); no != nil {
		return nil, no
	}
	if x.in.flag("DryRun") {
		return nil, refuse(http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	token, request := x.in.str("ClientToken"), requestText(x.in)
	key := f.opt.region() + " " + token
	if z := f.zoneAsked(x.in); z != "" {
		key = z + " " + token // with a zone the token is the zone's
	}
	if old := f.tokens[key]; token != "" && old != nil {
		return f.again(old, request)
	}
	t := findType(x.in.str("InstanceType"))
	zone, no := f.place(x.in, t)
	if no != nil {
		return nil, no
	}
	if no := f.quota(x.in, t); no != nil {
		return nil, no
	}
	l := &launch{reservation: f.newID("r"), request: request, at: time.Now()}
	for range x.in.num(1, "MaxCount") {
		l.instances = append(l.instances, f.add(x.in, l, t, zone))
	}
	if token != "" {
		f.tokens[key] = l
	}
	return l.reply(), nil
}

// requestText is what two requests with one token must have in common.
func requestText(in params) string {
	c := params{}
	for k, v := range in {
		if k != "DryRun" {
			c[k] = v
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// again is what a token that was used before brings.
func (f *Face) again(old *launch, request string) (params, *refusal) {
	if old.request != request {
		return nil, bad("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
	}
	for _, i := range old.instances {
		if f.opt.TokenDead && (i.state == "terminated" || i.state == "shutting-down") {
			return nil, bad("IdempotentInstanceTerminated", "The instance that was launched with this client token is terminated: %s", i.id)
		}
	}
	return old.reply(), nil
}

func (l *launch) reply() params {
	out := params{"ReservationId": l.reservation, "OwnerId": account, "Groups": []params{}}
	var rows []params
	for _, i := range l.instances {
		rows = append(rows, i.view())
	}
	out["Instances"] = rows
	return out
}

// zoneAsked is the zone that a launch names, by itself or by a subnet; empty: any.
func (f *Face) zoneAsked(in params) string {
	if z := in.str("Placement", "AvailabilityZone"); z != "" {
		return z
	}
	subnet := in.str("SubnetId")
	for _, n := range in.list("NetworkInterfaces") {
		if s := n.str("SubnetId"); s != "" {
			subnet = s
		}
	}
	for n, z := range f.zones() {
		if subnet == subnetID(n) {
			return z
		}
	}
	return ""
}

// place finds the zone for a launch, or says that there is no room.
func (f *Face) place(in params, t *Type) (string, *refusal) {
	asked := f.zoneAsked(in)
	var elsewhere []string
	for _, z := range f.zones() {
		if !t.in(z) || f.full(t.Name, z, in) {
			continue
		}
		if asked == "" || asked == z {
			return z, nil
		}
		elsewhere = append(elsewhere, z)
	}
	spot := in.str("InstanceMarketOptions", "MarketType") == "spot"
	switch {
	case asked != "" && !t.in(asked):
		return "", bad("Unsupported", "Your requested instance type (%s) is not supported in your requested Availability Zone (%s). "+
			"Please retry your request by not specifying an Availability Zone or choosing %s.", t.Name, asked, strings.Join(elsewhere, ", "))
	case spot:
		return "", refuse(http.StatusInternalServerError, "InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request.")
	case asked == "":
		return "", refuse(http.StatusInternalServerError, "InsufficientInstanceCapacity", "We currently do not have sufficient %s capacity in the Availability Zones you requested.", t.Name)
	}
	return "", refuse(http.StatusInternalServerError, "InsufficientInstanceCapacity", "We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). "+
		"Our system will be working on provisioning additional capacity. You can currently get %s capacity by not specifying an Availability Zone in your request or choosing %s.",
		t.Name, asked, t.Name, strings.Join(elsewhere, ", "))
}

// full reports whether a type is sold out somewhere. Spot runs out alone as well: "spot TYPE ZONE".
func (f *Face) full(typ, zone string, in params) bool {
	for _, market := range []string{"", "spot "} {
		if market != "" && in.str("InstanceMarketOptions", "MarketType") != "spot" {
			continue
		}
		for _, t := range []string{typ, "*"} {
			for _, z := range []string{zone, "*"} {
				if f.soldOut[market+t+" "+z] {
					return true
				}
			}
		}
	}
	return false
}

// quota counts virtual CPUs of the family.
func (f *Face) quota(in params, t *Type) *refusal {
	spot := in.str("InstanceMarketOptions", "MarketType") == "spot"
	limits, used := f.opt.VCPUs, 0
	if spot {
		limits = f.opt.SpotVCPUs
	}
	limit, ok := limits[t.Family()]
	if !ok {
		return nil
	}
	for _, i := range f.instances {
		if i.spot == spot && i.typ.Family() == t.Family() && slices.Contains([]string{"pending", "running", "stopping"}, i.state) {
			used += i.typ.VCPU
		}
	}
	switch {
	case used+t.VCPU*in.num(1, "MaxCount") <= limit:
		return nil
	case spot:
		return bad("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
	}
	return bad("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of %d allows for the instance bucket that the specified "+
		"instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.", limit)
}

// add makes an instance. The lock is held, and the rules were looked at.
func (f *Face) add(in params, l *launch, t *Type, zone string) *instance {
	now := time.Now()
	i := &instance{f: f, n: len(f.instances) + 1, id: f.newID("i"), launch: l, in: in, typ: t, zone: zone, image: f.image(in.str("ImageId")), born: second(now),
		tags: map[string]string{}, eniTags: map[string]string{}, profile: in.str("IamInstanceProfile", "Name"), shutdown: "stop",
		protected: in.flag("DisableApiTermination"), spot: in.str("InstanceMarketOptions", "MarketType") == "spot"}
	if arn := in.str("IamInstanceProfile", "Arn"); arn != "" {
		i.profile = arn[strings.LastIndex(arn, "/")+1:]
	}
	if s := in.str("InstanceInitiatedShutdownBehavior"); s != "" {
		i.shutdown = s
	}
	if i.spot {
		i.sir, i.sirOpen = "sir-"+i.id[len(i.id)-8:], true
	}
	for _, s := range in.list("TagSpecifications") {
		for _, t := range tagsIn(s) {
			switch s.str("ResourceType") {
			case "instance":
				i.tags[t.key] = t.value
			case "network-interface":
				i.eniTags[t.key] = t.value
			}
		}
	}
	i.subnet = subnetID(slices.Index(f.zones(), zone))
	i.groups = f.groupsAsked(in)
	i.key = f.key(in.str("KeyName"))
	i.disks(now)
	i.unlisted, i.unknown = now.Add(f.opt.ListLag), now.Add(f.opt.GetLag)
	f.instances = append(f.instances, i)
	f.byID[i.id] = i
	i.boot(now) // the reply says pending, however fast it comes to run
	return i
}

func tagsIn(spec params) (all []tag) {
	for _, t := range spec.list("Tags") {
		all = append(all, tag{t.str("Key"), t.str("Value")})
	}
	return all
}

func tagRows(m map[string]string) []params {
	rows := []params{}
	for _, k := range sortedKeys(m) {
		rows = append(rows, params{"Key": k, "Value": m[k]})
	}
	return rows
}

// arn is a thing's full name.
func (f *Face) arn(format string, args ...any) string {
	return fmt.Sprintf("arn:aws:ec2:%s:%s:", f.opt.region(), account) + fmt.Sprintf(format, args...)
}
