package runpod

import "time"

// Streams of tests are looked after sooner: a face on this computer answers at once.
func init() { patient.silence = 3 * time.Second }
