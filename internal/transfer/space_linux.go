package transfer

import (
	"os"
	"syscall"
)

// space is how many bytes may still be written to a file's disk; false: not known.
func space(f *os.File) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil || s.Blocks == 0 || s.Bsize <= 0 || s.Bavail > 1<<50 {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
