package aws

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a command's outputs keep when they are asked for with GetCommandInvocation, in characters.
const (
	maxStdout = 24000
	maxStderr = 8000
)

// command is one that was sent, with an invocation on each of its machines.
type command struct {
	id, document, comment string
	parameters            params
	at                    time.Time
	timeout               time.Duration // for its delivery
	invocations           []*invocation
}

// invocation is a command on a machine.
type invocation struct {
	c              *command
	i              *instance
	status, detail string
	code           int
	began, ended   time.Time
	out, errs      string
	stop           func() // ends what is executed; nil: nothing is
}

// Script is what a command runs, as a program without machines answers it. See [Face.OnCommand].
type Script func(instance, text string) (code int, stdout, stderr string)

// agent reports whether the machine's agent is registered, and answers.
func (i *instance) agent(now time.Time) bool {
	if i.state != "running" || i.f.opt.AgentAfter < 0 || i.profile == "" && !i.f.opt.Managed {
		return false
	}
	return !now.Before(i.ran.Add(i.f.opt.AgentAfter))
}

// sendCommand takes AWS-RunShellScript alone. A machine whose agent is not there refuses the whole request.
func (x *exchange) sendCommand() (params, *refusal) {
	f, now := x.f, time.Now()
	document := x.in.str("DocumentName")
	p, _ := x.in["Parameters"].(params)
	ids := x.in.strs("InstanceIds")
	switch {
	case document != "AWS-RunShellScript" && document != "arn:aws:ssm:::document/AWS-RunShellScript":
		return nil, bad("InvalidDocument", "Document with name %s does not exist.", document)
	case len(ids) == 0 || len(ids) > 50:
		return nil, bad("InvalidParameters", "the face sends commands to 1 to 50 ids")
	case len(p.strs("commands")) == 0:
		return nil, bad("InvalidParameters", "commands is required.")
	}
	for _, name := range sortedKeys(p) {
		if !slices.Contains([]string{"commands", "workingDirectory", "executionTimeout"}, name) {
			return nil, bad("InvalidParameters", "Parameter \"%s\" is not defined in the document.", name)
		}
	}
	limit, err := strconv.Atoi(cmp.Or(first(p.strs("executionTimeout")), "3600"))
	if err != nil || limit < 1 || limit > 172800 {
		return nil, bad("InvalidParameters", "executionTimeout is wrong")
	}
	c := &command{id: f.uuid(), document: document, comment: x.in.str("Comment"), parameters: p, at: now, timeout: time.Duration(x.in.num(3600, "TimeoutSeconds")) * time.Second}
	for _, id := range ids {
		i := f.byID[id]
		if i == nil || !i.agent(now) {
			return nil, bad("InvalidInstanceId", "Instances not in a valid state for account")
		}
		c.invocations = append(c.invocations, &invocation{c: c, i: i, status: "InProgress", code: -1, began: now})
	}
	f.commands = append(f.commands, c)
	text := strings.Join(p.strs("commands"), "\n")
	for _, v := range c.invocations {
		v.run(text, first(p.strs("workingDirectory")), time.Duration(limit)*time.Second)
	}
	return params{"Command": c.row()}, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// uuid makes one that depends on its number alone.
func (f *Face) uuid() string {
	id := f.newID("u")
	return fmt.Sprintf("%s-%s-4%s-8ace-0face0%06x", id[3:11], id[11:15], id[15:18], f.serial)
}

func (c *command) row() params {
	var ids []string
	for _, v := range c.invocations {
		ids = append(ids, v.i.id)
	}
	return params{"CommandId": c.id, "DocumentName": c.document, "DocumentVersion": "$DEFAULT", "Comment": c.comment, "InstanceIds": ids, "RequestedDateTime": c.at,
		"Status": "Pending", "StatusDetails": "Pending", "TimeoutSeconds": int(c.timeout / time.Second), "TargetCount": len(ids), "Parameters": c.shown()}
}

// shown are the parameters as the history shows them, to everybody who may list commands.
func (c *command) shown() params {
	p := params{}
	for _, k := range sortedKeys(c.parameters) {
		p[k] = c.parameters.strs(k)
	}
	return p
}

// run executes a command where the machine is real, asks the test's script where there is one, and otherwise succeeds after
// the face's time for commands. The lock is held.
func (v *invocation) run(text, dir string, limit time.Duration) {
	f := v.i.f
	if v.i.box != nil {
		v.stop = v.i.box.execute(text, dir, limit, func(code int, out, errs, how string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			v.finish(time.Now(), code, out, errs, how)
		})
		return
	}
	code, out, errs := 0, "", ""
	if f.onCommand != nil {
		code, out, errs = f.onCommand(v.i.id, text)
	}
	at, how := v.began.Add(f.opt.CommandTime), ""
	if f.opt.CommandTime > limit {
		at, code, out, how = v.began.Add(limit), -1, "", "TimedOut"
	}
	v.ended = at // what is asked for before has not ended yet
	v.code, v.out, v.errs, v.detail = code, out, errs, how
}

// finish notes how an executed command has ended. The lock is held.
func (v *invocation) finish(at time.Time, code int, out, errs, how string) {
	if v.ended.IsZero() {
		v.code, v.out, v.errs, v.ended, v.detail, v.stop = code, out, errs, at, how, nil
	}
}

// now brings an invocation's state to where time has it.
func (v *invocation) now(t time.Time) {
	switch {
	case v.ended.IsZero() || t.Before(v.ended):
		v.status = "InProgress"
		if !v.i.agent(t) && v.i.state != "running" {
			v.status, v.detail, v.ended, v.code = "Failed", "Undeliverable", t, -1
		}
	case v.detail == "TimedOut":
		v.status = "TimedOut"
	case v.detail == "Cancelled":
		v.status = "Cancelled"
	case v.code == 0:
		v.status = "Success"
	default:
		v.status = "Failed"
	}
}

// cutOff is a text as far as the API shows it.
func cutOff(s string, most int) string {
	if r := []rune(strings.ToValidUTF8(s, "\uFFFD")); len(r) > most {
		return string(r[:most])
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (x *exchange) invocation(id, instance string) *invocation {
	for _, c := range x.f.commands {
		for _, v := range c.invocations {
			if c.id == id && v.i.id == instance && time.Since(c.at) >= x.f.opt.InvocationLag {
				v.now(time.Now())
				return v
			}
		}
	}
	return nil
}

func (x *exchange) getInvocation() (params, *refusal) {
	v := x.invocation(x.in.str("CommandId"), x.in.str("InstanceId"))
	if v == nil {
		return nil, bad("InvocationDoesNotExist", "")
	}
	out := params{"CommandId": v.c.id, "InstanceId": v.i.id, "Comment": v.c.comment, "DocumentName": "AWS-RunShellScript", "DocumentVersion": "$DEFAULT", "PluginName": "aws:runShellScript",
		"Status": v.status, "StatusDetails": v.status, "ResponseCode": -1, "ExecutionStartDateTime": v.began.UTC().Format("2006-01-02T15:04:05.000Z"),
		"StandardOutputContent": "", "StandardErrorContent": "", "StandardOutputUrl": "", "StandardErrorUrl": "", "ExecutionElapsedTime": "PT0S", "ExecutionEndDateTime": ""}
	if v.status != "InProgress" {
		out["ResponseCode"], out["StandardOutputContent"], out["StandardErrorContent"] = v.code, cutOff(v.out, maxStdout), cutOff(v.errs, maxStderr)
		out["ExecutionEndDateTime"] = v.ended.UTC().Format("2006-01-02T15:04:05.000Z")
		out["ExecutionElapsedTime"] = fmt.Sprintf("PT%.3fS", v.ended.Sub(v.began).Seconds())
	}
	return out, nil
}

func (x *exchange) listInvocations() (params, *refusal) {
	rows := []params{}
	for _, c := range x.f.commands {
		for _, v := range c.invocations {
			if id, i := x.in.str("CommandId"), x.in.str("InstanceId"); id != "" && id != c.id || i != "" && i != v.i.id || time.Since(c.at) < x.f.opt.InvocationLag {
				continue
			}
			v.now(time.Now())
			row := params{"CommandId": c.id, "InstanceId": v.i.id, "Comment": c.comment, "DocumentName": c.document, "Status": v.status, "StatusDetails": v.status, "RequestedDateTime": c.at}
			if x.in.flag("Details") && v.status != "InProgress" {
				row["CommandPlugins"] = []params{{"Name": "aws:runShellScript", "Status": v.status, "ResponseCode": v.code, "Output": cutOff(v.out, 2500),
					"ResponseStartDateTime": v.began, "ResponseFinishDateTime": v.ended}}
			}
			rows = append(rows, row)
		}
	}
	return params{"CommandInvocations": rows}, nil
}

func (x *exchange) cancelCommand() (params, *refusal) {
	for _, c := range x.f.commands {
		if c.id != x.in.str("CommandId") {
			continue
		}
		for _, v := range c.invocations {
			if ids := x.in.strs("InstanceIds"); len(ids) > 0 && !slices.Contains(ids, v.i.id) {
				continue
			}
			v.now(time.Now())
			if v.status == "InProgress" {
				if v.stop != nil {
					v.stop()
				}
				v.ended, v.detail, v.code, v.stop = time.Now(), "Cancelled", -1, nil
			}
		}
		return nil, nil
	}
	return nil, bad("InvalidCommandId", "")
}

// describeAgents tells of the machines whose agents are registered; of those that are gone it remembers for a while.
func (x *exchange) describeAgents() (params, *refusal) {
	now := time.Now()
	rows := []params{}
	for _, i := range x.f.instances {
		lost := i.state == "stopped" && i.boots > 0
		if !i.agent(now) && !lost {
			continue
		}
		keep, ping := true, "Online"
		if lost {
			ping = "ConnectionLost"
		}
		for _, filter := range append(x.in.list("Filters"), x.in.list("InstanceInformationFilterList")...) {
			key, values := cmp.Or(filter.str("Key"), filter.str("key")), append(filter.strs("Values"), filter.strs("valueSet")...)
			switch key {
			case "InstanceIds":
				keep = keep && slices.Contains(values, i.id)
			case "PingStatus":
				keep = keep && slices.Contains(values, ping)
			default:
				return nil, bad("InvalidFilterKey", "")
			}
		}
		if keep {
			rows = append(rows, params{"InstanceId": i.id, "PingStatus": ping, "LastPingDateTime": now, "AgentVersion": "3.3.3050.0", "IsLatestVersion": true, "PlatformType": "Linux",
				"PlatformName": "Amazon Linux", "PlatformVersion": "2023", "ResourceType": "EC2Instance", "IPAddress": i.private(), "ComputerName": "ip-" + i.id, "SourceId": i.id, "SourceType": "AWS::EC2::Instance"})
		}
	}
	from, to, next, no := x.pageOf(50, len(rows), pageRule{5, 50, ""})
	if no != nil {
		return nil, no
	}
	out := params{"InstanceInformationList": append([]params{}, rows[from:to]...)}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}
