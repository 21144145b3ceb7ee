package aws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
)

// asked answers as S3 does, and writes down where.
type asked struct {
	reply func(*http.Request) *http.Response
	hosts []string
}

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	a.hosts = append(a.hosts, r.Method+" "+r.URL.Host)
	reply := a.reply(r)
	reply.Request = r
	return reply, nil
}

func s3Reply(status int, region string) *http.Response {
	h := http.Header{"Content-Length": {"5"}, "Etag": {`"v1"`}}
	if region != "" {
		h.Set("X-Amz-Bucket-Region", region)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(""))}
}

func withS3(t *testing.T, reply func(*http.Request) *http.Response) (*Provider, *asked) {
	t.Helper()
	a := &asked{reply: reply}
	p, err := New(Config{Config: awssdk.Config{Region: "eu-central-1", HTTPClient: a,
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret-5c1e", "")}})
	require.NoError(t, err)
	return p, a
}

func TestABucketIsUsedInItsOwnRegion(t *testing.T) {
	for name, status := range map[string]int{"a redirect": 301, "a refusal": 403, "a success": 200} {
		p, a := withS3(t, func(r *http.Request) *http.Response {
			if r.URL.Path == "/" || r.URL.Path == "" {
				return s3Reply(status, "us-west-2")
			}
			return s3Reply(200, "")
		})
		place, err := p.Place(t.Context(), "s3://training/data/in")
		require.NoError(t, err, name)
		f, err := place.Fetch(t.Context(), time.Minute)
		require.NoError(t, err, name)
		url, err := f.URL.Reveal()
		require.NoError(t, err)
		assert.Contains(t, url, "https://training.s3.us-west-2.amazonaws.com/data/in?")
		assert.Contains(t, url, "us-west-2%2Fs3")
		_, err = p.Place(t.Context(), "s3://training/another")
		require.NoError(t, err)
		assert.Equal(t, []string{"HEAD training.s3.eu-central-1.amazonaws.com", "HEAD training.s3.us-west-2.amazonaws.com"}, a.hosts, "S3 is asked where a bucket is once")
	}
}

func TestABucketThatIsNotThereIsNotFound(t *testing.T) {
	for _, region := range []string{"", "us-west-2"} {
		p, _ := withS3(t, func(*http.Request) *http.Response { return s3Reply(404, region) })
		_, err := p.Bucket(t.Context(), "training", "")
		require.ErrorIs(t, err, runctl.ErrNotFound)
		assert.ErrorContains(t, err, "there is no bucket training")
	}
	p, _ := withS3(t, func(*http.Request) *http.Response { return s3Reply(403, "") })
	_, err := p.Bucket(t.Context(), "training", "")
	require.ErrorIs(t, err, runctl.ErrAuth)
	assert.NotContains(t, err.Error(), "secret-5c1e")
}

func TestAnAddressOfAnObjectIsChecked(t *testing.T) {
	p, a := withS3(t, func(*http.Request) *http.Response { return s3Reply(200, "") })
	for _, at := range []string{"", "s3://", "s3://b", "s3://b/", "s3:///k", "s3://b/dir/", "https://b/k", "b/k"} {
		_, err := p.Place(t.Context(), at)
		require.ErrorIs(t, err, runctl.ErrInvalid, at)
		assert.Equal(t, !strings.HasPrefix(at, "s3://"), errors.Is(err, errors.ErrUnsupported), "%s: another provider may know it", at)
	}
	assert.Empty(t, a.hosts)
}

func TestAnEndpointHasNoNameForEachBucket(t *testing.T) {
	a := &asked{reply: func(*http.Request) *http.Response { return s3Reply(200, "") }}
	p, err := New(Config{Config: awssdk.Config{Region: "eu-central-1", HTTPClient: a, BaseEndpoint: awssdk.String("http://s3.example"),
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret-5c1e", "")}})
	require.NoError(t, err)
	_, err = p.Bucket(t.Context(), "training", "")
	require.NoError(t, err)
	assert.Equal(t, []string{"HEAD s3.example"}, a.hosts)
}

// TestABucketBehindAnEndpointIsWrittenAndRead has a real store where AWS_ENDPOINT_URL points.
func TestABucketBehindAnEndpointIsWrittenAndRead(t *testing.T) {
	srv := enginetest.S3(t)
	p, err := New(Config{Config: awssdk.Config{Region: srv.Region, BaseEndpoint: awssdk.String("http://" + srv.Addr),
		Credentials: credentials.NewStaticCredentialsProvider(srv.Access, srv.Secret, "")}})
	require.NoError(t, err)
	s, err := p.Bucket(t.Context(), srv.Bucket, "runs/")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644))
	_, err = s.Upload(t.Context(), filepath.Join(dir, "f"), "f")
	require.NoError(t, err)
	place, err := p.Place(t.Context(), "s3://"+srv.Bucket+"/runs/f")
	require.NoError(t, err)
	f, err := place.Fetch(t.Context(), time.Minute)
	require.NoError(t, err)
	url, err := f.URL.Reveal()
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, "text", string(text))
	_, err = p.Bucket(t.Context(), "no-such-bucket", "")
	require.ErrorIs(t, err, runctl.ErrNotFound)
}
