//go:build !unix

package runctl

import "os"

// lockFile has no lock to take here: FileIntents is then safe within one process only.
func lockFile(*os.File) error { return nil }
