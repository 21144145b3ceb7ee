//go:build unix

package transfer

import (
	"os"
	"syscall"
)

// tryLock takes an exclusive lock that ends with the file's closing or the process; false: another has it.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
