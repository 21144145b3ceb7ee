//go:build linux

package aws_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"runctl/internal/cloudtest"
	face "runctl/internal/wire/aws"
)

// newTerminal is somebody's, with the command and the account behind this address.
func newTerminal(t *testing.T, url string, more ...string) *cloudtest.Terminal {
	return cloudtest.NewTerminal(t, []string{secretKey, session, "canary"}, append([]string{"AWS_ENDPOINT_URL=" + url, "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + keyID,
		"AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SESSION_TOKEN=" + session, "AWS_EC2_METADATA_DISABLED=true"}, more...)...)
}

func TestTheCommandWorksAgainstAnotherAddress(t *testing.T) {
	t.Parallel()
	s := newYard(t, face.Options{})
	c := newTerminal(t, s.url, "RUNCTL_AWS_ROAD=ssh", "RUNCTL_AWS_SSH_FROM=127.0.0.1/32", fmt.Sprint("RUNCTL_AWS_SSH_PORT=", s.port))
	cloudtest.TheCommandWorks(t, c, s.face, cloudtest.Command{Provider: "aws", Default: true, Offers: []string{"--gpu", "H100"}, Offered: []string{"p5.4xlarge"},
		Run: []string{"--gpu", "H100", "--max-price", "10"}, Launch: "RunInstances"})
	assert.Len(t, s.face.Groups(), 1)
}

func TestTheCommandNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newTerminal(t, serve(t, face.New(account(face.Options{}))))
	cloudtest.TheCommandNamesWhatIsMissing(t, c, "aws", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "wrong/0123456789/wrong/0123456789/wrong01")
}
