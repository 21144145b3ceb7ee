//go:build !race

package torture

const (
	logBytes = 1_000_000_000
	minCuts  = 200
	minKills = 20
)
