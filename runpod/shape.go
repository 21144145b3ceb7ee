package runpod

import (
	"strconv"
	"strings"

	"runctl"
)

// shape is what an offer's ID says: all that a launch needs, so that an offer may be stored and launched later.
type shape struct {
	road  runctl.Road // exactly one
	part  string      // gpu or cpu
	cloud string      // SECURE or COMMUNITY
	dc    string      // data center; empty: RunPod chooses
	count int         // of GPUs or virtual processors
	id    string      // of the GPU or processor type; may have spaces
}

// String is the offer's ID.
func (s shape) String() string {
	return strings.Join([]string{s.road.String(), s.part, s.cloud, s.dc, strconv.Itoa(s.count), s.id}, ":")
}

// parseShape reads an offer's ID.
func parseShape(text string) (shape, bool) {
	f := strings.SplitN(text, ":", 6)
	if len(f) != 6 {
		return shape{}, false
	}
	s := shape{part: f[1], cloud: f[2], dc: f[3], id: f[5]}
	for _, r := range []runctl.Road{runctl.RoadJob, runctl.RoadShell} {
		if f[0] == r.String() {
			s.road = r
		}
	}
	s.count, _ = strconv.Atoi(f[4])
	ok := s.road != 0 && (s.part == "gpu" || s.part == "cpu") && (s.cloud == "SECURE" || s.cloud == "COMMUNITY") && s.count > 0 && s.count <= 1024 &&
		s.id != "" && len(text) <= 256 && s.String() == text
	return s, ok
}
