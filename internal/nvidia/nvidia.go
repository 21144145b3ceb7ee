// Package nvidia reads what nvidia-smi says of GPUs.
package nvidia

import (
	"slices"
	"strconv"
	"strings"

	"runctl"
)

// Query are the arguments whose answer Parse reads.
var Query = []string{"--query-gpu=name,memory.total", "--format=csv,noheader,nounits"}

// Parse reads the answer of nvidia-smi: one line "name, MiB" for each GPU. Lines that are none are
// passed over. A [runctl.GPU] is a number of equal GPUs, so of several models it is the one of most
// GPUs, then of most memory, that is offered.
func Parse(out string) runctl.GPU {
	var found []runctl.GPU
	for line := range strings.Lines(out) {
		i := strings.LastIndexByte(line, ',')
		if i < 0 {
			continue
		}
		mib, err := strconv.ParseInt(strings.TrimSpace(line[i+1:]), 10, 64)
		if err != nil || mib < 0 || mib > 16<<20 {
			mib = 0 // such as [N/A], where memory is shared with the processor
		}
		g, ok := Named(line[:i], mib)
		if !ok {
			continue
		}
		at := slices.IndexFunc(found, func(f runctl.GPU) bool { return f.Model == g.Model && f.Memory == g.Memory })
		if at < 0 {
			found = append(found, g)
		} else {
			found[at].Count++
		}
	}
	var best runctl.GPU
	for _, g := range found {
		if g.Count > best.Count || g.Count == best.Count && g.Memory > best.Memory {
			best = g
		}
	}
	return best
}

// Named maps one name of nvidia-smi to the canonical table: the row that fits the name, and among the
// forms of one name the one whose form is named or whose memory is nearest. A driver shows a little less
// memory than the data sheet; then the data sheet's figure counts, as it does for every cloud. A name that
// is not in the table stays as it is, without the maker, in upper case.
func Named(name string, mib int64) (runctl.GPU, bool) {
	words := strings.Fields(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return ' '
	}, name))
	for len(words) > 0 && slices.Contains([]string{"NVIDIA", "TESLA", "GEFORCE", "QUADRO"}, words[0]) {
		words = words[1:]
	}
	if len(words) == 0 {
		return runctl.GPU{}, false
	}
	if row, ok := canonical(words, mib); ok {
		if near(mib, row.Memory) || mib == 0 {
			mib = row.Memory
		}
		return runctl.GPU{Model: row.Name, Count: 1, Memory: mib}, true
	}
	model := strings.Join(words, "-")
	return runctl.GPU{Model: model[:min(len(model), 64)], Count: 1, Memory: mib}, true
}

// canonical finds the row of the table for the words of a name.
func canonical(words []string, mib int64) (runctl.GPUModel, bool) {
	base, rest := words[0], words[1:]
	switch {
	case base == "RTX" && len(rest) > 1 && rest[0] == "PRO": // RTX PRO 6000 Blackwell Server Edition
		base, rest = "RTXPRO"+rest[1], rest[2:]
	case base == "RTX" && len(rest) == 3 && rest[1] == "ADA": // RTX 6000 Ada Generation
		base, rest = "RTX"+rest[0]+"-ADA", nil
	case base == "RTX" && len(rest) > 0: // RTX A6000, RTX 4090; RTX 4090 Laptop GPU is another one
		base, rest = "RTX"+rest[0], rest[1:]
	}
	if slices.ContainsFunc(rest, func(w string) bool { return !plainWords[w] && !isMemory(w) }) {
		return runctl.GPUModel{}, false
	}
	var best runctl.GPUModel
	for _, row := range runctl.GPUModels() {
		form, ok := strings.CutPrefix(row.Name, base+"-")
		switch {
		case row.Name == base:
			return row, true
		case !ok:
		case form == "SXM": // what has no other form in its name
			if !slices.Contains(rest, "PCIE") && !slices.Contains(rest, "NVL") {
				return row, true
			}
		case slices.Contains(rest, form) && !isMemory(form):
			return row, true
		case isMemory(form) && near(mib, row.Memory):
			best = row
		case isMemory(form) && mib == 0 && slices.Contains(rest, form):
			best = row
		}
	}
	return best, best.Name != ""
}

// plainWords may follow a model's name without making it another model.
var plainWords = map[string]bool{
	"SXM": true, "SXM2": true, "SXM3": true, "SXM4": true, "SXM5": true, "SXM6": true, "PCIE": true, "NVL": true, "AC": true,
	"HBM2": true, "HBM2E": true, "HBM3": true, "HBM3E": true, "BLACKWELL": true, "SERVER": true, "WORKSTATION": true, "EDITION": true,
}

// isMemory reports whether a word is a size such as 80GB or 144G.
func isMemory(w string) bool {
	n := strings.TrimSuffix(strings.TrimSuffix(w, "B"), "G")
	_, err := strconv.ParseUint(n, 10, 16)
	return n != w && err == nil
}

// near reports whether two sizes are the same but for what a driver keeps for itself.
func near(mib, sheet int64) bool { return mib > sheet-sheet/8 && mib < sheet+sheet/8 }
