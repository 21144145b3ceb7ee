package runpod

import (
	"strconv"
	"strings"

	"runctl"
	"runctl/internal/nvidia"
)

// gpu names RunPod's GPU type in the canonical way: "NVIDIA H100 80GB HBM3" is H100-SXM. RunPod uses the names
// that drivers show, with the maker in front; memory, in MiB, is what its catalog says, 0 where that was not asked. A name that the
// table does not have stays as it is, without the maker, in upper case.
func gpu(id string, count int, memory int64) runctl.GPU {
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(id, "AMD "), "Instinct "), " OAM")
	g, ok := nvidia.Named(name, memory)
	if !ok {
		return runctl.GPU{}
	}
	g.Count = count
	return g
}

// typeName is what a shape is called where people see it: RunPod has names for parts, not for whole machines.
func typeName(id string, count int) string {
	if count <= 1 {
		return id
	}
	return id + " x" + strconv.Itoa(count)
}
