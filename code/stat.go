package code

import "io/fs"

// stat is what tells that a file was not written to: Unix nanoseconds, and zero where the system does not say.
type stat struct {
	modified, changed int64
	inode             uint64
}

func statOf(info fs.FileInfo) stat {
	s := stat{modified: info.ModTime().UnixNano()}
	s.changed, s.inode = identity(info)
	return s
}
