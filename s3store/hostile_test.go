package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/s3store"
)

// scripted is a store that answers what the test says, without a network: time is virtual.
func scripted(t *testing.T, answer func(*http.Request) *http.Response) (*s3store.Store, *door) {
	t.Helper()
	d := &door{before: func(r *http.Request) (*http.Response, error) {
		if reply := answer(r); reply != nil {
			reply.Request = r
			return reply, nil
		}
		return nil, errors.New("connection reset by peer")
	}}
	return storeAt(t, &enginetest.S3Server{Addr: "s3.test", Region: "us-east-1", Access: "AK", Secret: "SK", Bucket: "bucket"}, d), d
}

func reply(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// head says what an object is.
func head(size int, etag string, headers ...string) *http.Response {
	return reply(200, "", append([]string{"Content-Length", fmt.Sprint(size), "ETag", etag}, headers...)...)
}

func TestAStoreThatAnswersWronglyIsAnErrorWithinBounds(t *testing.T) {
	data := strings.Repeat("0123456789", 10)
	const ranged = "Content-Range"
	for name, c := range map[string]struct {
		answer func(*http.Request) *http.Response
		kind   runctl.Kind
		as     any
	}{
		"it announces more than it gives": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			if strings.HasPrefix(r.Header.Get("Range"), "bytes=60-") {
				return reply(206, "", ranged, "bytes 60-99/100", "ETag", `"v1"`)
			}
			return reply(206, data[:60], ranged, "bytes 0-99/100", "ETag", `"v1"`)
		}, runctl.ErrUnavailable, new(*s3store.TruncatedError)},
		"the object has become shorter": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			return reply(416, "<Error><Code>InvalidRange</Code></Error>")
		}, runctl.ErrUnavailable, new(*s3store.TruncatedError)},
		"it gives another range": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			return reply(206, data, ranged, "bytes 1-100/101", "ETag", `"v1"`)
		}, runctl.ErrUnavailable, nil},
		"its sum is another's": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")
			}
			return reply(206, data, ranged, "bytes 0-99/100", "ETag", `"v1"`)
		}, runctl.ErrUnavailable, new(*s3store.SumError)},
		"its sum of parts' sums is another's": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" && r.URL.Query().Get("partNumber") != "" {
				return head(60, `"v1-2"`)
			}
			if r.Method == "HEAD" {
				return head(100, `"v1-2"`, "x-amz-checksum-crc32c", "AAAAAA==-2")
			}
			return reply(206, data, ranged, "bytes 0-99/100", "ETag", `"v1-2"`)
		}, runctl.ErrUnavailable, new(*s3store.SumError)},
		"the object is another each time": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			return reply(412, "<Error><Code>PreconditionFailed</Code></Error>")
		}, runctl.ErrConflict, nil},
		"it knows no If-Match, and the object is another": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			return reply(206, data, ranged, "bytes 0-99/100", "ETag", `"v2"`)
		}, runctl.ErrConflict, nil},
		"it never answers": {func(r *http.Request) *http.Response { return nil }, runctl.ErrUnavailable, nil},
		"it is overloaded": {func(r *http.Request) *http.Response {
			return reply(503, "<Error><Code>SlowDown</Code></Error>")
		}, runctl.ErrRateLimit, nil},
		"it is a proxy's page": {func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(100, `"v1"`)
			}
			return reply(502, "<html>Bad Gateway</html>")
		}, runctl.ErrUnavailable, nil},
		"it may not be read": {func(r *http.Request) *http.Response { return reply(403, "") }, runctl.ErrAuth, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s, d := scripted(t, c.answer)
				began := time.Now()
				_, err := s.Download(t.Context(), "f", dir+"/down")
				require.Error(t, err)
				var e *runctl.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, c.kind, e.Kind, "%v", err)
				if c.as != nil {
					assert.ErrorAs(t, err, c.as)
				}
				assert.NoFileExists(t, dir+"/down")
				assert.Less(t, len(d.seen), 200)
				assert.Less(t, time.Since(began), 30*time.Minute)
			})
		})
	}
}

