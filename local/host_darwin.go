package local

import (
	"context"
	"strconv"
	"strings"
)

// memory is this computer's, in MiB; 0: unknown.
func memory(ctx context.Context) int64 {
	out, err := ask(ctx, "/usr/sbin/sysctl", "-n", "hw.memsize")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n >> 20
}
