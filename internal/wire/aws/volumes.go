package aws

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// volume is a disk.
type volume struct {
	id, zone, kind, device, snapshot string
	size                             int // GiB
	encrypted, goes                  bool
	state                            string // creating, available, in-use, deleted
	attached                         *instance
	made, at                         time.Time
	tags                             map[string]string
	token                            string
}

var (
	volumeID   = regexp.MustCompile(`^vol-([0-9a-f]{8}|[0-9a-f]{17})$`)
	deviceName = regexp.MustCompile(`^(/dev/(sd|xvd)[a-z]{1,2}[0-9]{0,2}|xvd[a-z]{1,2}|/dev/xvda|/dev/sda1)$`)
)

// disks are the volumes that an instance is born with: its root, and what the launch asks for besides.
func (i *instance) disks(now time.Time) {
	tags := map[string]string{}
	for _, s := range i.in.list("TagSpecifications") {
		for _, t := range tagsIn(s) {
			if s.str("ResourceType") == "volume" {
				tags[t.key] = t.value
			}
		}
	}
	asked := map[string]params{i.image.root: {}}
	for _, b := range i.in.list("BlockDeviceMappings") {
		asked[b.str("DeviceName")] = b
	}
	for _, device := range sortedKeys(asked) {
		ebs, _ := asked[device]["Ebs"].(params)
		if asked[device].has("NoDevice") {
			continue
		}
		goes, size := true, i.image.size
		if b, ok := ebs["DeleteOnTermination"].(bool); ok {
			goes = b
		}
		own := map[string]string{}
		for k, v := range tags {
			own[k] = v
		}
		v := &volume{id: i.f.newID("vol"), zone: i.zone, kind: cmp.Or(ebs.str("VolumeType"), "gp3"), device: device, size: ebs.num(size, "VolumeSize"),
			encrypted: ebs.flag("Encrypted"), goes: goes, state: "in-use", attached: i, made: second(now), at: second(now), tags: own}
		i.f.volumes = append(i.f.volumes, v)
		i.volumes = append(i.volumes, v)
	}
}

