package aws

import (
	"regexp"
	"slices"
	"strings"
)

// Type is an instance type as the face offers it.
type Type struct {
	Name   string
	VCPU   int
	Memory int    // MiB
	Arch   string // empty: x86_64
	GPU    string // as EC2 names it; empty: none
	GPUs   int
	GPUMem int     // MiB of one
	Maker  string  // empty: NVIDIA
	Hourly float64 // USD, on demand, Linux, in every region
	Zones  string  // letters of the zones that have it; empty: all
	NoSpot bool
}

// catalogue is what there is: names, sizes and GPUs are EC2's, prices are near what us-west-2 asked for in 2026.
var catalogue = []Type{
	{Name: "t3.micro", VCPU: 2, Memory: 1024, Hourly: 0.0104},
	{Name: "t4g.small", VCPU: 2, Memory: 2048, Arch: "arm64", Hourly: 0.0168},
	{Name: "m7i.large", VCPU: 2, Memory: 8192, Hourly: 0.1008},
	{Name: "c7i.4xlarge", VCPU: 16, Memory: 32768, Hourly: 0.714},
	{Name: "g4dn.xlarge", VCPU: 4, Memory: 16384, GPU: "T4", GPUs: 1, GPUMem: 16384, Hourly: 0.526},
	{Name: "g5.xlarge", VCPU: 4, Memory: 16384, GPU: "A10G", GPUs: 1, GPUMem: 24576, Hourly: 1.006},
	{Name: "g5.12xlarge", VCPU: 48, Memory: 196608, GPU: "A10G", GPUs: 4, GPUMem: 24576, Hourly: 5.672},
	{Name: "g5g.xlarge", VCPU: 4, Memory: 8192, Arch: "arm64", GPU: "T4g", GPUs: 1, GPUMem: 16384, Hourly: 0.42},
	{Name: "g4ad.xlarge", VCPU: 4, Memory: 16384, GPU: "Radeon Pro V520", GPUs: 1, GPUMem: 8192, Maker: "AMD", Hourly: 0.37853},
	{Name: "g6.xlarge", VCPU: 4, Memory: 16384, GPU: "L4", GPUs: 1, GPUMem: 22888, Hourly: 0.8048, Zones: "ab"},
	{Name: "g6e.xlarge", VCPU: 4, Memory: 32768, GPU: "L40S", GPUs: 1, GPUMem: 45776, Hourly: 1.861, Zones: "bc"},
	{Name: "p3.2xlarge", VCPU: 8, Memory: 62464, GPU: "V100", GPUs: 1, GPUMem: 16384, Hourly: 3.06},
	{Name: "p4d.24xlarge", VCPU: 96, Memory: 1179648, GPU: "A100", GPUs: 8, GPUMem: 40960, Hourly: 21.957642, Zones: "bc"},
	{Name: "p4de.24xlarge", VCPU: 96, Memory: 1179648, GPU: "A100", GPUs: 8, GPUMem: 81920, Hourly: 27.44705, Zones: "c"},
	{Name: "p5.4xlarge", VCPU: 16, Memory: 262144, GPU: "H100", GPUs: 1, GPUMem: 81920, Hourly: 6.88, Zones: "abc"},
	{Name: "p5.48xlarge", VCPU: 192, Memory: 2097152, GPU: "H100", GPUs: 8, GPUMem: 81920, Hourly: 55.04, Zones: "abc"},
	{Name: "p5en.48xlarge", VCPU: 192, Memory: 2097152, GPU: "H200", GPUs: 8, GPUMem: 144384, Hourly: 63.296, Zones: "c", NoSpot: true},
}

// Types is the catalogue.
func Types() []Type { return slices.Clone(catalogue) }

func (t Type) arch() string {
	if t.Arch == "" {
		return "x86_64"
	}
	return t.Arch
}

// in reports whether a zone has the type.
func (t Type) in(zone string) bool {
	return t.Zones == "" || strings.Contains(t.Zones, zone[len(zone)-1:])
}

