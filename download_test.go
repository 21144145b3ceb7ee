package runctl

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link among the outputs does not cost the files after it.
func TestLinksAreLeftOutAndNamed(t *testing.T) {
	inside, err := extractSafely(t, hostileTar(
		tar.Header{Typeflag: tar.TypeReg, Name: "out/a"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "out/latest", Linkname: "a"},
		tar.Header{Typeflag: tar.TypeReg, Name: "out/b"}))
	skipped := (*SkippedError)(nil)
	require.True(t, errors.As(err, &skipped), "%v", err)
	require.Equal(t, []string{"out/latest"}, skipped.Names)
	require.ErrorContains(t, err, "left out, since they are links, devices or sparse: out/latest")
	for _, name := range []string{"out/a", "out/b"} {
		require.FileExists(t, filepath.Join(inside, name))
	}
	_, err = os.Lstat(filepath.Join(inside, "out/latest"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
