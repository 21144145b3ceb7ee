package aws_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/aws-sdk-go-base/v2/servicemocks"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	face "runctl/internal/wire/aws"
)

// file writes a file of a home, and returns its path.
func file(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestCredentialsComeFromTheSDKsOwnChain has each of its links give the key, and EC2, which checks the signature, accept it.
func TestCredentialsComeFromTheSDKsOwnChain(t *testing.T) {
	for name, link := range map[string]struct {
		key, secret, session string
		set                  func(t *testing.T, home string)
	}{
		"the environment": {keyID, secretKey, session, func(t *testing.T, _ string) {
			t.Setenv("AWS_ACCESS_KEY_ID", keyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
			t.Setenv("AWS_SESSION_TOKEN", session)
		}},
		"a profile": {keyID, secretKey, session, func(t *testing.T, home string) {
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file(t, filepath.Join(home, "credentials"),
				"[gpu]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+secretKey+"\naws_session_token = "+session+"\n"))
			t.Setenv("AWS_PROFILE", "gpu")
		}},
		"a container's role": {servicemocks.MockEcsCredentialsAccessKey, servicemocks.MockEcsCredentialsSecretKey, servicemocks.MockEcsCredentialsSessionToken, func(t *testing.T, _ string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "") // the mock sets it, and the test takes it back
			t.Cleanup(servicemocks.EcsCredentialsApiMock())
		}},
		"an instance's role": {servicemocks.MockEc2MetadataAccessKey, servicemocks.MockEc2MetadataSecretKey, servicemocks.MockEc2MetadataSessionToken, func(t *testing.T, _ string) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "")
			t.Cleanup(servicemocks.AwsMetadataApiMock(append(servicemocks.Ec2metadata_securityCredentialsEndpoints,
				servicemocks.Ec2metadata_instanceIdEndpoint, servicemocks.Ec2metadata_iamInfoEndpoint)))
		}},
		"web identity": {servicemocks.MockStsAssumeRoleWithWebIdentityAccessKey, servicemocks.MockStsAssumeRoleWithWebIdentitySecretKey, servicemocks.MockStsAssumeRoleWithWebIdentitySessionToken, func(t *testing.T, home string) {
			srv := servicemocks.MockAwsApiServer("STS", []*servicemocks.MockEndpoint{servicemocks.MockStsAssumeRoleWithWebIdentityValidEndpoint})
			t.Cleanup(srv.Close)
			t.Setenv("AWS_ENDPOINT_URL_STS", srv.URL)
			t.Setenv("AWS_ROLE_ARN", servicemocks.MockStsAssumeRoleWithWebIdentityArn)
			t.Setenv("AWS_ROLE_SESSION_NAME", servicemocks.MockStsAssumeRoleWithWebIdentitySessionName)
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file(t, filepath.Join(home, "token"), servicemocks.MockWebIdentityToken))
		}},
		"single sign-on": {servicemocks.MockSsoAccessKeyID, servicemocks.MockSsoSecretAccessKey, "SSO_SESSION_TOKEN", func(t *testing.T, home string) {
			const start = "https://example.awsapps.com/start"
			require.NoError(t, servicemocks.SsoTestSetup(t, start)) // what a login has left in HOME
			end, url := servicemocks.SsoCredentialsApiMock()
			t.Cleanup(end)
			t.Setenv("AWS_ENDPOINT_URL_SSO", url)
			t.Setenv("AWS_CONFIG_FILE", file(t, filepath.Join(home, "config"),
				"[profile gpu]\nsso_account_id = 123456789012\nsso_region = us-east-1\nsso_role_name = trainer\nsso_start_url = "+start+"\n"))
			t.Setenv("AWS_PROFILE", "gpu")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "none"))
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "none"))
			link.set(t, home)
			f := face.New(face.Options{Region: region, AccessKey: link.key, Secret: link.secret, SessionToken: link.session})
			srv := serve(t, f)
			t.Setenv("AWS_ENDPOINT_URL_EC2", srv)
			p, err := aws.Factory.Open(t.Context(), func(name string) string { return map[string]string{"AWS_REGION": region}[name] })
			require.NoError(t, err)
			_, err = p.List(t.Context(), runctl.ListQuery{})
			require.NoError(t, err)
			assert.Equal(t, 1, f.Served("DescribeInstances"))
		})
	}
}
