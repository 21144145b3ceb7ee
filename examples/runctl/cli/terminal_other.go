//go:build !unix

package cli

import "os"

// notifyResize never tells: there is no such signal here.
func notifyResize() (<-chan os.Signal, func()) { return nil, func() {} }
