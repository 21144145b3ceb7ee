//go:build race

package fake_test

import "time"

// The race detector makes each look at the cloud many times dearer, so there are fewer.
const (
	monthPoll = time.Minute
	monthTime = 120 * time.Second
)
