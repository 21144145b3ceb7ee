package runpod

import "time"

// Streams of tests are looked after sooner: a face on this computer answers at once.
func init() { patient.silence, patient.gone = 3*time.Second, 200*time.Millisecond }
