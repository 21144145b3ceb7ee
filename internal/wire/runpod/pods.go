package runpod

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (x *exchange) create() answer {
	var c create
	if err := json.Unmarshal(x.Body, &c); err != nil {
		return refuse(400, err.Error())
	}
	if a := x.f.refusal(&c); a.Status != 0 {
		return a
	}
	p := x.f.add(&c)
	return answer{Status: 201, Body: x.dress(p.view())}
}

// add makes a pod. The lock is held, and the rules were looked at.
func (f *Face) add(c *create) *pod {
	now := time.Now()
	f.serial++
	p := &pod{f: f, key: "rpa_POD" + rand.Text(), hidden: map[string]time.Time{}}
	p.ID = fmt.Sprintf("p%04d%s", f.serial, strings.ToLower(rand.Text()[:9]))
	p.Name, p.Image, p.Args, p.Disk = c.Name, c.Image, c.Args, max(c.Disk, 10)
	if n := f.opt.NameMax; n > 0 && len(p.Name) > n {
		p.Name = p.Name[:n]
	}
	p.Env, p.Ports, p.Registry, p.Mounts = c.Env, append([]string{}, c.Ports...), c.Registry, c.Mounts
	if p.Env == nil {
		p.Env = map[string]string{}
	}
	p.Cloud, p.CreatedAt = c.cloud(), now.UTC()
	dc, cuda := "US-KS-2", "12.8"
	switch {
	case c.CPU != nil:
		p.CPU = &CPU{c.CPU.ID, c.CPU.VCPUCount, 2 * c.CPU.VCPUCount}
		p.hourly = cpuTypes[0].Price.Secure * float64(c.CPU.VCPUCount)
	case c.GPU != nil:
		count := 1
		if c.GPU.Count != nil {
			count = *c.GPU.Count
		}
		p.GPU, p.CudaVersion = &GPU{ID: c.GPU.ID, Count: &count}, &cuda
		t := findGPU(c.GPU.ID)
		p.hourly = float64(count) * map[string]float64{"SECURE": t.Price.Secure, "COMMUNITY": t.Price.Community}[p.Cloud]
		dc = f.place(c, t)
	}
	p.DataCenterID = &dc
	p.hidden["listPods"] = now.Add(f.opt.ListLag)
	for _, op := range []string{"getPod", "podAction", "deletePod", "getPodLogs", "updatePod"} {
		p.hidden[op] = now.Add(f.opt.GetLag)
	}
	f.pods = append(f.pods, p)
	p.boot(now)
	f.advance(now)
	return p
}

// named is the pod that the request names; nil: as far as it is told, there is none.
func (x *exchange) named() *pod {
	now := time.Now()
	for _, p := range x.f.pods {
		gone := p.Status == Terminated && now.Sub(p.ended) >= x.f.opt.Tombstone
		if p.ID == x.Path["id"] && !gone && !p.hidden[x.Op].After(now) {
			return p
		}
	}
	return nil
}

func notFound() answer { return refuse(404, "pod not found") }

func (x *exchange) get() answer {
	p := x.named()
	if p == nil {
		return notFound()
	}
	return answer{Status: 200, Body: x.dress(p.view())}
}

func (x *exchange) list() answer {
	q, now := x.Request.URL.Query(), time.Now()
	all := []any{}
	for _, p := range x.f.pods {
		member := p.Cluster != nil && q.Get("includeClusterPods") != "true"
		if p.Status != Terminated && !member && !p.hidden["listPods"].After(now) {
			v := p.view()
			if x.f.opt.Brief {
				v.Args = ""
			}
			all = append(all, x.dress(v))
		}
	}
	page := map[string]any{"pods": all}
	if x.f.opt.PageSize > 0 {
		from, err := strconv.Atoi(cmp.Or(q.Get("cursor"), "0"))
		if err != nil || from < 0 {
			return refuse(422, "invalid cursor")
		}
		from = min(from, len(all))
		to := min(from+x.f.opt.PageSize, len(all))
		next := map[string]any{}
		if to < len(all) {
			next["nextCursor"] = strconv.Itoa(to)
		}
		page["pods"], page["pagination"] = all[from:to], next
	}
	return answer{Status: 200, Body: x.dress(page)}
}

func (x *exchange) update() answer {
	p := x.named()
	var c struct {
		Name   *string
		Locked *bool
	}
	switch {
	case p == nil:
		return notFound()
	case p.Cluster != nil:
		return refuse(409, "pod belongs to a cluster")
	case json.Unmarshal(x.Body, &c) != nil:
		return refuse(400, "request could not be processed")
	}
	if c.Name != nil {
		p.Name = *c.Name
	}
	if c.Locked != nil {
		p.Locked = *c.Locked
	}
	return answer{Status: 200, Body: x.dress(p.view())}
}

func (x *exchange) remove() answer {
	p := x.named()
	switch {
	case p == nil || p.Status == Terminated:
		return notFound()
	case p.Cluster != nil:
		return refuse(409, "pod belongs to a cluster and cannot be terminated via the pod endpoints")
	}
	p.end(time.Now())
	return answer{Status: 204}
}

func (x *exchange) action() answer {
	var a struct{ Action string }
	if json.Unmarshal(x.Body, &a) != nil {
		return refuse(400, "request could not be processed")
	}
	p, now := x.named(), time.Now()
	switch {
	case p == nil || p.Status == Terminated:
		return notFound()
	case p.Cluster != nil:
		return refuse(409, "pod belongs to a cluster")
	case !slices.Contains(legal[p.Status], a.Action):
		return refuse(409, fmt.Sprintf("action %q is not valid for a pod that is %s", a.Action, p.Status))
	case p.Locked && a.Action != "start":
		return refuse(409, "pod is locked")
	case x.f.deaf:
	case a.Action == "stop":
		p.halt(now)
	case a.Action == "start":
		p.boot(now)
		x.f.advance(now)
	case a.Action == "restart" && p.box != nil:
		go p.box.Stop(x.f.opt.Real.grace())
	case a.Action == "restart" && !p.since.IsZero():
		p.returned(now)
	case a.Action == "terminate":
		p.end(now)
		return answer{Status: 204}
	}
	return answer{Status: 200, Body: x.dress(p.view())}
}

// dress gives a reply what the options ask for: fields that nobody knows, and words that nobody has heard.
func (x *exchange) dress(v any) any {
	if !x.f.opt.Extra && x.f.opt.Word == nil {
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	m := map[string]any{}
	if json.Unmarshal(b, &m) != nil {
		return v
	}
	if x.f.opt.Extra {
		m["futureField"] = []any{1, "two", nil}
	}
	if s, ok := m["status"].(string); ok && x.f.opt.Word != nil {
		m["status"] = x.f.opt.Word(s)
	}
	return m
}

// byKey finds the pod that has the key in its environment.
func (f *Face) byKey(key string) *pod {
	for _, p := range f.pods {
		if p.key == key && p.Status != Terminated {
			return p
		}
	}
	return nil
}
