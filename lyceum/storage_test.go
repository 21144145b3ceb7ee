package lyceum

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestCredentialsOfTheBucketAreAskedForAndNotPrinted(t *testing.T) {
	s := newServer(t, map[string][]reply{"POST /storage/credentials": ok(`{"access_key":"AK","secret_key":"s3cr3t-of-the-bucket","session_token":"tok-of-the-bucket","endpoint":"minio.lyceum.test:9000",
		"bucket_name":"b","expires_at":"2026-08-01T10:00:00"}`)})
	c, err := s.provider().S3Credentials(t.Context())
	require.NoError(t, err)
	want := S3Credentials{AccessKey: "AK", SecretKey: "s3cr3t-of-the-bucket", SessionToken: "tok-of-the-bucket", Endpoint: "https://minio.lyceum.test:9000", Bucket: "b", Region: "us-east-1",
		Expires: time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)}
	assert.True(t, want == c)
	assert.Empty(t, s.calls("POST /storage/credentials")[0].body)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb+verb, c, &c), "of-the-bucket")
	}
	for _, body := range []string{`{}`, `null`, `{"access_key":"AK","secret_key":"x","endpoint":"e"}`, `{"data":{"access_key":"AK"}}`} {
		_, err := newServer(t, map[string][]reply{"POST /storage/credentials": ok(body)}).provider().S3Credentials(t.Context())
		assert.Error(t, err, body)
	}
	_, err = newServer(t, map[string][]reply{"POST /storage/credentials": {{status: 403, body: `{"detail":"no"}`}}}).provider().S3Credentials(t.Context())
	assert.ErrorIs(t, err, runctl.ErrAuth)
}
