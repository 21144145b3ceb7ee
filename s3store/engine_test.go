package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/s3store"
)

func TestAFileComesBackAsItWentWhateverItsSize(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	s := storeAt(t, srv, &door{})
	for n, size := range []int64{0, 1, part - 1, part, part + 1, 3*part + 5} {
		dir, key := t.TempDir(), fmt.Sprintf("some dir/f+%d.bin", n)
		fill(t, dir+"/up", size, uint64(n))
		var last runctl.TransferProgress
		watch := s3store.Options{Progress: func(p runctl.TransferProgress) { last = p }}
		up, err := s.Upload(t.Context(), dir+"/up", key, watch)
		require.NoError(t, err)
		assert.Equal(t, runctl.TransferProgress{Files: 1, TotalFiles: 1, Bytes: size, TotalBytes: size}, last)
		down, err := s.Download(t.Context(), key, dir+"/new/down", watch)
		require.NoError(t, err)
		assert.Equal(t, runctl.TransferProgress{Files: 1, TotalFiles: 1, Bytes: size, TotalBytes: size}, last)
		assert.Equal(t, up.Sum, down.Sum, "the store keeps the sum that this computer has")
		assert.Equal(t, "CRC64NVME", down.Sum.Algorithm)
		sameFile(t, dir+"/up", dir+"/new/down")
		assert.Equal(t, []string{"down"}, inDir(t, dir+"/new"))
	}
}

// sizeOfTheLarge is what the test of cuts moves: the race detector makes every byte ten times as dear.
func sizeOfTheLarge() int64 {
	if raceEnabled || testing.Short() {
		return 96 * mib
	}
	return 1024 * mib
}

func TestALargeFileSurvivesManyCutsWithinBoundedMemory(t *testing.T) {
	srv := enginetest.S3(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	line := enginetest.Proxy(t, srv.Addr, seed)
	line.ChaosMin, line.ChaosMax = 3*mib, min(64*mib, sizeOfTheLarge()/8) // so that the four connections of a direction cannot all live long enough
	line.SetChaos(true)
	dir := t.TempDir()
	fill(t, dir+"/up", sizeOfTheLarge(), seed)
	e := errand{Endpoint: "http://" + line.Addr(), Region: srv.Region, Access: srv.Access, Secret: srv.Secret, Bucket: srv.Bucket, Key: "large"}
	e.Up, e.File = true, dir+"/up"
	began := time.Now()
	sent := send(t, e)
	up, cuts := time.Since(began), line.Cuts()
	e.Up, e.File = false, dir+"/down"
	got := send(t, e)
	t.Logf("up in %s with %d cuts and %d MiB (resident %d), down in %s with %d cuts and %d MiB (resident %d)", up, cuts, sent.Peak/mib, sent.Resident/mib,
		time.Since(began)-up, line.Cuts()-cuts, got.Peak/mib, got.Resident/mib)
	sameFile(t, dir+"/up", dir+"/down")
	sameFile(t, dir+"/up", filepath.Join(srv.Dir, srv.Bucket, "large"))
	assert.NotZero(t, cuts, "the upload was never cut")
	assert.Greater(t, line.Cuts(), cuts, "the download was never cut")
	for _, r := range []report{sent, got} {
		assert.Less(t, r.Peak, uint64(128*mib))
		if !raceEnabled { // the detector has memory of its own
			assert.Less(t, r.Resident, uint64(128*mib))
		}
	}
}

func TestADownloadGoesOnWithTheBlocksThatAreMissing(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	s := storeAt(t, srv, d)
	dir := t.TempDir()
	fill(t, dir+"/up", 8*part, 7)
	_, err := s.Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)

	ctx, leave := context.WithCancel(t.Context())
	var replies atomic.Int32
	d.after = func(r *http.Request, reply *http.Response) {
		if r.Method == "GET" && replies.Add(1) > 4 {
			leave() // the caller goes while blocks are under way: four at a time, so at least one was whole
		}
	}
	_, err = s.Download(ctx, "f", dir+"/down")
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, dir+"/down")

	again := &door{}
	_, err = storeAt(t, srv, again).Download(t.Context(), "f", dir+"/down")
	require.NoError(t, err)
	sameFile(t, dir+"/up", dir+"/down")
	asked := again.count("GET", "/f")
	assert.Less(t, asked, 8, "blocks that were there are not fetched again")
	assert.Positive(t, asked)
	assert.Equal(t, []string{"down", "up"}, inDir(t, dir))
}

