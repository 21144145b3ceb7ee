package s3store_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/s3store"
)

const (
	mib  = 1 << 20
	part = 5 * mib // the smallest that S3 takes
)

// door is what a client sends its requests through: it writes them down, and may answer itself.
type door struct {
	next aws.HTTPClient
	// before is asked first: a reply or an error of its own is the reply. after may change what comes back.
	before func(*http.Request) (*http.Response, error)
	after  func(*http.Request, *http.Response)

	mu   sync.Mutex
	seen []*http.Request
}

func (d *door) Do(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.seen = append(d.seen, r)
	d.mu.Unlock()
	if d.before != nil {
		if reply, err := d.before(r); reply != nil || err != nil {
			return reply, err
		}
	}
	reply, err := d.next.Do(r)
	if err == nil && d.after != nil {
		d.after(r, reply)
	}
	return reply, err
}

// count is how many requests with the method had all of these in their URL or Range.
func (d *door) count(method string, with ...string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.seen {
		all := r.Method == method
		for _, w := range with {
			all = all && strings.Contains(r.URL.String()+" "+r.Header.Get("Range"), w)
		}
		if all {
			n++
		}
	}
	return n
}

// client is an S3 client of the server, at addr, through the door.
func client(srv *enginetest.S3Server, addr string, d *door) *s3.Client {
	if d.next == nil {
		d.next = awshttp.NewBuildableClient()
	}
	return s3.New(s3.Options{BaseEndpoint: aws.String("http://" + addr), Region: srv.Region, UsePathStyle: true, HTTPClient: d,
		Credentials: credentials.NewStaticCredentialsProvider(srv.Access, srv.Secret, "")})
}

// storeAt is a store of the server's bucket through the door.
func storeAt(t *testing.T, srv *enginetest.S3Server, d *door) *s3store.Store {
	t.Helper()
	s, err := s3store.New(s3store.Config{Client: client(srv, srv.Addr, d), Bucket: srv.Bucket, PartSize: part})
	require.NoError(t, err)
	return s
}

// fill writes a file of size random bytes, the same for the same seed.
func fill(t *testing.T, path string, size int64, seed uint64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	require.NoError(t, err)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, err = io.CopyN(f, rand.NewChaCha8(key), size)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// sameFile holds two files against each other without having either in memory.
func sameFile(t *testing.T, a, b string) {
	t.Helper()
	fa, err := os.Open(a)
	require.NoError(t, err)
	defer fa.Close()
	fb, err := os.Open(b)
	require.NoError(t, err)
	defer fb.Close()
	ba, bb := make([]byte, 1*mib), make([]byte, 1*mib)
	for {
		na, ea := io.ReadFull(fa, ba)
		nb, eb := io.ReadFull(fb, bb)
		require.True(t, bytes.Equal(ba[:na], bb[:nb]), "%s and %s differ", a, b)
		if ea != nil || eb != nil {
			require.Equal(t, ea, eb)
			return
		}
	}
}

// inDir are the names in a directory.
func inDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}
