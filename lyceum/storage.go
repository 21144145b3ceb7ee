package lyceum

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"runctl/rest"
)

// S3Credentials open the account's bucket, which is of S3's kind, for a while. Package lyceum/storage uses them.
type S3Credentials struct {
	AccessKey, SecretKey, SessionToken string
	Endpoint                           string // with its scheme
	Bucket, Region                     string
	Expires                            time.Time // zero: Lyceum did not tell
}

// Format prints which bucket they open, and no key, whatever the verb.
func (c S3Credentials) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "lyceum.S3Credentials(%s at %s)", c.Bucket, c.Endpoint)
}

// S3Credentials asks for new credentials of the account's bucket, with one request. Ask again some minutes before they expire;
// Lyceum does not document how long they live. They are for this program: no machine and no run should get them.
func (p *Provider) S3Credentials(ctx context.Context) (S3Credentials, error) {
	var told struct {
		AccessKey    Text `json:"access_key"`
		SecretKey    Text `json:"secret_key"`
		SessionToken Text `json:"session_token"`
		Endpoint     Text `json:"endpoint"`
		Bucket       Text `json:"bucket_name"`
		Region       Text `json:"region"`
		Expires      Text `json:"expires_at"`
	}
	if _, err := p.api.Do(ctx, rest.Request{Method: "POST", Path: "/storage/credentials"}, &told); err != nil {
		return S3Credentials{}, err
	}
	c := S3Credentials{
		AccessKey: string(told.AccessKey), SecretKey: string(told.SecretKey), SessionToken: string(told.SessionToken),
		Endpoint: strings.TrimSpace(string(told.Endpoint)), Bucket: string(told.Bucket), Region: string(told.Region), Expires: told.Expires.Time(),
	}
	if c.AccessKey == "" || c.SecretKey == "" || c.Endpoint == "" || c.Bucket == "" {
		return S3Credentials{}, errors.New("the reply has no credentials of a bucket")
	}
	if !strings.Contains(c.Endpoint, "://") {
		c.Endpoint = "https://" + c.Endpoint
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	return c, nil
}