func TestACutInTheMiddleOfABlockCostsNoByteTwice(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	s := storeAt(t, srv, d)
	dir := t.TempDir()
	fill(t, dir+"/up", part, 8)
	_, err := s.Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)
	var cut atomic.Bool
	d.after = func(r *http.Request, reply *http.Response) {
		if r.Method == "GET" && cut.CompareAndSwap(false, true) {
			reply.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(reply.Body, 1000), failing{}), reply.Body}
		}
	}
	_, err = s.Download(t.Context(), "f", dir+"/down")
	require.NoError(t, err)
	sameFile(t, dir+"/up", dir+"/down")
	assert.Equal(t, 1, d.count("GET", fmt.Sprintf("bytes=1000-%d", part-1)))
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

func TestAnUploadGoesOnWithThePartsThatAreMissing(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	dir := t.TempDir()
	fill(t, dir+"/up", 8*part+3, 9)
	ctx, leave := context.WithCancel(t.Context())
	var sent atomic.Int32
	d.after = func(r *http.Request, _ *http.Response) {
		if strings.Contains(r.URL.RawQuery, "partNumber") && sent.Add(1) > 3 {
			leave()
		}
	}
	_, err := storeAt(t, srv, d).Upload(ctx, dir+"/up", "f")
	require.ErrorIs(t, err, context.Canceled)
	require.NoFileExists(t, filepath.Join(srv.Dir, srv.Bucket, "f"))

	other := &door{}
	fill(t, dir+"/other", 8*part+3, 10)
	_, err = storeAt(t, srv, other).Upload(t.Context(), dir+"/other", "f")
	require.NoError(t, err)
	assert.Equal(t, 9, other.count("PUT", "partNumber"), "another file's parts are not taken over")
	sameFile(t, dir+"/other", filepath.Join(srv.Dir, srv.Bucket, "f"))

	again := &door{}
	_, err = storeAt(t, srv, again).Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)
	assert.Less(t, again.count("PUT", "partNumber"), 9, "parts that the store has are not sent again")
	assert.Zero(t, again.count("POST", "uploads="), "no second upload is begun")
	sameFile(t, dir+"/up", filepath.Join(srv.Dir, srv.Bucket, "f"))
}

func TestALostReplyToTheEndOfAnUploadIsNoFailure(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	d := &door{}
	d.after = func(r *http.Request, reply *http.Response) {
		if r.Method == "POST" && strings.Contains(r.URL.RawQuery, "uploadId") {
			reply.Body.Close()
			reply.StatusCode, reply.Body = 500, io.NopCloser(strings.NewReader("")) // it was done, and nobody is told
		}
	}
	dir := t.TempDir()
	fill(t, dir+"/up", 2*part, 11)
	o, err := storeAt(t, srv, d).Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)
	assert.NotEmpty(t, o.ETag)
	assert.Equal(t, 2, d.count("PUT", "partNumber"))
	sameFile(t, dir+"/up", filepath.Join(srv.Dir, srv.Bucket, "f"))
}

func TestDamagedBytesAreNeverAFileNorAnObject(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	dir := t.TempDir()
	fill(t, dir+"/up", part+1, 12)
	d := &door{}
	s := storeAt(t, srv, d)
	_, err := s.Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)
	stored := filepath.Join(srv.Dir, srv.Bucket, "f")
	b := read(t, stored)
	b[part/2] ^= 1
	require.NoError(t, os.WriteFile(stored, b, 0o644))
	_, err = s.Download(t.Context(), "f", dir+"/down")
	var sum *s3store.SumError
	require.ErrorAs(t, err, &sum)
	assert.Equal(t, "f", sum.Key)
	assert.NoFileExists(t, dir+"/down")

	b[part/2] ^= 1
	require.NoError(t, os.WriteFile(stored, b, 0o644))
	_, err = s.Download(t.Context(), "f", dir+"/down")
	require.NoError(t, err, "nothing of what was damaged is kept")
	sameFile(t, dir+"/up", dir+"/down")

	for _, size := range []int64{3, 2 * part} {
		fill(t, dir+"/more", size, 13)
		var damaged atomic.Int32
		d.before = func(r *http.Request) (*http.Response, error) {
			if r.Method == "PUT" && damaged.Add(1) == 1 {
				body, _ := io.ReadAll(r.Body)
				body[0] ^= 1
				r.Body = io.NopCloser(strings.NewReader(string(body)))
			}
			return nil, nil
		}
		_, err = s.Upload(t.Context(), dir+"/more", "more")
		require.NoError(t, err, "what came damaged is sent again")
		assert.Greater(t, damaged.Load(), int32(1))
		sameFile(t, dir+"/more", filepath.Join(srv.Dir, srv.Bucket, "more"))
	}
}

