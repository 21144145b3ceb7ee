package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFullDiskThereIsSaid(t *testing.T) {
	m := newShell(t, "/bin/sh")
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=600k,mode=700"); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	m.root = filepath.Join(small, "root")
	require.NoError(t, os.Mkdir(m.root, 0o700))
	m.env[len(m.env)-1] = "RUNCTL_ROOT=" + m.root
	m.begin(t, ``)
	_, err := push(t, m, tree(t, map[string]string{"big": noise(t, 2<<20)}), ".", Options{})
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "perhaps for lack of room: tar: ")
	require.False(t, errors.Is(err, errCut))
}
