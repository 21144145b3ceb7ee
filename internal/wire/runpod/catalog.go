package runpod

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

func pool(name string) *string { return &name }

// gpuTypes is the catalog: shapes with traps. One is community only, one secure only with a community price of 0, one is sold out.
var gpuTypes = []GPUType{
	{ID: "NVIDIA GeForce RTX 4090", Name: "RTX 4090", Pool: pool("ADA_24"), Manufacturer: "NVIDIA", Memory: 24, Secure: true, Community: true,
		Price: Prices{0.59, 0.34}, MaxCount: Counts{8, 4}},
	{ID: "NVIDIA GeForce RTX 3070", Name: "RTX 3070", Manufacturer: "NVIDIA", Memory: 8, Community: true, Price: Prices{0, 0.13}, MaxCount: Counts{0, 2}},
	{ID: "NVIDIA A100-SXM4-80GB", Name: "A100 SXM", Pool: pool("AMPERE_80"), Manufacturer: "NVIDIA", Memory: 80, Secure: true,
		Price: Prices{1.39, 0}, MaxCount: Counts{8, 0}},
	{ID: "NVIDIA A100 80GB PCIe", Name: "A100 PCIe", Pool: pool("AMPERE_80"), Manufacturer: "NVIDIA", Memory: 80, Secure: true, Community: true,
		Price: Prices{1.29, 1.09}, MaxCount: Counts{8, 8}},
	{ID: "NVIDIA H100 80GB HBM3", Name: "H100 SXM", Pool: pool("HOPPER_141"), Manufacturer: "NVIDIA", Memory: 80, Secure: true,
		Price: Prices{2.69, 0}, MaxCount: Counts{8, 0}},
	{ID: "NVIDIA H100 PCIe", Name: "H100 PCIe", Manufacturer: "NVIDIA", Memory: 80, Secure: true, Community: true, Price: Prices{2.39, 1.99}, MaxCount: Counts{8, 4}},
	{ID: "NVIDIA H200", Name: "H200 SXM", Manufacturer: "NVIDIA", Memory: 141, Secure: true, Price: Prices{3.59, 0}, MaxCount: Counts{8, 0}},
	{ID: "AMD Instinct MI300X OAM", Name: "MI300X", Manufacturer: "AMD", Memory: 192, Secure: true, Price: Prices{2.49, 0}, MaxCount: Counts{8, 0}},
}

// shelf is the stock of a GPU type in one place.
type shelf struct {
	dc, level string
	community bool // hosts of the community too
}

func (s shelf) cloud(c string) bool { return c == "SECURE" || s.community }

// stock is what there is, by GPU type.
var stock = map[string][]shelf{
	"NVIDIA GeForce RTX 4090": {{"US-KS-2", "HIGH", true}, {"EU-RO-1", "MEDIUM", true}, {"EUR-IS-1", "NONE", false}},
	"NVIDIA GeForce RTX 3070": {{"EU-RO-1", "LOW", true}},
	"NVIDIA A100-SXM4-80GB":   {{"US-KS-2", "LOW", false}, {"EUR-IS-1", "HIGH", false}},
	"NVIDIA A100 80GB PCIe":   {{"EU-RO-1", "LOW", true}, {"US-KS-2", "LOW", true}},
	"NVIDIA H100 80GB HBM3":   {{"US-KS-2", "HIGH", false}, {"EUR-IS-1", "LOW", false}},
	"NVIDIA H100 PCIe":        {{"US-KS-2", "MEDIUM", true}},
	"NVIDIA H200":             {{"US-KS-2", "NONE", false}},
	"AMD Instinct MI300X OAM": {{"EU-RO-1", "LOW", false}},
}

var dataCenters = []DataCenter{
	{ID: "US-KS-2", Name: "US Kansas 2", Region: "NORTH_AMERICA", GlobalNetwork: true, NetworkVolumeTypes: []string{"STANDARD", "HIGH_PERFORMANCE"}, Compliance: []string{"SOC_2_TYPE_2"}},
	{ID: "EU-RO-1", Name: "EU Romania 1", Region: "EUROPE", GlobalNetwork: true, NetworkVolumeTypes: []string{"STANDARD"}, Compliance: []string{"GDPR"}},
	{ID: "EUR-IS-1", Name: "Iceland 1", Region: "EUROPE", NetworkVolumeTypes: []string{"STANDARD"}, Compliance: []string{"GDPR", "RENEWABLE"}},
}

var cudaVersions = []CudaStatus{{"12.4", true}, {"12.8", true}, {"13.0", false}}

var cpuTypes = func() []CPUType {
	t := CPUType{ID: "cpu3c", Name: "Compute-Optimized", Group: "Gen 3", RAMPerVCPU: 2}
	t.VCPU.Min, t.VCPU.Max = 2, 32
	t.Price.Secure, t.Price.Serverless = 0.03, 0.02
	return []CPUType{t}
}()

// levels orders the words for availability.
var levels = []string{"NONE", "LOW", "MEDIUM", "HIGH"}

