package s3store

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func tempRoot(t *testing.T) *os.Root {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// After a loss of power a record must not tell of bytes that never came to the disk, where no sum would tell that they did not.
func TestWithoutASumABlockIsOnTheDiskBeforeItsRecord(t *testing.T) {
	root := tempRoot(t)
	summed, err := openPart(root, "a", "origin", Object{Key: "k", Size: 10, ETag: "v", Sum: parseSum("CRC32C", "AAAAAA==")}, 4)
	require.NoError(t, err)
	defer summed.close()
	require.Nil(t, summed.flush)

	p, err := openPart(root, "b", "origin", Object{Key: "k", Size: 10, ETag: "v"}, 4)
	require.NoError(t, err)
	defer p.close()
	bytes, flushed := p.flush, 0
	p.flush = func() error {
		flushed++
		record, err := root.ReadFile(p.name + ".have")
		require.NoError(t, err)
		require.NotContains(t, string(record), "+")
		return bytes()
	}
	require.NoError(t, p.done(1))
	require.Equal(t, 1, flushed)
	p.flush = func() error { return os.ErrClosed }
	require.ErrorIs(t, p.done(2), os.ErrClosed)
	require.Equal(t, []int{0, 2}, p.missing(), "what is not on the disk is not there")
}
