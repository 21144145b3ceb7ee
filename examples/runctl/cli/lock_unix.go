//go:build unix

package cli

import (
	"os"
	"syscall"
)

// tryLock takes the lock of f unless another open file holds it.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