func TestASumOfPartsIsVerifiedToo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		// sha256(sha256("hello ") || sha256("world")), as S3 sums an object of two parts
		s, _ := scripted(t, func(r *http.Request) *http.Response {
			switch {
			case r.Method == "HEAD" && r.URL.Query().Get("partNumber") != "":
				return head(6, `"v-2"`)
			case r.Method == "HEAD":
				return head(11, `"v-2"`, "x-amz-checksum-sha256", composite("hello ", "world")+"-2")
			}
			return reply(206, "hello world", "Content-Range", "bytes 0-10/11", "ETag", `"v-2"`)
		})
		o, err := s.Download(t.Context(), "f", dir+"/down")
		require.NoError(t, err)
		assert.Equal(t, 2, o.Sum.Parts)
	})
	assert.Equal(t, "hello world", string(read(t, dir+"/down")))
}

func TestAStoreThatFallsSilentInTheMiddleIsLeftAfterAMinute(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var gets int
		s, _ := scripted(t, func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(10, `"v1"`)
			}
			if gets++; gets == 1 { // nothing at all
				<-r.Context().Done()
				return nil
			}
			if gets == 2 { // the beginning
				one := reply(206, "", "Content-Range", "bytes 0-9/10", "ETag", `"v1"`)
				one.ContentLength, one.Body = 10, silent{io.MultiReader(strings.NewReader("0123"), until{r.Context().Done()})}
				return one
			}
			assert.Equal(t, "bytes=4-9", r.Header.Get("Range"))
			return reply(206, "456789", "Content-Range", "bytes 4-9/10", "ETag", `"v1"`)
		})
		began := time.Now()
		_, err := s.Download(t.Context(), "f", dir+"/down")
		require.NoError(t, err)
		assert.InDelta(t, 2*time.Minute, time.Since(began), float64(time.Second))
	})
	assert.Equal(t, "0123456789", string(read(t, dir+"/down")))
}

type silent struct{ io.Reader }

func (silent) Close() error { return nil }

// until gives nothing until a channel is closed.
type until struct{ done <-chan struct{} }

func (u until) Read([]byte) (int, error) { <-u.done; return 0, io.ErrUnexpectedEOF }

func TestAListingThatTurnsInACircleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := scripted(t, func(*http.Request) *http.Response {
			return reply(200, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken><Contents><Key>k</Key></Contents></ListBucketResult>")
		})
		var last error
		n := 0
		for _, err := range s.List(t.Context(), "") {
			n++
			last = err
		}
		require.ErrorIs(t, last, runctl.ErrUnavailable)
		assert.Less(t, n, 5)
	})
}

func TestSyncWritesNoNameThatClimbsOutOrCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	bad := []string{"../up", "/etc/x", "a//b", "a/./b", "a/../../b", `back\slash`, "new\nline", "A", "a/below-a-file", ".runctl-part-01", "x/.."}
	synctest.Test(t, func(t *testing.T) {
		s, _ := scripted(t, func(r *http.Request) *http.Response {
			switch {
			case r.URL.Query().Get("list-type") != "":
				var b bytes.Buffer
				b.WriteString("<ListBucketResult>")
				for _, k := range append([]string{"dir/", "a"}, bad...) {
					size := 1
					if k == "dir/" {
						size = 0
					}
					fmt.Fprintf(&b, "<Contents><Key>p/%s</Key><Size>%d</Size></Contents>", strings.ReplaceAll(k, "\n", "&#10;"), size)
				}
				b.WriteString("<Contents><Key>another/prefix</Key><Size>1</Size></Contents></ListBucketResult>")
				return reply(200, b.String())
			case r.Method == "HEAD":
				return head(1, `"v"`)
			}
			return reply(206, "x", "Content-Range", "bytes 0-0/1", "ETag", `"v"`)
		})
		below, err := s.Sync(t.Context(), s3store.Down, dir+"/in", "p")
		var left *runctl.SkippedError
		require.ErrorAs(t, err, &left)
		assert.Equal(t, len(bad), left.Count, "%v", left)
		assert.NotContains(t, left.Error(), "\n")
		assert.Equal(t, 1, below.Moved)
	})
	assert.Equal(t, []string{"in"}, inDir(t, dir))
	assert.Equal(t, []string{"a"}, inDir(t, dir+"/in"))
}

func TestALinkLeadsNoSyncOutOfItsDirectory(t *testing.T) {
	t.Parallel()
	srv := enginetest.S3(t)
	s := storeAt(t, srv, &door{})
	up, dir, outside := t.TempDir(), t.TempDir(), t.TempDir()
	fill(t, up+"/d/f", 10, 1)
	_, err := s.Sync(t.Context(), s3store.Up, up, "")
	require.NoError(t, err)
	require.NoError(t, symlink(outside, dir+"/d"))
	_, err = s.Sync(t.Context(), s3store.Down, dir, "")
	require.Error(t, err)
	assert.Empty(t, inDir(t, outside))
}

