package s3store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/s3store"
)

func TestSyncMovesWhatDiffersAndNothingElse(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	s := storeAt(t, srv, d)
	here, there := t.TempDir(), t.TempDir()
	files := map[string]int64{"a": 3, "b/c": 0, "b/d e": 1000, "b/ü%+": 5, "large": 2*part + 1}
	var all int64
	for name, size := range files {
		fill(t, filepath.Join(here, name), size, uint64(size))
		all += size
	}
	sync := func(d s3store.Direction, dir string) s3store.Synced {
		t.Helper()
		did, err := s.Sync(t.Context(), d, dir, "x")
		require.NoError(t, err)
		return did
	}
	assert.Equal(t, s3store.Synced{Moved: 5, Bytes: all}, sync(s3store.Up, here))
	assert.Equal(t, s3store.Synced{Same: 5}, sync(s3store.Up, here))
	assert.Equal(t, s3store.Synced{Moved: 5, Bytes: all}, sync(s3store.Down, there))
	assert.Equal(t, s3store.Synced{Same: 5}, sync(s3store.Down, there))
	for name := range files {
		sameFile(t, filepath.Join(here, name), filepath.Join(there, name))
	}

	fill(t, here+"/large", files["large"], 99) // of the same size
	fill(t, here+"/a", 3, 98)
	require.NoError(t, os.Remove(here+"/b/c"))
	assert.Equal(t, s3store.Synced{Same: 2, Moved: 2, Bytes: files["large"] + 3}, sync(s3store.Up, here))
	assert.Equal(t, s3store.Synced{Same: 3, Moved: 2, Bytes: files["large"] + 3}, sync(s3store.Down, there), "nothing is deleted")
	require.NoError(t, os.Chtimes(there+"/a", time.Time{}, time.Unix(1, 0)))
	assert.Equal(t, s3store.Synced{Same: 5}, sync(s3store.Down, there), "times do not count")
}

func TestSyncLeavesOutWhatIsNoPlainFileAndSaysSo(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	s := storeAt(t, srv, &door{})
	dir := t.TempDir()
	fill(t, dir+"/a", 1, 1)
	fill(t, dir+"/.runctl-part-0123", 1, 1)
	require.NoError(t, os.Symlink("a", dir+"/link"))
	did, err := s.Sync(t.Context(), s3store.Up, dir, "")
	var left *runctl.SkippedError
	require.ErrorAs(t, err, &left)
	assert.Empty(t, cmp.Diff(runctl.SkippedError{Names: []string{"link"}, Count: 1}, *left))
	assert.Equal(t, 1, did.Moved)
}

func TestSyncIsBounded(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	s := storeAt(t, srv, &door{})
	dir, empty := t.TempDir(), t.TempDir()
	for n := range 3 {
		fill(t, fmt.Sprintf("%s/%d", dir, n), 10, 1)
	}
	for _, o := range []s3store.Options{{MaxFiles: 2}, {MaxBytes: 29}} {
		_, err := s.Sync(t.Context(), s3store.Up, dir, "", o)
		require.ErrorIs(t, err, runctl.ErrInvalid)
	}
	_, err := s.Sync(t.Context(), s3store.Up, dir, "", s3store.Options{MaxFiles: 3, MaxBytes: 30})
	require.NoError(t, err)
	for _, o := range []s3store.Options{{MaxFiles: 2}, {MaxBytes: 29}} {
		_, err := s.Sync(t.Context(), s3store.Down, empty, "", o)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.Empty(t, inDir(t, empty), "the bounds are held before anything is written")
	}
}

func TestAListingHasEveryPageOnce(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	s := storeAt(t, srv, d)
	dir := filepath.Join(srv.Dir, srv.Bucket, "many")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for n := range 1200 {
		require.NoError(t, os.WriteFile(fmt.Sprintf("%s/%04d", dir, n), []byte("x"), 0o644))
	}
	n := 0
	for o, err := range s.List(t.Context(), "many/") {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("many/%04d", n), o.Key)
		require.EqualValues(t, 1, o.Size)
		n++
	}
	assert.Equal(t, 1200, n)
	assert.Equal(t, 2, d.count("GET", "list-type=2"), "a page is one request")
	for range s.List(t.Context(), "many/") {
		break
	}
	assert.Equal(t, 3, d.count("GET", "list-type=2"), "who stops asks for no more")
}

func TestAPrefixIsAStoreOfItsOwn(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	dir := t.TempDir()
	fill(t, dir+"/a", 10, 1)
	whole := storeAt(t, srv, &door{})
	below, err := s3store.New(s3store.Config{Client: client(srv, srv.Addr, &door{}), Bucket: srv.Bucket, Prefix: "me/"})
	require.NoError(t, err)
	_, err = below.Upload(t.Context(), dir+"/a", "k")
	require.NoError(t, err)
	_, err = whole.Upload(t.Context(), dir+"/a", "other")
	require.NoError(t, err)
	for s, want := range map[*s3store.Store][]string{below: {"k"}, whole: {"me/k", "other"}} {
		var keys []string
		for o, err := range s.List(t.Context(), "") {
			require.NoError(t, err)
			keys = append(keys, o.Key)
		}
		assert.Equal(t, want, keys)
	}
}

func TestRefusalsHaveTheirKindAndNoSecrets(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	dir := t.TempDir()
	fill(t, dir+"/a", 10, 1)
	s := storeAt(t, srv, &door{})
	_, err := s.Stat(t.Context(), "nothing")
	require.ErrorIs(t, err, runctl.ErrNotFound)
	_, err = s.Download(t.Context(), "nothing", dir+"/b")
	require.ErrorIs(t, err, runctl.ErrNotFound)
	assert.Equal(t, []string{"a"}, inDir(t, dir))

	wrong := *srv
	wrong.Secret = "another-secret-77aa"
	for _, f := range []func(*s3store.Store) error{
		func(s *s3store.Store) error { _, err := s.Stat(t.Context(), "x"); return err },
		func(s *s3store.Store) error { _, err := s.Upload(t.Context(), dir+"/a", "x"); return err },
		func(s *s3store.Store) error { _, err := s.Download(t.Context(), "x", dir+"/b"); return err },
		func(s *s3store.Store) error { _, err := s.Sync(t.Context(), s3store.Up, dir, ""); return err },
		func(s *s3store.Store) error { _, err := s.Sweep(t.Context(), 0); return err },
	} {
		err := f(storeAt(t, &wrong, &door{}))
		require.ErrorIs(t, err, runctl.ErrAuth)
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			text := fmt.Sprintf(form, err)
			assert.NotContains(t, text, wrong.Secret)
			assert.NotContains(t, text, wrong.Access)
			assert.NotContains(t, text, "Signature=")
		}
	}
	var e *runctl.Error
	require.True(t, errors.As(err, &e))
}
