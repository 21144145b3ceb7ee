package aws

import "time"

// A face on this computer is asked again sooner.
func init() { longestPause = 20 * time.Millisecond }