// last gives its bytes and the connection's end at once.
type last struct{ *strings.Reader }

func (l last) Read(b []byte) (int, error) {
	n, _ := l.Reader.Read(b)
	if l.Len() > 0 {
		return n, nil
	}
	return n, io.ErrUnexpectedEOF
}

func TestACutBehindTheLastByteIsNone(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, d := scripted(t, func(r *http.Request) *http.Response {
			if r.Method == "HEAD" {
				return head(10, `"v1"`)
			}
			one := reply(206, "", "Content-Range", "bytes 0-9/10", "ETag", `"v1"`)
			one.ContentLength, one.Body = -1, io.NopCloser(last{strings.NewReader("0123456789")})
			return one
		})
		_, err := s.Download(t.Context(), "f", dir+"/down")
		require.NoError(t, err)
		assert.Equal(t, 1, d.count("GET"))
	})
	assert.Equal(t, "0123456789", string(read(t, dir+"/down")))
}

func TestAStoreThatHangsIsUnavailableAndNotTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := scripted(t, func(r *http.Request) *http.Response { <-r.Context().Done(); return nil })
		_, err := s.Stat(t.Context(), "f")
		require.ErrorIs(t, err, runctl.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the caller has set none")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Stat(ctx, "f")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, runctl.ErrUnavailable, "it was the caller who had no more time")
	})
}

func TestAListingWithoutAnEndEnds(t *testing.T) {
	for what, key := range map[string]string{"keys that no file can have": "p/../%d", "directories": "p/%d/", "keys that nobody asked for": "other/%d"} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				page := 0
				s, _ := scripted(t, func(*http.Request) *http.Response {
					page++
					return reply(200, fmt.Sprintf("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken><Contents><Key>"+key+"</Key></Contents></ListBucketResult>", page, page))
				})
				_, err := s.Sync(t.Context(), s3store.Down, dir, "p", s3store.Options{MaxFiles: 100})
				var e *runctl.Error
				require.ErrorAs(t, err, &e)
				assert.LessOrEqual(t, page, 1001)
			})
		})
	}
}

// endless is a body without an end, which counts what is read of it.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) { e.n += len(b); return len(b), nil }
func (e *endless) Close() error               { return nil }

func TestARefusalWithoutAnEndIsNotReadToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &endless{}
		s, _ := scripted(t, func(*http.Request) *http.Response {
			one := reply(403, "")
			one.ContentLength, one.Body = -1, body
			return one
		})
		_, err := s.Download(t.Context(), "f", t.TempDir()+"/down")
		require.ErrorIs(t, err, runctl.ErrAuth)
		for _, err := range s.List(t.Context(), "") {
			require.ErrorIs(t, err, runctl.ErrAuth)
		}
		assert.LessOrEqual(t, body.n, 80<<20)
	})
}

func TestARedirectTakesNoTokenAlong(t *testing.T) {
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }))
	defer thief.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	s, err := s3store.New(s3store.Config{Endpoint: srv.URL, PathStyle: true, Bucket: "bucket",
		Credentials: credentials.NewStaticCredentialsProvider("AK", "SK", "session-token")})
	require.NoError(t, err)
	_, err = s.Stat(t.Context(), "f")
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.False(t, stolen.Load())
}

func TestPartsThatAreListedWithoutAnEndAreNotTakenOver(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir+"/up", part+1, 1)
	synctest.Test(t, func(t *testing.T) {
		pages := 0
		s, _ := scripted(t, func(r *http.Request) *http.Response {
			switch q := r.URL.Query(); {
			case q.Has("uploadId"):
				pages++
				return reply(200, fmt.Sprintf("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>", pages))
			case r.Method == "GET":
				return reply(200, "<ListMultipartUploadsResult><Upload><Key>f</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>")
			}
			return reply(403, "<Error><Code>AccessDenied</Code></Error>") // to begin another
		})
		_, err := s.Upload(t.Context(), dir+"/up", "f")
		require.ErrorIs(t, err, runctl.ErrAuth)
		assert.Equal(t, 1000, pages)
	})
}
