package lyceum

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runctl"
	"runctl/internal/nvidia"
)

// Ids of offers and of instances begin with what they are of.
const (
	vmPrefix  = "vm:"
	runPrefix = "run:"
)

// counts are the numbers of GPUs that a virtual machine may have. Lyceum makes 1 of 0, and bills it.
var counts = []int{1, 2, 4, 8}

// shape is what an offer's ID says: all that a launch needs, so that an offer may be stored and launched later.
type shape struct {
	run     bool   // a run, else a virtual machine
	spot    bool   // of a machine
	profile string // Lyceum's name of the hardware: h100 of a machine, gpu.h100 or cpu of a run
	count   int    // of GPUs of a machine
}

// Lyceum's words for how a machine is bought.
const (
	onDemand = "on-demand"
	spot     = "spot"
)

func (s shape) bought() string {
	if s.spot {
		return spot
	}
	return onDemand
}

func (s shape) market() runctl.Market {
	if s.spot {
		return runctl.Spot
	}
	return runctl.OnDemand
}

// String is the offer's ID.
func (s shape) String() string {
	if s.run {
		return runPrefix + s.profile
	}
	return vmPrefix + s.bought() + ":" + s.profile + ":" + strconv.Itoa(s.count)
}

// meter is the machine's name in Lyceum's price book, such as on-demand.h100.8x.
func (s shape) meter() string { return s.bought() + "." + typeName(s.profile, s.count) }

// typeName is what hardware is called where people see it, as in Lyceum's price book: h100.8x.
func typeName(profile string, count int) string {
	if profile == "" || count <= 0 {
		return profile
	}
	return profile + "." + strconv.Itoa(count) + "x"
}

var (
	profileName   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	executionType = regexp.MustCompile(`^[a-zA-Z0-9_.]{1,64}$`) // by the document
)

// parseShape reads an offer's ID.
func parseShape(id string) (shape, bool) {
	if name, ok := strings.CutPrefix(id, runPrefix); ok {
		return shape{run: true, profile: name}, executionType.MatchString(name)
	}
	f := strings.Split(id, ":")
	if len(f) != 4 || f[0]+":" != vmPrefix {
		return shape{}, false
	}
	s := shape{spot: f[1] == spot, profile: f[2]}
	s.count, _ = strconv.Atoi(f[3])
	return s, s.String() == id && profileName.MatchString(s.profile) && slices.Contains(counts, s.count)
}

// parts is what is known of one GPU of a profile: its memory in MiB, and what a machine has for each of them, where that was
// measured on machines of 2026-07. No call of the API tells them.
var parts = map[string]struct {
	gpuMiB int64
	vcpu   int
	ramGiB int64
}{
	"l40s": {46068, 12, 70},
	"a100": {81920, 16, 94},
	"h100": {81559, 32, 181},
	"h200": {143771, 16, 196},
	"b200": {}, "b300": {},
}

// gpu names a profile's GPUs in the canonical way: h100 is H100-SXM. A name that the table does not have stays as it
// is, in upper case.
func gpu(profile string, count int) runctl.GPU {
	g, ok := nvidia.Named(profile, parts[strings.ToLower(profile)].gpuMiB)
	if !ok || count <= 0 {
		return runctl.GPU{}
	}
	g.Count = count
	return g
}

// runGPU is the GPU of a run's machine: gpu.h100 has one.
func runGPU(kind string) runctl.GPU {
	profile, ok := strings.CutPrefix(strings.ToLower(kind), "gpu.")
	if !ok {
		return runctl.GPU{}
	}
	return gpu(profile, 1)
}
