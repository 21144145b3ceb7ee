//go:build race

package torture

// The race detector makes SSH several times slower.
const (
	logBytes = 100_000_000
	minCuts  = 40
	minKills = 8
)
