package s3store_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/s3store"
)

var symlink = os.Symlink

// composite is S3's SHA-256 of an object in parts.
func composite(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		one := sha256.Sum256([]byte(p))
		h.Write(one[:])
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestAConfigurationIsCheckedBeforeAnythingIsSent(t *testing.T) {
	keys := credentials.NewStaticCredentialsProvider("AKSECRET", "s3cret-key", "")
	good := s3store.Config{Endpoint: "minio.example.com:9000", Credentials: keys, Bucket: "bucket"}
	s, err := s3store.New(good)
	require.NoError(t, err)
	url, err := s.GetURL(t.Context(), "k", time.Minute)
	require.NoError(t, err)
	at, err := url.Reveal()
	require.NoError(t, err)
	assert.Contains(t, at, "https://bucket.minio.example.com:9000/k?", "without a scheme it is https")
	good.PathStyle = true
	s, err = s3store.New(good)
	require.NoError(t, err)
	url, err = s.GetURL(t.Context(), "k", time.Minute)
	require.NoError(t, err)
	at, err = url.Reveal()
	require.NoError(t, err)
	assert.Contains(t, at, "https://minio.example.com:9000/bucket/k?")
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{good, &good, s} {
			assert.NotContains(t, fmt.Sprintf(form, v), "s3cret")
			assert.NotContains(t, fmt.Sprintf(form, v), "AKSECRET")
		}
	}
	for name, spoil := range map[string]func(*s3store.Config){
		"no bucket":              func(c *s3store.Config) { c.Bucket = "" },
		"a path as bucket":       func(c *s3store.Config) { c.Bucket = "a/b" },
		"no credentials":         func(c *s3store.Config) { c.Credentials = nil },
		"two clients":            func(c *s3store.Config) { c.Client = s3.New(s3.Options{}) },
		"another scheme":         func(c *s3store.Config) { c.Endpoint = "ftp://x" },
		"a user in the endpoint": func(c *s3store.Config) { c.Endpoint = "https://u:p@x" },
		"a query":                func(c *s3store.Config) { c.Endpoint = "https://x/?a=b" },
		"no host":                func(c *s3store.Config) { c.Endpoint = "https://" },
		"an absolute prefix":     func(c *s3store.Config) { c.Prefix = "/x" },
		"tiny parts":             func(c *s3store.Config) { c.PartSize = 1 },
		"huge parts":             func(c *s3store.Config) { c.PartSize = 1 << 40 },
		"negative workers":       func(c *s3store.Config) { c.Workers = -1 },
	} {
		c := good
		spoil(&c)
		_, err := s3store.New(c)
		assert.ErrorIs(t, err, runctl.ErrInvalid, name)
	}
}

func TestACallIsCheckedBeforeAnythingIsSent(t *testing.T) {
	s, err := s3store.New(s3store.Config{Endpoint: "http://127.0.0.1:1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), Bucket: "b"})
	require.NoError(t, err)
	dir := t.TempDir()
	for name, f := range map[string]func() error{
		"no key":       func() error { _, err := s.Stat(t.Context(), ""); return err },
		"no file name": func() error { _, err := s.Download(t.Context(), "k", dir+"/"); return err },
		"a directory":  func() error { _, err := s.Upload(t.Context(), dir, "k"); return err },
		"two options": func() error {
			_, err := s.Upload(t.Context(), dir, "k", s3store.Options{}, s3store.Options{})
			return err
		},
		"negative bounds": func() error {
			_, err := s.Download(t.Context(), "k", dir+"/f", s3store.Options{MaxBytes: -1})
			return err
		},
		"no direction":        func() error { _, err := s.Sync(t.Context(), 0, dir, ""); return err },
		"a negative age":      func() error { _, err := s.Sweep(t.Context(), -1); return err },
		"an eternal address":  func() error { _, err := s.GetURL(t.Context(), "k", 8*24*time.Hour); return err },
		"an address for ever": func() error { _, err := s.PutURL(t.Context(), "k", 0); return err },
	} {
		assert.ErrorIs(t, f(), runctl.ErrInvalid, name)
	}
}
