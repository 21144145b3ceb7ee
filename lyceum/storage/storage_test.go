package storage_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
	"runctl/lyceum/storage"
)

const label = "rc1-me-train-7m2q-abcdefghijklmnopqr"

// account is Lyceum's API with a real bucket behind it, in which one run has left files.
func account(t *testing.T) (*enginetest.S3Server, *lyceum.Provider) {
	t.Helper()
	srv := enginetest.S3(t)
	api := httptest.NewServer(face.New(face.Options{Storage: map[string]any{"access_key": srv.Access, "secret_key": srv.Secret, "session_token": "",
		"endpoint": "http://" + srv.Addr, "bucket_name": srv.Bucket, "region": srv.Region, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}))
	t.Cleanup(api.Close)
	p, err := lyceum.New(lyceum.Config{APIKey: "lk_ACCOUNT", BaseURL: api.URL + "/api/v2/external"})
	require.NoError(t, err)
	for name, text := range map[string]string{"outputs/model.bin": "weights", "outputs/logs/a.txt": "a", "outputs/logs/b.txt": "bb", "checkpoints/latest": "step-1"} {
		at := filepath.Join(srv.Dir, srv.Bucket, "runctl", label, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	return srv, p
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		all[filepath.ToSlash(rel)] = string(b)
		return err
	}))
	return all
}

func TestWhatARunHasLeftIsListedAndFetched(t *testing.T) {
	_, p := account(t)
	b, err := storage.Open(t.Context(), p)
	require.NoError(t, err)
	var keys []string
	for o, err := range b.List(t.Context(), label) {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	assert.Equal(t, []string{"logs/a.txt", "logs/b.txt", "model.bin"}, keys)
	for from, want := range map[string]map[string]string{
		".":         {"model.bin": "weights", "logs/a.txt": "a", "logs/b.txt": "bb"},
		"model.bin": {"model.bin": "weights"},
		"logs":      {"logs/a.txt": "a", "logs/b.txt": "bb"},
		"./logs/":   {"logs/a.txt": "a", "logs/b.txt": "bb"},
	} {
		dir := t.TempDir()
		require.NoError(t, b.Download(t.Context(), label, from, dir), from)
		assert.Equal(t, want, tree(t, dir), from)
	}
	dir := t.TempDir()
	require.ErrorIs(t, b.Download(t.Context(), label, "nothing", dir), runctl.ErrNotFound)
	require.ErrorIs(t, b.Download(t.Context(), "rc1-another", "model.bin", dir), runctl.ErrNotFound)
	for _, bad := range [][3]string{{"", ".", dir}, {"a/b", ".", dir}, {label, "../x", dir}, {label, "", dir}, {label, ".", ""}} {
		require.ErrorIs(t, b.Download(t.Context(), bad[0], bad[1], bad[2]), runctl.ErrInvalid)
	}
	for _, err := range b.List(t.Context(), "../x") {
		require.ErrorIs(t, err, runctl.ErrInvalid)
	}
	assert.Empty(t, tree(t, dir))
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", b, *b, b), "s3-test-secret")
}

func TestAnAccountWithoutABucketSaysSo(t *testing.T) {
	api := httptest.NewServer(face.New(face.Options{}))
	t.Cleanup(api.Close)
	p, err := lyceum.New(lyceum.Config{APIKey: "lk_ACCOUNT", BaseURL: api.URL + "/api/v2/external"})
	require.NoError(t, err)
	_, err = storage.Open(t.Context(), p)
	require.ErrorIs(t, err, runctl.ErrNotFound)
}

// TestMachinesAloneLinkNoS3Client asks the compiler what a program has that imports them.
func TestMachinesAloneLinkNoS3Client(t *testing.T) {
	for importer, wants := range map[string]bool{"runctl": false, "runctl/fake": false, "runctl/lyceum": false, "runctl/lyceum/storage": true} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", importer).Output()
		require.NoError(t, err)
		assert.Equal(t, wants, strings.Contains(string(out), "github.com/aws/"), importer)
	}
}
