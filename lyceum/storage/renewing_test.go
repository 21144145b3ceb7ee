package storage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/lyceum"
)

// source gives credentials that live so long, and counts them.
type source struct {
	life  time.Duration
	place string
	given int
	err   error
}

func (s *source) S3Credentials(context.Context) (lyceum.S3Credentials, error) {
	if s.err != nil {
		return lyceum.S3Credentials{}, s.err
	}
	s.given++
	c := lyceum.S3Credentials{AccessKey: "AK", SecretKey: "SK", Endpoint: "https://" + s.place, Bucket: "b", Region: "us-east-1"}
	if s.life > 0 {
		c.Expires = time.Now().Add(s.life)
	}
	return c, nil
}

func TestCredentialsAreRenewedMinutesBeforeTheyExpire(t *testing.T) {
	for life, renewed := range map[time.Duration]time.Duration{
		time.Hour:       55 * time.Minute,
		6 * time.Minute: 3 * time.Minute, // a short life: at its half
		0:               10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &source{life: life, place: "a.test"}
			_, err := Open(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, 1, s.given)
			first, err := s.S3Credentials(t.Context())
			require.NoError(t, err)
			cache := aws.NewCredentialsCache(&renewing{from: s, first: &first})
			began := time.Now()
			for s.given == 2 && time.Since(began) < 2*time.Hour {
				_, err := cache.Retrieve(t.Context())
				require.NoError(t, err)
				<-time.After(time.Second)
			}
			assert.InDelta(t, renewed, time.Since(began), float64(2*time.Second))
		})
	}
}

func TestABucketThatMovesIsNotWrittenToWithItsOldName(t *testing.T) {
	s := &source{place: "a.test"}
	first, err := s.S3Credentials(t.Context())
	require.NoError(t, err)
	r := &renewing{from: s, first: &first}
	_, err = r.Retrieve(t.Context())
	require.NoError(t, err)
	s.place = "b.test"
	_, err = r.Retrieve(t.Context())
	require.ErrorIs(t, err, runctl.ErrConflict)
	s.err = errors.New("no")
	_, err = r.Retrieve(t.Context())
	require.ErrorIs(t, err, s.err)
}
