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
