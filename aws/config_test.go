package aws

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// alone takes the AWS settings of whoever runs the tests away.
func alone(t *testing.T) string {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			require.NoError(t, os.Unsetenv(name))
		}
	}
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return dir
}

func TestTheFactoryTakesItsSettingsBeforeTheChain(t *testing.T) {
	dir := alone(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte("[profile work]\nregion = eu-north-1\naws_access_key_id = AKIAWORK\naws_secret_access_key = of-work\n"), 0o600))
	open := func(pairs ...string) (*Provider, error) {
		env := map[string]string{}
		for n := 0; n < len(pairs); n += 2 {
			env[pairs[n]] = pairs[n+1]
		}
		p, err := Factory.Open(t.Context(), func(k string) string { return env[k] })
		if err != nil {
			return nil, err
		}
		return p.(*Provider), nil
	}
	p, err := open("AWS_PROFILE", "work")
	require.NoError(t, err)
	assert.Equal(t, "eu-north-1", p.Info().Region)
	v, err := p.sdk.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "AKIAWORK", v.AccessKeyID)

	p, err = open("AWS_REGION", "us-west-2", "AWS_ACCESS_KEY_ID", "AKIAMINE", "AWS_SECRET_ACCESS_KEY", "mine", "AWS_ENDPOINT_URL", "http://127.0.0.1:1", "AWS_SESSION_TOKEN", "of-mine", "AWS_DEFAULT_REGION", "eu-west-3",
		"RUNCTL_AWS_ROAD", "ssh", "RUNCTL_AWS_SSH_FROM", "10.0.0.0/8, 192.0.2.0/24", "RUNCTL_AWS_IMAGE", "ami-00000001", "RUNCTL_AWS_SUBNETS", "subnet-00000001,subnet-00000002",
		"RUNCTL_AWS_SECURITY_GROUPS", "sg-00000001", "RUNCTL_AWS_INSTANCE_PROFILE", "runner", "RUNCTL_AWS_SSH_PORT", "2222")
	require.NoError(t, err)
	assert.Equal(t, "us-west-2", p.cfg.Region)
	assert.Equal(t, "http://127.0.0.1:1", *p.sdk.BaseEndpoint)
	assert.Equal(t, []any{RoadSSH, []string{"10.0.0.0/8", "192.0.2.0/24"}, "ami-00000001", []string{"subnet-00000001", "subnet-00000002"}, []string{"sg-00000001"}, "runner", int32(2222)},
		[]any{p.cfg.Road, p.cfg.SSHFrom, p.cfg.Image, p.cfg.Subnets, p.cfg.SecurityGroups, p.cfg.InstanceProfile, p.cfg.SSHPort})

	v, err = p.sdk.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"AKIAMINE", "mine", "of-mine"}, []string{v.AccessKeyID, v.SecretAccessKey, v.SessionToken})
	p, err = open("AWS_DEFAULT_REGION", "eu-west-3", "AWS_ACCESS_KEY_ID", "AKIAMINE", "AWS_SECRET_ACCESS_KEY", "mine")
	require.NoError(t, err)
	assert.Equal(t, "eu-west-3", p.cfg.Region)

	_, err = open()
	assert.ErrorContains(t, err, "AWS_REGION")
	_, err = open("AWS_PROFILE", "missing")
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	_, err = open("AWS_REGION", "us-west-2", "RUNCTL_AWS_SSH_PORT", "ssh")
	assert.ErrorContains(t, err, "RUNCTL_AWS_SSH_PORT")
}

func TestSettingsThatCannotWorkAreRefusedAtOnce(t *testing.T) {
	good := Config{Config: awssdk.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIA", "s", "")}}
	for what, change := range map[string]func(*Config){
		"no region":                  func(c *Config) { c.Config.Region = "" },
		"no credentials":             func(c *Config) { c.Config.Credentials = nil },
		"a road that is none":        func(c *Config) { c.Road = "rail" },
		"a rate below nothing":       func(c *Config) { c.Rate = -1 },
		"a port that is none":        func(c *Config) { c.SSHPort = 70000 },
		"a network without a length": func(c *Config) { c.SSHFrom = []string{"10.0.0.1"} },
		"private, from nowhere":      func(c *Config) { c.Private = true },
		"an image that is none":      func(c *Config) { c.Image = "ubuntu" },
		"a subnet that is none":      func(c *Config) { c.Subnets = []string{"sg-00000001"} },
		"a group that is none":       func(c *Config) { c.SecurityGroups = []string{"default"} },
	} {
		c := good
		change(&c)
		_, err := New(c)
		assert.Error(t, err, what)
	}
	p, err := New(good)
	require.NoError(t, err)
	info := p.Info()
	assert.Equal(t, []any{"aws", "aws", true, true, true}, []any{info.Name, info.Kind, info.Idempotent, info.Boots, info.EndsItself})
	assert.Zero(t, info.Settle, "EC2 documents no bound")
	good.TokensIgnored, good.Region = true, "us-east-2"
	p, err = New(good)
	require.NoError(t, err)
	assert.False(t, p.Info().Idempotent)
	assert.Equal(t, "us-east-2", p.EC2().Options().Region, "the provider's own region wins")
	assert.Equal(t, "us-east-2", p.SSM().Options().Region)
}

func TestNothingPrintsTheKeys(t *testing.T) {
	_, p := newStub(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{p, p.cfg, &p.cfg} {
			assert.NotContains(t, fmt.Sprintf(verb, v), "a-secret-key")
		}
	}
}

func TestACancelDuringTheCredentialsIsTheCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&chain{poor{}}).Retrieve(ctx)
	assert.NotErrorIs(t, err, runctl.ErrAuth)
}
