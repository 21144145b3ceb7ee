package runctl_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/local"
)

// here runs a job on this computer, and returns when it has ended.
func here(t *testing.T, script string) *runctl.Run {
	t.Helper()
	p, err := local.New(local.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	c := client(t, p, runctl.Config{})
	r := start(t, c, runctl.RunSpec{Key: "k", Job: runctl.Job{Args: []string{"sh", "-c", script}, Dir: t.TempDir()}, Lifetime: time.Hour})
	t.Cleanup(func() { assert.NoError(t, c.Terminate(context.Background(), r.Ref())) })
	_, err = r.Wait(t.Context())
	require.NoError(t, err)
	return r
}

func TestADownloadIsCompleteButForWhatItNames(t *testing.T) {
	r := here(t, `cd "$RUNCTL_OUTPUT_DIR"; mkdir -p out/empty; echo a >out/a; ln -s a out/latest; ln -s / out/root; echo b >out/b; chmod 4777 out/b`)
	to := t.TempDir()
	var last runctl.TransferProgress
	err := r.Download(t.Context(), "out", to, runctl.TransferOptions{Progress: func(p runctl.TransferProgress) { last = p }})
	skipped := (*runctl.SkippedError)(nil)
	require.ErrorAs(t, err, &skipped)
	assert.Equal(t, 2, skipped.Count)
	assert.ElementsMatch(t, []string{"out/latest", "out/root"}, skipped.Names)
	require.ErrorContains(t, err, "left out, since they are links")
	for name, mode := range map[string]os.FileMode{"out/a": 0o644, "out/b": 0o755, "out/empty": os.ModeDir | 0o755} {
		info, err := os.Lstat(filepath.Join(to, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	assert.Equal(t, runctl.TransferProgress{Files: 2, TotalFiles: 2, Bytes: 4, TotalBytes: 4}, last)
	left, err := os.ReadDir(to)
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing of the transfer's own stays")

	err = r.Download(t.Context(), "out", to, runctl.TransferOptions{MaxBytes: 3})
	require.ErrorIs(t, err, runctl.ErrInvalid)
	require.ErrorContains(t, err, "more than 3 B in all; allow more")
	err = r.Download(t.Context(), "missing", to)
	require.ErrorIs(t, err, runctl.ErrConflict)
	require.ErrorContains(t, err, "no such file or directory")
	require.NoError(t, r.Download(t.Context(), "out/a", to, runctl.TransferOptions{As: "b/c"}))
	require.FileExists(t, filepath.Join(to, "b/c"))
	for _, o := range []runctl.TransferOptions{{MaxBytes: -1}, {MaxFiles: -1}, {As: "../x"}, {As: "/x"}} {
		require.ErrorIs(t, r.Download(t.Context(), "out", to, o), runctl.ErrInvalid)
	}
	require.ErrorIs(t, r.Download(t.Context(), "out", to, runctl.TransferOptions{}, runctl.TransferOptions{}), runctl.ErrInvalid)
}

// broken is a cloud whose machine has files, and a connection that breaks so often.
func broken(t *testing.T, times int) (*fake.Cloud, *runctl.Run) {
	cloud := fake.New(fake.ShellOnly(), fake.With(slow))
	cloud.Script("", fake.Script{Hold: true, Outputs: map[string]string{"w": "weights"}})
	r := start(t, client(t, cloud, runctl.Config{}), spec("k", 0))
	cloud.Inject(fake.Fault{Op: fake.OpExec, Times: times, Nth: 1, Err: io.ErrUnexpectedEOF})
	return cloud, r
}

func TestADownloadOutlivesCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := broken(t, 7)
		to := t.TempDir()
		require.NoError(t, r.Download(t.Context(), "w", to))
		require.FileExists(t, filepath.Join(to, "w"))
	})
}

func TestADownloadGivesUpWhereNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := broken(t, 1000)
		t0 := time.Now()
		err := r.Download(t.Context(), "w", t.TempDir())
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorContains(t, err, "w could not be fetched")
		assert.Less(t, time.Since(t0), 10*time.Minute)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the caller's reason")
		time.AfterFunc(time.Second, func() { cancel(why) })
		require.ErrorIs(t, r.Download(ctx, "w", t.TempDir()), why)
	})
}

func TestADownloadFromAMachineThatEndsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, r := broken(t, 1000)
		require.NoError(t, cloud.Terminate(t.Context(), r.Instance().ID))
		err := r.Download(t.Context(), "w", t.TempDir())
		require.ErrorIs(t, err, runctl.ErrLost)
		require.ErrorContains(t, err, "the machine has ended, and its files with it")
	})
}

func TestAnUploadReachesTheJobsDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, r := broken(t, 7)
		from := filepath.Join(t.TempDir(), "data")
		require.NoError(t, os.MkdirAll(filepath.Join(from, "empty"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(from, "f"), []byte("rows"), 0o600))
		require.NoError(t, os.Symlink("f", filepath.Join(from, "link")))
		var last runctl.TransferProgress
		err := r.Upload(t.Context(), from, "in", runctl.TransferOptions{Progress: func(p runctl.TransferProgress) { last = p }})
		skipped := (*runctl.SkippedError)(nil)
		require.ErrorAs(t, err, &skipped)
		assert.Equal(t, []string{"link"}, skipped.Names)
		assert.Equal(t, runctl.TransferProgress{Files: 1, TotalFiles: 1, Bytes: 4, TotalBytes: 4}, last)
		to := t.TempDir()
		require.NoError(t, r.Download(t.Context(), "in", to))
		b, err := os.ReadFile(filepath.Join(to, "in/data/f"))
		require.NoError(t, err)
		assert.Equal(t, "rows", string(b))
		assert.DirExists(t, filepath.Join(to, "in/data/empty"))

		require.ErrorIs(t, r.Upload(t.Context(), "", "in"), runctl.ErrInvalid)
		for _, to := range []string{"", "/abs", "../out", "a\nb", `a\b`} {
			require.ErrorIs(t, r.Upload(t.Context(), from, to), runctl.ErrInvalid, to)
		}
		require.ErrorIs(t, r.Upload(t.Context(), from, "in/data/f"), runctl.ErrConflict, "a file is there")
		require.ErrorIs(t, r.Upload(t.Context(), filepath.Join(from, "none"), "in"), os.ErrNotExist)
		require.Equal(t, 1, cloud.Finish("k", 0))
		err = r.Upload(t.Context(), from, "in")
		require.ErrorIs(t, err, runctl.ErrConflict)
		require.ErrorContains(t, err, "the run has ended")
	})
	err := here(t, "true").Upload(t.Context(), t.TempDir(), ".")
	require.ErrorIs(t, err, runctl.ErrInvalid)
	require.ErrorContains(t, err, "its job works in a directory of yours")
}
