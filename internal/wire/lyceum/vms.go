package lyceum

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// createRequest is the body of POST /vms/create as the server reads it: what it does not know it passes over.
type createRequest struct {
	Key     string  `json:"user_public_key"`
	Profile string  `json:"hardware_profile"`
	Name    *string `json:"display_name"`
	Type    string  `json:"instance_type"`
	Specs   *struct {
		Count *int `json:"gpu_count"`
	} `json:"instance_specs"`
}

func (c *createRequest) label() string {
	if c.Name == nil {
		return ""
	}
	return *c.Name
}

// rules are what no schema says of a POST /vms/create. A zero status: the server takes it, and a correct client never
// sends it. They are looked at in order; the first that refuses does.
var rules = []struct {
	status int
	text   string
	broken func(f *Face, c *createRequest) bool
}{
	{0, "instance_type is left to the server", func(_ *Face, c *createRequest) bool { return c.Type == "" }},
	{0, "gpu_count is left to the server", func(_ *Face, c *createRequest) bool { return c.Specs == nil || c.Specs.Count == nil }},
	{0, "gpu_count 0 is turned into 1 and billed", func(_ *Face, c *createRequest) bool {
		return c.Specs != nil && c.Specs.Count != nil && *c.Specs.Count == 0
	}},
	{0, "no label: nobody will find it again", func(_ *Face, c *createRequest) bool { return c.label() == "" }},
	{0, "the account's key is in the request", func(f *Face, c *createRequest) bool { return strings.Contains(c.label()+c.Key, f.opt.Key) }},
	{http.StatusBadRequest, "Invalid hardware profile. Valid profiles: " + strings.Join(profileNames(), ", "), func(_ *Face, c *createRequest) bool {
		return findProfile(c.Profile) == nil
	}},
	{http.StatusBadRequest, "Invalid request", func(_ *Face, c *createRequest) bool { return c.count() == 0 }},
	{http.StatusPaymentRequired, "Insufficient credits", func(f *Face, _ *createRequest) bool { return f.broke }},
	{http.StatusInternalServerError, capacity, func(f *Face, c *createRequest) bool {
		return f.dry || !slices.Contains(stock(c.Profile, c.market()), c.count())
	}},
}

func (c *createRequest) market() string {
	if c.Type == "" {
		return onDemand
	}
	return c.Type
}

// count is how many GPUs the machine gets; 0: no machine has so many.
func (c *createRequest) count() int {
	if c.Specs == nil || c.Specs.Count == nil || *c.Specs.Count == 0 {
		return 1
	}
	if slices.Contains(counts, *c.Specs.Count) {
		return *c.Specs.Count
	}
	return 0
}

func (x *exchange) create() answer {
	var c createRequest
	if err := json.Unmarshal(x.Body, &c); err != nil {
		return malformed([]string{err.Error()})
	}
	for _, r := range rules {
		switch {
		case !r.broken(x.f, &c):
		case r.status == 0:
			x.f.Wrong("createVM: %s", r.text)
		default:
			return refuse(r.status, r.text)
		}
	}
	c.Type = c.market()
	v := x.f.add(&c, c.count())
	m := x.f.view(v, v.Born, noZone)
	m["ip_address"], m["hardware_profile"], m["gpu_count"], m["uptime_seconds"] = nil, nil, nil, nil
	m["status"] = x.f.word(Pending)
	m["status_check_url"], m["polling_message"] = Prefix+"/vms/"+v.ID+"/status", nil
	return ok(m)
}

// named is the machine that the request names; nil: as far as it is told, there is none.
func (x *exchange) named() *vm {
	now := time.Now()
	for _, v := range x.f.vms {
		if v.ID == x.Path["vm_id"] && !v.hidden[x.Op].After(now) {
			return v
		}
	}
	return nil
}

func notFound() answer { return refuse(http.StatusNotFound, "VM not found") }

func (x *exchange) get() answer {
	v := x.named()
	if v == nil {
		return notFound()
	}
	return ok(x.f.view(v, time.Now(), zulu))
}

func (x *exchange) list() answer {
	q, now := x.Request.URL.Query(), time.Now()
	if q.Get("include_terminated") != "false" || q.Get("include_failed") != "false" {
		x.f.Wrong("listVMs: the dead of all times are asked for")
	}
	shown := func(key string) bool { return x.f.opt.IgnoresFlags || q.Get(key) != "false" }
	all := []any{}
	for _, v := range x.f.vms {
		status := v.status(x.f, now)
		switch {
		case v.hidden["listVMs"].After(now):
		case status == Terminated && !shown("include_terminated"):
		case over[status] && status != Terminated && !shown("include_failed"):
		default:
			all = append(all, x.f.view(v, now, offset))
		}
	}
	if x.f.opt.Reversed {
		slices.Reverse(all)
	}
	return ok(x.f.dress(map[string]any{"vms": all, "total": len(all)}))
}

// terminate answers that the machine is terminated, at once. When that is so, and when it ceases to bill, is another matter.
func (x *exchange) terminate() answer {
	v, now := x.named(), time.Now()
	if v == nil || v.over(now) {
		return notFound()
	}
	if v.ended.IsZero() {
		v.end(x.f, now.Add(x.f.opt.Deleting), Terminated)
	}
	return ok(map[string]any{"vm_id": v.ID, "status": Terminated, "message": "VM terminated successfully"})
}
