// Package execfile writes files that are executed at once.
package execfile

import (
	"os"
	"syscall"
)

// Write writes a program that may be executed as soon as it returns. While it writes, this process forks nothing: a child that
// has the file open for writing, until it becomes another program itself, has the system refuse to execute it (ETXTBSY).
func Write(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}
