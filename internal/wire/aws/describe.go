package aws

import (
	"regexp"
	"time"
)

var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// describeInstances pages by instances: a reservation may be split.
func (x *exchange) describeInstances() (params, *refusal) {
	now := time.Now()
	all, no := x.told(now)
	if no != nil {
		return nil, no
	}
	rows := make([]params, 0, len(all))
	for _, i := range all {
		v := i.view()
		v["launch"] = i.launch // for the grouping below
		rows = append(rows, v)
	}
	if rows, no = x.matching(rows); no != nil {
		return nil, no
	}
	from, to, next, no := x.page(len(rows), pageRule{5, 1000, "InstanceIds"})
	if no != nil {
		return nil, no
	}
	out, groups, last := params{}, []params{}, (*launch)(nil)
	for _, v := range rows[from:to] {
		l := v["launch"].(*launch)
		delete(v, "launch")
		if l != last {
			groups = append(groups, params{"ReservationId": l.reservation, "OwnerId": account, "Groups": []params{}, "Instances": []params{}})
			last = l
		}
		g := groups[len(groups)-1]
		g["Instances"] = append(g["Instances"].([]params), v)
	}
	if out["Reservations"] = groups; next != "" {
		out["NextToken"] = next
	}
	return out, nil
}

func (x *exchange) describeInstanceStatus() (params, *refusal) {
	all, no := x.told(time.Now())
	if no != nil {
		return nil, no
	}
	var rows []params
	for _, i := range all {
		if i.state != "running" && !x.in.flag("IncludeAllInstances") {
			continue
		}
		health := params{"Status": "initializing", "Details": []params{}}
		if i.state == "running" && time.Since(i.ran) >= x.f.opt.Pending {
			health["Status"] = "ok"
		}
		row := params{"InstanceId": i.id, "AvailabilityZone": i.zone, "InstanceState": params{"Code": stateCodes[i.state], "Name": i.state},
			"InstanceStatus": health, "SystemStatus": health}
		if !i.notice.IsZero() {
			row["Events"] = []params{{"Code": "instance-stop", "Description": "The instance will be taken back", "NotBefore": i.notice}}
		}
		rows = append(rows, row)
	}
	return x.filtered("InstanceStatuses", rows, pageRule{5, 1000, "InstanceIds"})
}

func (x *exchange) describeInstanceAttribute() (params, *refusal) {
	all, no := x.idsNamed([]string{x.in.str("InstanceId")}, time.Now())
	if no != nil {
		return nil, no
	}
	i, out := all[0], params{"InstanceId": all[0].id}
	switch name := x.in.str("Attribute"); name {
	case "userData":
		if u := i.in.str("UserData"); u != "" {
			out["UserData"] = params{"Value": u}
		} else {
			out["UserData"] = params{}
		}
	case "instanceInitiatedShutdownBehavior":
		out["InstanceInitiatedShutdownBehavior"] = params{"Value": i.shutdown}
	case "disableApiTermination":
		out["DisableApiTermination"] = params{"Value": i.protected}
	case "instanceType":
		out["InstanceType"] = params{"Value": i.typ.Name}
	default:
		return nil, bad("InvalidParameterValue", "the face does not tell the attribute %s", name)
	}
	return out, nil
}

func (x *exchange) modifyInstanceAttribute() (params, *refusal) {
	all, no := x.idsNamed([]string{x.in.str("InstanceId")}, time.Now())
	if no != nil {
		return nil, no
	}
	i := all[0]
	value := x.in.str("Value")
	if v := x.in.str("InstanceInitiatedShutdownBehavior", "Value"); v != "" || x.in.str("Attribute") == "instanceInitiatedShutdownBehavior" {
		if v != "" {
			value = v
		}
		if value != "stop" && value != "terminate" {
			return nil, bad("InvalidParameterValue", "Invalid value '%s' for instanceInitiatedShutdownBehavior", value)
		}
		i.shutdown = value
	}
	if x.in.has("DisableApiTermination") {
		i.protected = x.in.flag("DisableApiTermination", "Value")
	}
	if ids := x.in.strs("Groups"); len(ids) > 0 {
		var groups []*group
		for _, id := range ids {
			g := x.f.group(id)
			if g == nil {
				return nil, bad("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
			}
			groups = append(groups, g)
		}
		i.groups = groups
	}
	return nil, nil
}

func (x *exchange) getConsoleOutput() (params, *refusal) {
	all, no := x.idsNamed([]string{x.in.str("InstanceId")}, time.Now())
	if no != nil {
		return nil, no
	}
	out := params{"InstanceId": all[0].id, "Timestamp": second(time.Now())}
	if b := all[0].box; b != nil {
		out["Output"] = encoded(b.console())
	}
	return out, nil
}

func (x *exchange) associateProfile() (params, *refusal) {
	all, no := x.idsNamed([]string{x.in.str("InstanceId")}, time.Now())
	if no != nil {
		return nil, no
	}
	i, name := all[0], x.in.str("IamInstanceProfile", "Name")
	switch {
	case name != Profile && x.in.str("IamInstanceProfile", "Arn") != profileARN(Profile):
		return nil, bad("InvalidParameterValue", "Value (%s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", name)
	case i.profile != "":
		return nil, bad("IncorrectState", "There is an existing association for instance %s", i.id)
	}
	i.profile = Profile
	return params{"IamInstanceProfileAssociation": i.association("associating")}, nil
}

func (i *instance) association(state string) params {
	return params{"AssociationId": "iip-assoc-" + i.id[2:], "InstanceId": i.id, "State": state, "IamInstanceProfile": params{"Arn": profileARN(i.profile), "Id": "AIPAFACEFACEFACEFACE0"}}
}

func (x *exchange) describeProfiles() (params, *refusal) {
	var rows []params
	for _, i := range x.f.instances {
		if i.profile != "" && i.state != "terminated" {
			rows = append(rows, i.association("associated"))
		}
	}
	return x.filtered("IamInstanceProfileAssociations", rows, pageRule{5, 1000, ""})
}
