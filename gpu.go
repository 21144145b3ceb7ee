package runctl

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// GPU is a number of equal accelerators. Names are canonical: the maker's, in upper case, with the form
// or the memory as a suffix where one name covers several, such as H100-SXM or A100-80GB.
type GPU struct {
	Model  string // empty in a query: any
	Count  int    // exact in a query; 0 with a Model: 1; 0 without one: do not care
	Memory int64  // MiB of each; at least, in a query
}

// String returns MODEL:COUNT, or "-" for none.
func (g GPU) String() string {
	if g.Model == "" && g.Count == 0 {
		return "-"
	}
	return cmp.Or(g.Model, "any") + ":" + strconv.Itoa(max(g.Count, 1))
}

// Matches reports whether have satisfies the wish g: the same model or one of its forms (H100 is
// satisfied by H100-SXM), exactly the count, at least the memory.
func (g GPU) Matches(have GPU) bool {
	if g == (GPU{}) {
		return true
	}
	want := g.Count
	if want == 0 && g.Model != "" {
		want = 1
	}
	return (g.Model == "" || have.Model == g.Model || strings.HasPrefix(have.Model, g.Model+"-")) &&
		(want == 0 || have.Count == want) && have.Memory >= g.Memory
}

// GPUModel is a row of the table of names.
type GPUModel struct {
	Name   string // canonical
	Maker  string
	Memory int64 // MiB of one; from the maker's data sheet
}

// gpuTable lists canonical names. A name without a form stands for all of its forms in a query.
var gpuTable = []GPUModel{
	{"A10", "NVIDIA", 24 << 10}, {"A100-40GB", "NVIDIA", 40 << 10}, {"A100-80GB", "NVIDIA", 80 << 10},
	{"A10G", "NVIDIA", 24 << 10}, {"A30", "NVIDIA", 24 << 10}, {"A40", "NVIDIA", 48 << 10},
	{"B200", "NVIDIA", 180 << 10}, {"B300", "NVIDIA", 288 << 10}, {"GB200", "NVIDIA", 186 << 10},
	{"GH200", "NVIDIA", 96 << 10}, {"H100-NVL", "NVIDIA", 94 << 10}, {"H100-PCIE", "NVIDIA", 80 << 10},
	{"H100-SXM", "NVIDIA", 80 << 10}, {"H200-NVL", "NVIDIA", 141 << 10}, {"H200-SXM", "NVIDIA", 141 << 10},
	{"L4", "NVIDIA", 24 << 10}, {"L40", "NVIDIA", 48 << 10}, {"L40S", "NVIDIA", 48 << 10},
	{"MI250X", "AMD", 128 << 10}, {"MI300X", "AMD", 192 << 10}, {"MI325X", "AMD", 256 << 10}, {"MI355X", "AMD", 288 << 10},
	{"RTX3080", "NVIDIA", 10 << 10}, {"RTX3090", "NVIDIA", 24 << 10}, {"RTX4080", "NVIDIA", 16 << 10},
	{"RTX4090", "NVIDIA", 24 << 10}, {"RTX5080", "NVIDIA", 16 << 10}, {"RTX5090", "NVIDIA", 32 << 10},
	{"RTX2000-ADA", "NVIDIA", 16 << 10}, {"RTX4000-ADA", "NVIDIA", 20 << 10}, {"RTX5000-ADA", "NVIDIA", 32 << 10},
	{"RTX6000-ADA", "NVIDIA", 48 << 10}, {"RTXA4000", "NVIDIA", 16 << 10}, {"RTXA4500", "NVIDIA", 20 << 10},
	{"RTXA5000", "NVIDIA", 24 << 10}, {"RTXA6000", "NVIDIA", 48 << 10}, {"RTXPRO6000", "NVIDIA", 96 << 10},
	{"T4", "NVIDIA", 16 << 10}, {"T4G", "NVIDIA", 16 << 10}, {"V100-16GB", "NVIDIA", 16 << 10}, {"V100-32GB", "NVIDIA", 32 << 10},
}

// GPUModels returns the table of canonical names, sorted by name.
func GPUModels() []GPUModel {
	t := slices.Clone(gpuTable)
	slices.SortFunc(t, func(a, b GPUModel) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// ParseGPU reads MODEL[-MEMGB][:COUNT], such as H100, A100-80GB:4 or h100-sxm:8. A wrong spelling is
// ErrInvalid, and the message has the right one. The count is 1 to 64.
func ParseGPU(s string) (GPU, error) {
	name, count, has := strings.Cut(strings.TrimSpace(s), ":")
	g := GPU{Model: strings.ToUpper(name), Count: 1}
	if n, model, ok := reversed(g.Model); ok && !has {
		return GPU{}, invalid("gpu", "%q: write %s:%d", clip(s, 40), model, n)
	}
	if has {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > 64 {
			return GPU{}, invalid("gpu", "%q: the count after ':' must be 1 to 64, as in %s:8", clip(s, 40), cmp.Or(clip(oneLine(g.Model), 40), "H100"))
		}
		g.Count = n
	}
	if g.Model == "" {
		return GPU{}, invalid("gpu", "%q: names no model; write MODEL[-MEMGB][:COUNT], as in H100:8 or A100-80GB:1", clip(oneLine(s), 40))
	}
	if err := checkGPU(g); err != nil {
		return GPU{}, err
	}
	return g, nil
}

// reversed recognises 8xH100 and H100x8.
func reversed(s string) (int, string, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != 'X' {
			continue
		}
		if n, err := strconv.Atoi(s[:i]); err == nil && n >= 1 && n <= 64 && knownGPU(s[i+1:]) {
			return n, s[i+1:], true
		}
		if n, err := strconv.Atoi(s[i+1:]); err == nil && n >= 1 && n <= 64 && knownGPU(s[:i]) {
			return n, s[:i], true
		}
	}
	return 0, "", false
}

// knownGPU reports whether name is in the table, or stands for several of its rows.
func knownGPU(name string) bool {
	return slices.ContainsFunc(gpuTable, func(m GPUModel) bool {
		return m.Name == name || strings.HasPrefix(m.Name, name+"-")
	})
}

// checkGPU refuses a wish whose spelling is not in the table, and names the nearest.
func checkGPU(g GPU) error {
	switch {
	case g.Count < 0 || g.Count > 64:
		return invalid("gpu", "count %d: must be 1 to 64", g.Count)
	case g.Memory < 0:
		return invalid("gpu", "memory %d: must not be negative (MiB of each)", g.Memory)
	case g.Model == "" || knownGPU(g.Model):
		return nil
	}
	if n, model, ok := reversed(strings.ToUpper(g.Model)); ok {
		return invalid("gpu", "%q: write %s:%d", clip(g.Model, 40), model, n)
	}
	var names []string
	for _, m := range gpuTable {
		names = append(names, m.Name)
		if base, _, ok := strings.Cut(m.Name, "-"); ok && !slices.Contains(names, base) {
			names = append(names, base)
		}
	}
	return invalid("gpu", "unknown model %q%s Write MODEL[-MEMGB][:COUNT], as in H100:8 or A100-80GB:1",
		clip(oneLine(g.Model), 40), cmp.Or(didYouMean(g.Model, names), "."))
}
