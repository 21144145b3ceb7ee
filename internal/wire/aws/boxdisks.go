//go:build unix

package aws

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"runctl/internal/execfile"
)

// A data volume is a file beside the machines' directories, with what is on it in a directory of its own, and a device of every
// machine that it is attached to. mkfs.ext4, blkid and mount are the machine's own programs, and know only such devices.
const (
	mkfsScript  = "#!/bin/sh\nshift $(($# - 1))\nprintf ext4 | dd of=\"$1\" conv=notrunc 2>/dev/null\n"
	blkidScript = "#!/bin/sh\nshift $(($# - 1))\n[ \"$(head -c 4 \"$1\")\" = ext4 ] || exit 2\necho ext4\n"
	mountScript = "#!/bin/sh\non=$(readlink -f \"$1\").d\nmkdir -p \"$on\"\n" +
		"if [ -L \"$2\" ]; then rm \"$2\"; else rmdir \"$2\"; fi\nln -s \"$on\" \"$2\" && echo \"$1 $2 ext4 rw 0 0\" >>\"$RUNCTL_MOUNTS\"\n"
)

// mounts is the machine's /proc/mounts. No boot has those of the one before.
func (b *box) mounts() string { return filepath.Join(b.dir, "mounts") }

func (b *box) furnishDisks() {
	for name, text := range map[string]string{"mkfs.ext4": mkfsScript, "blkid": blkidScript, "mount": mountScript} {
		_ = execfile.Write(filepath.Join(b.dir, "bin", name), text)
	}
	_ = os.WriteFile(b.mounts(), nil, 0o644)
	_ = os.RemoveAll(filepath.Join(b.dir, "sys"))
	_ = os.RemoveAll(filepath.Join(b.dir, "dev"))
}

// insert makes a volume that is attached a device of the machine. Its serial number is the volume's id.
func (b *box) insert(v *volume) {
	file := filepath.Join(b.real.Dir, v.id)
	if f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_ = f.Truncate(1 << 20) // of nothing, where it is new
		_ = f.Close()
	}
	have, _ := filepath.Glob(filepath.Join(b.dir, "dev/nvme*"))
	name := fmt.Sprintf("nvme%dn1", len(have))
	about := filepath.Join(b.dir, "sys/block", name, "device")
	_ = os.MkdirAll(about, 0o755)
	_ = os.MkdirAll(filepath.Join(b.dir, "dev"), 0o755)
	_ = os.Symlink(file, filepath.Join(b.dir, "dev", name))
	_ = os.WriteFile(filepath.Join(about, "serial"), []byte(strings.ReplaceAll(v.id, "-", "")+" \n"), 0o644)
}
