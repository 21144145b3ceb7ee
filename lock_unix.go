//go:build unix

package runctl

import (
	"os"
	"syscall"
)

// lockFile takes an exclusive lock that ends with the file's closing or the process.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}
