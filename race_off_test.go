//go:build !race

package runctl

const raceEnabled = false
