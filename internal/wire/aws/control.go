package aws

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Served returns how often an operation was asked for; "" is all of them.
func (f *Face) Served(op string) (n int) {
	for _, c := range f.Calls() {
		if op == "" || c.Op == op {
			n++
		}
	}
	return n
}

// Calls are the requests so far, in the order of their coming.
func (f *Face) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Instance is a machine as it is: past every lag.
type Instance struct {
	ID, Type, Zone, State, Token, Image, Subnet, Profile, Key, Shutdown, PublicIP string
	Tags, VolumeTags, InterfaceTags                                               map[string]string // volumes: of the root
	Groups                                                                        []string          // names
	Spot, Encrypted                                                               bool
	RootGiB                                                                       int
	UserData                                                                      []byte // decoded, and decompressed
	Born, Ended                                                                   time.Time
	Boots                                                                         int
	Launch                                                                        map[string]any // the request
}

func (i *instance) show() Instance {
	v := Instance{ID: i.id, Type: i.typ.Name, Zone: i.zone, State: i.state, Token: i.in.str("ClientToken"), Image: i.image.id, Subnet: i.subnet, Profile: i.profile,
		Shutdown: i.shutdown, PublicIP: i.public(), Tags: maps.Clone(i.tags), InterfaceTags: maps.Clone(i.eniTags), Spot: i.spot, UserData: plainUserData(i.in), Born: i.born, Ended: i.ended,
		Boots: i.boots, Launch: i.in}
	if i.key != nil {
		v.Key = i.key.name
	}
	for _, g := range i.groups {
		v.Groups = append(v.Groups, g.name)
	}
	for _, d := range i.volumes {
		if d.device == i.image.root {
			v.VolumeTags, v.Encrypted, v.RootGiB = maps.Clone(d.tags), d.encrypted, d.size
		}
	}
	return v
}

// Instances are all machines of the account, ended ones too, in the order of their births.
func (f *Face) Instances() (all []Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance(time.Now())
	for _, i := range f.instances {
		all = append(all, i.show())
	}
	return all
}

// Instance is one of them. An id that never was panics: a mistake of the test.
func (f *Face) Instance(id string) (v Instance) {
	f.with(id, func(i *instance, _ time.Time) { v = i.show() })
	return v
}