// Family is the name of the quota that the type counts into.
func (t Type) Family() string {
	family := regexp.MustCompile(`^[a-z]+`).FindString(t.Name)
	switch {
	case family == "g" || family == "vt":
		return "G and VT"
	case family == "p":
		return "P"
	case slices.Contains([]string{"inf", "trn", "dl", "f", "x", "hpc"}, family):
		return strings.ToUpper(family)
	}
	return "Standard"
}

func findType(name string) *Type {
	for i := range catalogue {
		if catalogue[i].Name == name {
			return &catalogue[i]
		}
	}
	return nil
}

func (f *Face) zones() []string { r := f.opt.region(); return []string{r + "a", r + "b", r + "c"} }

func (t Type) view() params {
	usage := []string{"on-demand"}
	if !t.NoSpot {
		usage = append(usage, "spot")
	}
	p := params{
		"InstanceType": t.Name, "CurrentGeneration": t.Name != "p3.2xlarge", "FreeTierEligible": t.Name == "t3.micro", "SupportedUsageClasses": usage,
		"SupportedRootDeviceTypes": []string{"ebs"}, "SupportedVirtualizationTypes": []string{"hvm"}, "BareMetal": false, "Hypervisor": "nitro",
		"ProcessorInfo": params{"SupportedArchitectures": []string{t.arch()}, "SustainedClockSpeedInGhz": 3.1},
		"VCpuInfo":      params{"DefaultVCpus": t.VCPU, "DefaultCores": max(t.VCPU/2, 1), "DefaultThreadsPerCore": 2},
		"MemoryInfo":    params{"SizeInMiB": t.Memory}, "InstanceStorageSupported": false, "HibernationSupported": false,
		"BurstablePerformanceSupported": strings.HasPrefix(t.Name, "t"), "DedicatedHostsSupported": true, "AutoRecoverySupported": true,
		"EbsInfo":     params{"EbsOptimizedSupport": "default", "EncryptionSupport": "supported", "NvmeSupport": "required"},
		"NetworkInfo": params{"NetworkPerformance": "Up to 12.5 Gigabit", "MaximumNetworkInterfaces": 4, "EnaSupport": "required", "EfaSupported": false},
	}
	if t.GPU != "" {
		maker := "NVIDIA"
		if t.Maker != "" {
			maker = t.Maker
		}
		p["GpuInfo"] = params{"TotalGpuMemoryInMiB": t.GPUs * t.GPUMem, "Gpus": []params{
			{"Name": t.GPU, "Manufacturer": maker, "Count": t.GPUs, "MemoryInfo": params{"SizeInMiB": t.GPUMem}}}}
	}
	return p
}

func (x *exchange) describeInstanceTypes() (params, *refusal) {
	wanted := x.in.strs("InstanceTypes")
	var rows []params
	for _, t := range catalogue {
		if len(wanted) == 0 || slices.Contains(wanted, t.Name) {
			rows = append(rows, t.view())
		}
	}
	if len(wanted) > len(rows) {
		return nil, bad("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", strings.Join(wanted, ", "))
	}
	return x.filtered("InstanceTypes", rows, pageRule{5, 100, "InstanceTypes"})
}

func (x *exchange) describeOfferings() (params, *refusal) {
	kind := x.in.str("LocationType")
	var rows []params
	for _, t := range catalogue {
		switch kind {
		case "", "region":
			rows = append(rows, params{"InstanceType": t.Name, "LocationType": "region", "Location": x.f.opt.region()})
		case "availability-zone":
			for _, z := range x.f.zones() {
				if t.in(z) {
					rows = append(rows, params{"InstanceType": t.Name, "LocationType": kind, "Location": z})
				}
			}
		default:
			return nil, bad("InvalidParameterValue", "the face knows no offerings by %s", kind)
		}
	}
	return x.filtered("InstanceTypeOfferings", rows, pageRule{5, 1000, ""})
}
