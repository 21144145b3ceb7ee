package local

import (
	"context"
	"os"
	"strconv"
	"strings"
)

// memory is this computer's, in MiB; 0: unknown.
func memory(context.Context) int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return parseMeminfo(string(b))
}

// parseMeminfo reads the line "MemTotal: N kB".
func parseMeminfo(s string) int64 {
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil && n > 0 {
				return n >> 10
			}
		}
	}
	return 0
}