// Billing are the ids of all machines that cost something: compute, or the disk of one that is stopped.
func (f *Face) Billing() (ids []string) {
	for _, i := range f.Instances() {
		if i.State != "terminated" {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// Ledger returns what every machine has cost, span by span, until now.
func (f *Face) Ledger() (all []Span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.advance(now)
	for _, i := range f.instances {
		for _, s := range i.spans {
			if s.To.IsZero() {
				s.To = now
			}
			all = append(all, s)
		}
	}
	return all
}

// Spent is what a machine has cost until now, in USD: compute alone.
func (f *Face) Spent(id string) (usd float64) {
	for _, s := range f.Ledger() {
		if s.Instance == id {
			usd += s.Hourly * s.To.Sub(s.From).Hours()
		}
	}
	return usd
}

// with runs do on a machine, under the lock, after time has done its part.
func (f *Face) with(id string, do func(i *instance, now time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.advance(now)
	i := f.byID[id]
	if i == nil {
		panic("aws: no instance " + id)
	}
	do(i, now)
	f.advance(now)
}

// Add puts a machine of somebody else into the account, with these tags and this client token.
func (f *Face) Add(token string, tags map[string]string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := []any{}
	for _, k := range sortedKeys(tags) {
		rows = append(rows, params{"Key": k, "Value": tags[k]})
	}
	in := params{"ImageId": f.public(wellKnown[0]).id, "InstanceType": catalogue[0].Name, "MinCount": int64(1), "MaxCount": int64(1), "ClientToken": token,
		"TagSpecifications": []any{params{"ResourceType": "instance", "Tags": rows}}}
	l := &launch{reservation: f.newID("r"), at: time.Now()}
	i := f.add(in, l, &catalogue[0], f.zones()[0])
	i.unlisted, i.unknown = time.Time{}, time.Time{}
	l.instances = []*instance{i}
	f.advance(time.Now())
	return i.id
}

// Terminate ends a machine behind the client's back: by the console, or another client.
func (f *Face) Terminate(id string) {
	f.with(id, func(i *instance, now time.Time) {
		code, text, transition := userInitiated(now)
		i.gone(now, code, text, transition)
	})
}

// PowerOff is what a machine does to itself.
func (f *Face) PowerOff(id string) { f.with(id, func(i *instance, now time.Time) { i.powerOff(now) }) }

// Reboot is what a machine, or its host, does.
func (f *Face) Reboot(id string) { f.with(id, func(i *instance, _ time.Time) { i.reboot() }) }

// Notice tells a spot machine that it will be taken back, and takes it after d; EC2 gives two minutes.
func (f *Face) Notice(id string, d time.Duration) {
	f.with(id, func(i *instance, now time.Time) {
		i.notice = second(now.Add(d))
		i.at(now.Add(d), func(t time.Time) {
			const code = "Server.SpotInstanceTermination"
			i.end(t, code, code+": Instance terminated due to a Spot interruption", code+" ("+t.UTC().Format("2006-01-02 15:04:05 GMT")+")")
		})
	})
}

// Fail ends a machine as a broken host does.
func (f *Face) Fail(id, code string) {
	f.with(id, func(i *instance, now time.Time) { i.gone(now, code, code+": failed", "") })
}

// SetState brings a machine into a state, whatever led there.
func (f *Face) SetState(id, state string) {
	f.with(id, func(i *instance, now time.Time) {
		i.next = nil
		switch state {
		case "terminated":
			i.gone(now, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown", "")
		case "running":
			i.become(now, state)
			i.ran = now
		default:
			i.become(now, state)
		}
	})
}

// SetTag changes a tag of a machine, as the console does; an empty value takes it away.
func (f *Face) SetTag(id, key, value string) {
	f.with(id, func(i *instance, _ time.Time) {
		if i.tags[key] = value; value == "" {
			delete(i.tags, key)
		}
	})
}

// Protect forbids the API to end a machine.
func (f *Face) Protect(id string) { f.with(id, func(i *instance, _ time.Time) { i.protected = true }) }

// Hide makes a machine missing from lists for some time.
func (f *Face) Hide(id string, d time.Duration) {
	f.with(id, func(i *instance, now time.Time) { i.unlisted = now.Add(d) })
}

// HoldEnds makes machines go on, and bill, after their end was accepted.
func (f *Face) HoldEnds() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt.ShuttingDown = -1
}

// SoldOut leaves nothing of a type in a zone; "*" is any. A type of "spot NAME" runs out on the spot market alone.
func (f *Face) SoldOut(typ, zone string, v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.soldOut[typ+" "+zone] = v
}

// FailBoots lets the next machines end while they boot, with these codes, such as Server.InternalError.
func (f *Face) FailBoots(codes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = append(f.failing, codes...)
}

// Deny takes a permission away; an operation without a service's name, such as "RunInstances".
func (f *Face) Deny(op string, v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied[op] = v
}

// SetSpot changes what a type costs on the spot market of a zone, USD an hour.
func (f *Face) SetSpot(typ, zone string, usd float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spotPrice[typ+" "+zone] = usd
}

// OnCommand answers what Run Command is asked to run, where machines are not real.
func (f *Face) OnCommand(s Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onCommand = s
}

// Group is a security group as it is.
type Group struct {
	ID, Name string
	Tags     map[string]string
	Ingress  []string // PROTOCOL FROM-TO CIDR
}

// Groups are the security groups, without the VPC's own.
func (f *Face) Groups() (all []Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance(time.Now())
	for _, g := range f.groups {
		if g.name == "default" {
			continue
		}
		v := Group{ID: g.id, Name: g.name, Tags: maps.Clone(g.tags)}
		for _, r := range g.rules {
			if !r.egress {
				v.Ingress = append(v.Ingress, fmt.Sprintf("%s %d-%d %s%s", r.protocol, r.from, r.to, r.cidr, r.other))
			}
		}
		all = append(all, v)
	}
	return all
}

// Volumes are the ids of disks that are not deleted.
func (f *Face) Volumes() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance(time.Now())
	for _, v := range f.volumes {
		if v.state != "deleted" {
			ids = append(ids, v.id)
		}
	}
	return ids
}

// AddVolume puts a disk into a zone, and returns its id.
func (f *Face) AddVolume(zone string, gib int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := &volume{id: f.newID("vol"), zone: zone, kind: "gp3", size: gib, state: "available", made: second(time.Now()), tags: map[string]string{}}
	f.volumes = append(f.volumes, v)
	return v.id
}

// Zones are the region's.
func (f *Face) Zones() []string { return f.zones() }
