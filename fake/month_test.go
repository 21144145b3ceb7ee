//go:build !race

package fake_test

import "time"

const (
	monthPoll = 10 * time.Second
	monthTime = 60 * time.Second // of processors, of which there may be several
)