func (f *Face) volume(id string) (*volume, *refusal) {
	if !volumeID.MatchString(id) {
		return nil, bad("InvalidParameterValue", "Value (%s) for parameter volumeId is invalid.", id)
	}
	for _, v := range f.volumes {
		if v.id == id && v.state != "deleted" {
			return v, nil
		}
	}
	return nil, bad("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
}

func (v *volume) row() params {
	p := params{"VolumeId": v.id, "AvailabilityZone": v.zone, "VolumeType": v.kind, "Size": v.size, "State": v.state, "Encrypted": v.encrypted, "CreateTime": v.made,
		"Tags": tagRows(v.tags), "Iops": 3000, "MultiAttachEnabled": false, "SnapshotId": v.snapshot, "Attachments": []params{}}
	if v.attached != nil {
		p["Attachments"] = []params{v.attachment("attached")}
		p["State"] = "in-use"
	}
	return p
}

func (v *volume) attachment(state string) params {
	return params{"VolumeId": v.id, "InstanceId": v.attached.id, "Device": v.device, "State": state, "AttachTime": v.at, "DeleteOnTermination": v.goes}
}

func (x *exchange) createVolume() (params, *refusal) {
	zone := x.in.str("AvailabilityZone")
	tags, no := tagsFor(x.in, "volume")
	size := x.in.num(0, "Size")
	switch {
	case no != nil:
		return nil, no
	case !slices.Contains(x.f.zones(), zone):
		return nil, bad("InvalidParameterValue", "The availability zone '%s' is not there", zone)
	case size < 1 || size > 65536:
		return nil, bad("InvalidParameterValue", "Volume of %dGiB is out of bounds", size)
	}
	if token := x.in.str("ClientToken"); token != "" {
		for _, v := range x.f.volumes {
			if v.token == token {
				return v.row(), nil
			}
		}
	}
	v := &volume{id: x.f.newID("vol"), zone: zone, kind: cmp.Or(x.in.str("VolumeType"), "gp2"), size: size, encrypted: x.in.flag("Encrypted"), state: "available",
		made: second(time.Now()), tags: tags, token: x.in.str("ClientToken")}
	x.f.volumes = append(x.f.volumes, v)
	row := v.row()
	row["State"] = "creating"
	return row, nil
}

func (x *exchange) describeVolumes() (params, *refusal) {
	ids := x.in.strs("VolumeIds")
	for _, id := range ids {
		if _, no := x.f.volume(id); no != nil {
			return nil, no
		}
	}
	var rows []params
	for _, v := range x.f.volumes {
		if v.state != "deleted" && (len(ids) == 0 || slices.Contains(ids, v.id)) {
			rows = append(rows, v.row())
		}
	}
	return x.filtered("Volumes", rows, pageRule{5, 1000, "VolumeIds"})
}

func (x *exchange) attachVolume() (params, *refusal) {
	v, no := x.f.volume(x.in.str("VolumeId"))
	if no != nil {
		return nil, no
	}
	all, no := x.idsNamed([]string{x.in.str("InstanceId")}, time.Now())
	if no != nil {
		return nil, no
	}
	i, device := all[0], x.in.str("Device")
	switch {
	case v.attached != nil:
		return nil, bad("VolumeInUse", "%s is already attached to an instance", v.id)
	case i.zone != v.zone:
		return nil, bad("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.id, i.id)
	case i.state != "running" && i.state != "stopped":
		return nil, bad("IncorrectState", "Instance '%s' is not 'running'.", i.id)
	case !deviceName.MatchString(device):
		return nil, bad("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", device, device)
	case slices.ContainsFunc(i.volumes, func(o *volume) bool { return o.device == device }):
		return nil, bad("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device)
	}
	v.attached, v.device, v.at, v.goes = i, device, second(time.Now()), false
	i.volumes = append(i.volumes, v)
	if i.box != nil && i.state == "running" {
		i.box.insert(v)
	}
	return v.attachment("attaching"), nil
}

func (x *exchange) detachVolume() (params, *refusal) {
	v, no := x.f.volume(x.in.str("VolumeId"))
	if no != nil {
		return nil, no
	}
	if v.attached == nil || x.in.has("InstanceId") && x.in.str("InstanceId") != v.attached.id {
		return nil, bad("IncorrectState", "Volume '%s' is in the 'available' state.", v.id)
	}
	row := v.attachment("detaching")
	v.attached.volumes = slices.DeleteFunc(v.attached.volumes, func(o *volume) bool { return o == v })
	v.attached, v.device, v.state = nil, "", "available"
	return row, nil
}

func (x *exchange) deleteVolume() (params, *refusal) {
	v, no := x.f.volume(x.in.str("VolumeId"))
	if no != nil {
		return nil, no
	}
	if v.attached != nil {
		return nil, bad("VolumeInUse", "Volume %s is currently attached to %s", v.id, v.attached.id)
	}
	v.state = "deleted"
	return nil, nil
}

// tagged are the tags of the thing that an id names, nil when there is none such.
func (f *Face) tagged(id string) (tags map[string]string, kind string) {
	if i := f.byID[id]; i != nil && !i.forgotten(time.Now()) && !i.unknown.After(time.Now()) {
		return i.tags, "instance"
	}
	if i := f.byID[strings.Replace(id, "eni-", "i-", 1)]; i != nil && i.state != "terminated" {
		return i.eniTags, "network-interface"
	}
	if v, no := f.volume(id); no == nil {
		return v.tags, "volume"
	}
	if g := f.group(id); g != nil {
		return g.tags, "security-group"
	}
	for _, k := range f.keys {
		if k.id == id {
			return k.tags, "key-pair"
		}
	}
	return nil, ""
}

func (x *exchange) createTags() (params, *refusal) {
	if badTags(x.in) {
		return nil, bad("InvalidParameterValue", "Tags are wrong")
	}
	for _, id := range x.in.strs("Resources") {
		if tags, _ := x.f.tagged(id); tags == nil {
			return nil, bad("InvalidID", "The ID '%s' is not valid", id)
		}
	}
	for _, id := range x.in.strs("Resources") {
		tags, _ := x.f.tagged(id)
		for _, t := range tagsIn(x.in) {
			tags[t.key] = t.value
		}
	}
	return nil, nil
}

func (x *exchange) deleteTags() (params, *refusal) {
	for _, id := range x.in.strs("Resources") {
		tags, _ := x.f.tagged(id)
		for _, t := range x.in.list("Tags") {
			if v, given := t["Value"].(string); !given || tags[t.str("Key")] == v {
				delete(tags, t.str("Key"))
			}
		}
	}
	return nil, nil
}

func (x *exchange) describeTags() (params, *refusal) {
	var rows []params
	add := func(id string) {
		tags, kind := x.f.tagged(id)
		for _, k := range sortedKeys(tags) {
			rows = append(rows, params{"ResourceId": id, "ResourceType": kind, "Key": k, "Value": tags[k]})
		}
	}
	for _, i := range x.f.instances {
		add(i.id)
		add(i.eni())
	}
	for _, v := range x.f.volumes {
		add(v.id)
	}
	for _, g := range x.f.groups {
		add(g.id)
	}
	return x.filtered("Tags", rows, pageRule{5, 1000, ""})
}
