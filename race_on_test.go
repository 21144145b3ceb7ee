//go:build race

package runctl

const raceEnabled = true
