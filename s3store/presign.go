package s3store

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"runctl"
)

// maxPresign is the longest that S3 lets a signature hold.
const maxPresign = 7 * 24 * time.Hour

// GetURL returns an address under which whoever has it can read one object for so long, at most seven days, and no
// longer than the credentials hold that it was signed with. It does no I/O but for credentials, and is a secret.
func (s *Store) GetURL(ctx context.Context, key string, hold time.Duration) (runctl.Secret, error) {
	return s.presign(key, hold, func(p *s3.PresignClient, within func(*s3.PresignOptions)) (string, error) {
		r, err := p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)}, within)
		if err != nil {
			return "", err
		}
		return r.URL, nil
	})
}

// PutURL returns an address under which whoever has it can write one object of at most 5 GB in one request, as often as
// they want, with the bounds of [Store.GetURL].
func (s *Store) PutURL(ctx context.Context, key string, hold time.Duration) (runctl.Secret, error) {
	return s.presign(key, hold, func(p *s3.PresignClient, within func(*s3.PresignOptions)) (string, error) {
		r, err := p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(key)}, within)
		if err != nil {
			return "", err
		}
		return r.URL, nil
	})
}

func (s *Store) presign(key string, hold time.Duration, f func(*s3.PresignClient, func(*s3.PresignOptions)) (string, error)) (runctl.Secret, error) {
	if err := s.checkKey(key); err != nil {
		return runctl.Secret{}, err
	}
	if hold <= 0 || hold > maxPresign {
		return runctl.Secret{}, invalid("hold", "%s: above 0, at most %s", hold, maxPresign)
	}
	plain := s3.NewPresignClient(s.api, s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // the sum is not known yet
	}))
	url, err := f(plain, func(o *s3.PresignOptions) { o.Expires = hold })
	if err != nil {
		return runctl.Secret{}, s.fail("presign", key, err)
	}
	return runctl.NewSecret(url), nil
}