func TestAnObjectThatWasCutShortIsAnError(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	dir := t.TempDir()
	fill(t, dir+"/up", 2*part, 14)
	d := &door{}
	s := storeAt(t, srv, d)
	_, err := s.Upload(t.Context(), dir+"/up", "f")
	require.NoError(t, err)
	d.after = func(r *http.Request, reply *http.Response) {
		if r.Method == "HEAD" {
			d.after = nil
			require.NoError(t, os.Truncate(filepath.Join(srv.Dir, srv.Bucket, "f"), part+10))
		}
	}
	_, err = s.Download(t.Context(), "f", dir+"/down")
	var short *s3store.TruncatedError
	require.ErrorAs(t, err, &short)
	assert.LessOrEqual(t, d.count("GET", "/f"), 2, "asking again makes it no longer")
	assert.NoFileExists(t, dir+"/down")
}

func TestAFileThatChangesWhileItIsReadNeverBecomesAnObject(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	for _, size := range []int64{100, 2 * part} {
		dir := t.TempDir()
		fill(t, dir+"/up", size, 15)
		d := &door{}
		d.before = func(r *http.Request) (*http.Response, error) {
			if r.Method == "PUT" {
				return nil, errors.Join(os.Truncate(dir+"/up", size-1), os.Chtimes(dir+"/up", time.Time{}, time.Unix(1, 0)))
			}
			return nil, nil
		}
		_, err := storeAt(t, srv, d).Upload(t.Context(), dir+"/up", "changing")
		require.ErrorIs(t, err, runctl.ErrConflict)
		if size > part {
			assert.NoFileExists(t, filepath.Join(srv.Dir, srv.Bucket, "changing"))
		}
	}
}

func TestSweepEndsWhatUploadsHaveLeft(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	dir := t.TempDir()
	fill(t, dir+"/up", 8*part, 16)
	ctx, leave := context.WithCancel(t.Context())
	d := &door{after: func(r *http.Request, _ *http.Response) {
		if strings.Contains(r.URL.RawQuery, "partNumber") {
			leave()
		}
	}}
	s := storeAt(t, srv, d)
	_, err := s.Upload(ctx, dir+"/up", "f")
	require.ErrorIs(t, err, context.Canceled)
	d.after = nil
	n, err := s.Sweep(t.Context(), time.Hour)
	require.NoError(t, err)
	assert.Zero(t, n, "it is younger than that")
	n, err = s.Sweep(t.Context(), 0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	require.Eventually(t, func() bool { // a part that was under way may come after the end, as on Amazon's: then there is a second
		n, err := s.Sweep(t.Context(), 0)
		return err == nil && n == 0
	}, 20*time.Second, 50*time.Millisecond)
}

func TestASignedAddressIsASecretThatOpensOneObject(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	s := storeAt(t, srv, &door{})
	put, err := s.PutURL(t.Context(), "a/b", time.Minute)
	require.NoError(t, err)
	get, err := s.GetURL(t.Context(), "a/b", time.Minute)
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", put, get, put, get), "X-Amz")
	to, err := put.Reveal()
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to, strings.NewReader("hello"))
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, 200, reply.StatusCode)
	from, err := get.Reveal()
	require.NoError(t, err)
	for url, want := range map[string]int{from: 200, strings.Replace(from, "a/b", "a/c", 1): 403} {
		reply, err := http.Get(url)
		require.NoError(t, err)
		body, err := io.ReadAll(reply.Body)
		require.NoError(t, errors.Join(err, reply.Body.Close()))
		assert.Equal(t, want, reply.StatusCode)
		assert.Equal(t, want == 200, string(body) == "hello")
	}
}

func TestAnUploadThatOthersEndAgainAndAgainGivesUp(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"at its end", "in the middle"} {
		srv := enginetest.S3(t)
		other := storeAt(t, srv, &door{})
		sweep := func(r *http.Request) bool {
			if !strings.Contains(r.URL.RawQuery, "partNumber=2") {
				return false
			}
			_, err := other.Sweep(t.Context(), 0)
			return assert.NoError(t, err)
		}
		d := &door{after: func(r *http.Request, _ *http.Response) { sweep(r) }}
		if when == "in the middle" { // versitygw would say the same, after twenty seconds
			d.before = func(r *http.Request) (*http.Response, error) {
				if sweep(r) {
					return reply(404, "<Error><Code>NoSuchUpload</Code></Error>"), nil
				}
				return nil, nil
			}
		}
		s, err := s3store.New(s3store.Config{Client: client(srv, srv.Addr, d), Bucket: srv.Bucket, PartSize: part, Workers: 1})
		require.NoError(t, err)
		dir := t.TempDir()
		fill(t, dir+"/up", 2*part, 17)
		_, err = s.Upload(t.Context(), dir+"/up", "f")
		require.ErrorIs(t, err, runctl.ErrConflict, when)
		assert.Equal(t, 4, d.count("POST", "uploads="), when)
		d.before, d.after = nil, nil
		_, err = s.Upload(t.Context(), dir+"/up", "f")
		require.NoError(t, err, when)
	}
}