func findGPU(id string) *GPUType {
	for i := range gpuTypes {
		if gpuTypes[i].ID == id {
			return &gpuTypes[i]
		}
	}
	return nil
}

// olderCuda compares major.minor by numbers: 12.11 is above 12.2.
func olderCuda(a, b string) bool {
	parse := func(s string) (n [2]int) {
		major, minor, _ := strings.Cut(s, ".")
		n[0], _ = strconv.Atoi(major)
		n[1], _ = strconv.Atoi(minor)
		return n
	}
	x, y := parse(a), parse(b)
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) < 0
}

// filters refuses what the catalog's query may not say together.
func (x *exchange) filters() (answer, bool) {
	q := x.Request.URL.Query()
	include := q.Get("include") != ""
	if include && !q.Has("product") {
		return refuse(400, "include=AVAILABILITY requires product"), true
	}
	for _, key := range []string{"product", "count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion", "vcpuCount"} {
		if !include && q.Has(key) {
			return refuse(400, key+" is only valid with include=AVAILABILITY"), true
		}
	}
	if q.Has("cudaVersions") && q.Has("minCudaVersion") {
		return refuse(400, "cudaVersions and minCudaVersion are mutually exclusive"), true
	}
	return answer{}, false
}

// available is a type with its stock, as the query asks for it.
func (x *exchange) available(t GPUType) GPUType {
	q := x.Request.URL.Query()
	if q.Get("include") == "" {
		return t
	}
	count, cloud := 1, cmp.Or(q.Get("cloud"), "SECURE")
	if n, err := strconv.Atoi(q.Get("count")); err == nil {
		count = n
	}
	most := map[string]int{"SECURE": t.MaxCount.Secure, "COMMUNITY": t.MaxCount.Community}[cloud]
	t.Availability, t.CudaVersions = "NONE", cudaVersions
	for _, s := range stock[t.ID] {
		if count > most || !s.cloud(cloud) || s.level == "NONE" || x.f.dry {
			continue
		}
		i := slices.IndexFunc(dataCenters, func(d DataCenter) bool { return d.ID == s.dc })
		t.DataCenters = append(t.DataCenters, Stock{s.dc, dataCenters[i].Name, s.level})
		if slices.Index(levels, s.level) > slices.Index(levels, t.Availability) {
			t.Availability = s.level
		}
	}
	return t
}

func (x *exchange) gpus() answer {
	if a, bad := x.filters(); bad {
		return a
	}
	all := []GPUType{}
	for _, t := range gpuTypes {
		all = append(all, x.available(t))
	}
	return answer{Status: 200, Body: x.dress(map[string]any{"gpus": all})}
}

func (x *exchange) gpu() answer {
	if a, bad := x.filters(); bad {
		return a
	}
	t := findGPU(x.Path["id"])
	if t == nil {
		return refuse(404, "gpu type not found")
	}
	return answer{Status: 200, Body: x.available(*t)}
}

func (x *exchange) cpus() answer {
	if a, bad := x.filters(); bad {
		return a
	}
	all := slices.Clone(cpuTypes)
	for i := range all {
		if x.Request.URL.Query().Get("include") != "" {
			all[i].Availability, all[i].DataCenters = "HIGH", []Stock{{"US-KS-2", "US Kansas 2", "HIGH"}, {"EU-RO-1", "EU Romania 1", "HIGH"}}
		}
	}
	return answer{Status: 200, Body: map[string]any{"cpus": all}}
}

func (x *exchange) dataCenters() answer {
	all := slices.Clone(dataCenters)
	for i := range all {
		if !strings.Contains(x.Request.URL.Query().Get("include"), "GPU_AVAILABILITY") {
			continue
		}
		for _, t := range gpuTypes {
			for _, s := range stock[t.ID] {
				if s.dc == all[i].ID {
					all[i].GPUAvailability = append(all[i].GPUAvailability, Stock{t.ID, t.Name, s.level})
				}
			}
		}
	}
	return answer{Status: 200, Body: map[string]any{"dataCenters": all}}
}

// AddVolume makes a network volume and returns its id.
func (f *Face) AddVolume(dataCenter string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := "vol" + strconv.Itoa(len(f.volumes)+1)
	f.volumes = append(f.volumes, Volume{ID: id, Name: id, Size: 50, DataCenter: dataCenter, Type: "STANDARD"})
	return id
}

func (x *exchange) listVolumes() answer {
	return answer{Status: 200, Body: map[string]any{"networkVolumes": append([]Volume{}, x.f.volumes...)}}
}

func (x *exchange) getVolume() answer {
	for _, v := range x.f.volumes {
		if v.ID == x.Path["id"] {
			return answer{Status: 200, Body: v}
		}
	}
	return refuse(404, "network volume not found")
}

func (x *exchange) registries() answer {
	return answer{Status: 200, Body: map[string]any{"registries": []map[string]string{{"id": "reg1", "name": "ours"}}}}
}
