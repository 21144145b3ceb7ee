package runpod

import (
	"math/bits"
	"slices"
	"strings"
)

// maxEnv is how many environment variables a pod takes.
const maxEnv = 50

// rule is something that no schema says of a POST /v2/pods.
type rule struct {
	status int // of the refusal; 0: the API takes it, and a correct client never sends it
	text   string
	broken func(f *Face, c *create) bool
}

// rules are looked at in order; the first that is broken refuses.
var rules = []rule{
	{404, "template not found", func(_ *Face, c *create) bool { return c.TemplateID != nil }},
	{400, "exactly one of gpu or cpu must be set", func(_ *Face, c *create) bool { return (c.GPU == nil) == (c.CPU == nil) }},
	{400, "mounts.persistent and mounts.network are mutually exclusive", func(_ *Face, c *create) bool {
		return c.Mounts.Persistent != nil && len(c.Mounts.Network) > 0
	}},
	{400, "gpu.allowedCudaVersions and gpu.minCudaVersion are mutually exclusive", func(_ *Face, c *create) bool {
		return c.GPU != nil && len(c.GPU.AllowedCudaVersions) > 0 && c.GPU.MinCudaVersion != ""
	}},
	{400, "mounts.persistent is not supported on CPU pods", func(_ *Face, c *create) bool { return c.CPU != nil && c.Mounts.Persistent != nil }},
	{400, "cpu.vcpuCount must be a power of two", func(_ *Face, c *create) bool { return c.CPU != nil && bits.OnesCount(uint(c.CPU.VCPUCount)) != 1 }},
	{400, "container disk is limited to 10 GB per vCPU", func(_ *Face, c *create) bool { return c.CPU != nil && c.Disk > 10*c.CPU.VCPUCount }},
	{400, "a pod has at most 50 environment variables", func(_ *Face, c *create) bool { return len(c.Env) > maxEnv }},
	{400, "network volumes are only available on secure cloud", func(_ *Face, c *create) bool {
		return len(c.Mounts.Network) > 0 && c.cloud() != "SECURE"
	}},
	{400, "network volume not found", func(f *Face, c *create) bool { return len(c.Mounts.Network) > 0 && f.volume(c) == nil }},
	{400, "the network volume is in another data center", func(f *Face, c *create) bool {
		v := f.volume(c)
		return v != nil && len(c.DataCenterIDs) > 0 && !slices.Contains(c.DataCenterIDs, v.DataCenter)
	}},
	{0, "gpu.count is left to the server", func(_ *Face, c *create) bool { return c.GPU != nil && c.GPU.Count == nil }},
	{0, "cloud is left to the server", func(_ *Face, c *create) bool { return c.Cloud == nil }},
	{0, "a data center in lower case, which is taken and breaks things later", func(_ *Face, c *create) bool {
		return slices.ContainsFunc(c.DataCenterIDs, func(d string) bool { return d != strings.ToUpper(d) })
	}},
	{0, "the account's key is in the request", func(f *Face, c *create) bool {
		in := func(s string) bool { return strings.Contains(s, f.opt.Key) }
		for k, v := range c.Env {
			if in(k) || in(v) {
				return true
			}
		}
		return in(c.Args) || in(c.Name) || in(c.Image)
	}},
	// What fits nowhere is refused with the words for a lack of capacity, whatever the cause.
	{400, capacity, func(f *Face, c *create) bool { return f.dry || !f.fits(c) }},
}

// refusal is what the rules say of a launch; a zero status: nothing.
func (f *Face) refusal(c *create) answer {
	if f.broke {
		return refuse(402, "Your balance is too low to deploy this pod.")
	}
	for _, r := range rules {
		switch {
		case !r.broken(f, c):
		case r.status == 0:
			f.Wrong("createPod: %s", r.text)
		default:
			return refuse(r.status, r.text)
		}
	}
	return answer{}
}

func (c *create) cloud() string {
	if c.Cloud == nil {
		return "SECURE"
	}
	return *c.Cloud
}

// volume is the network volume that a launch names, nil when there is none such.
func (f *Face) volume(c *create) *Volume {
	for i := range f.volumes {
		if len(c.Mounts.Network) > 0 && f.volumes[i].ID == c.Mounts.Network[0].VolumeID {
			return &f.volumes[i]
		}
	}
	return nil
}

// fits reports whether there is a host for a launch.
func (f *Face) fits(c *create) bool {
	if c.CPU != nil {
		return slices.ContainsFunc(cpuTypes, func(t CPUType) bool { return t.ID == c.CPU.ID && c.CPU.VCPUCount <= t.VCPU.Max })
	}
	t := findGPU(c.GPU.ID)
	if t == nil {
		return false
	}
	return f.place(c, t) != ""
}

// place is the data center where a launch goes, empty when it fits nowhere. The request's order is kept.
func (f *Face) place(c *create, t *GPUType) string {
	count := 1
	if c.GPU.Count != nil {
		count = *c.GPU.Count
	}
	most := map[string]int{"SECURE": t.MaxCount.Secure, "COMMUNITY": t.MaxCount.Community}[c.cloud()]
	if count > most || !f.hasCuda(c.GPU) {
		return ""
	}
	wanted := c.DataCenterIDs
	if len(wanted) == 0 {
		for _, s := range stock[t.ID] {
			wanted = append(wanted, s.dc)
		}
	}
	v := f.volume(c)
	for _, dc := range wanted {
		if v != nil && v.DataCenter != dc {
			continue
		}
		for _, s := range stock[t.ID] {
			if strings.EqualFold(s.dc, dc) && s.level != "NONE" && s.cloud(c.cloud()) {
				return s.dc
			}
		}
	}
	return ""
}

// hasCuda reports whether hosts have one of the CUDA versions: a list is exact, a floor is compared by numbers.
func (f *Face) hasCuda(g *GPU) bool {
	for _, have := range cudaVersions {
		if have.Available && (len(g.AllowedCudaVersions) == 0 || slices.Contains(g.AllowedCudaVersions, have.Version)) &&
			(g.MinCudaVersion == "" || !olderCuda(have.Version, g.MinCudaVersion)) {
			return true
		}
	}
	return false
}
