package aws

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// TestAnIndependentClientUnderstandsTheFace drives it with AWS's own command line, which has nothing in common with the SDK for Go:
// what either of them sends and reads is written by others.
func TestAnIndependentClientUnderstandsTheFace(t *testing.T) {
	t.Parallel()
	bin := enginetest.Find(t, "aws", "aws", "AWS's command line: pip install awscli")
	f := New(Options{Managed: true})
	t.Cleanup(f.Close)
	f.OnCommand(func(_, text string) (int, string, string) { return 3, "ran " + text, "a complaint" })
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	run := func(region string, args ...string) (out map[string]any, text string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, bin, append(args, "--endpoint-url", srv.URL, "--region", region, "--output", "json")...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + defaultKey, "AWS_SECRET_ACCESS_KEY=" + defaultValue,
			"AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true"}
		if v := os.Getenv("PYENV_ROOT"); v != "" {
			cmd.Env = append(cmd.Env, "PYENV_ROOT="+v)
		}
		raw, err := cmd.CombinedOutput()
		if err != nil {
			return nil, string(raw)
		}
		_ = json.Unmarshal(raw, &out)
		return out, string(raw)
	}
	image := f.Image(wellKnown[3])
	launch := []string{"ec2", "run-instances", "--image-id", image, "--instance-type", "m7i.large", "--client-token", "t1", "--user-data", "#!/bin/sh", "--metadata-options", "HttpTokens=required",
		"--tag-specifications", "ResourceType=instance,Tags=[{Key=who,Value=me}]", "ResourceType=volume,Tags=[{Key=who,Value=me}]", "--block-device-mappings",
		`[{"DeviceName":"/dev/xvda","Ebs":{"VolumeSize":30,"Encrypted":true}}]`}
	out, text := run("us-west-2", launch...)
	require.NotNil(t, out, text)
	id := out["Instances"].([]any)[0].(map[string]any)["InstanceId"].(string)
	_, text = run("us-west-2", append(launch[:len(launch):len(launch)], "--placement", "Tenancy=default")...)
	assert.Contains(t, text, "(IdempotentParameterMismatch)")

	out, text = run("us-west-2", "ec2", "describe-instances", "--filters", "Name=tag:who,Values=me", "--page-size", "5")
	require.NotNil(t, out, text)
	assert.Equal(t, id, out["Reservations"].([]any)[0].(map[string]any)["Instances"].([]any)[0].(map[string]any)["InstanceId"])
	out, text = run("us-west-2", "ec2", "describe-instance-types", "--instance-types", "p5.48xlarge")
	require.NotNil(t, out, text)
	assert.Contains(t, text, `"H100"`)
	out, text = run("us-west-2", "ssm", "send-command", "--document-name", "AWS-RunShellScript", "--instance-ids", id, "--parameters", `commands=["uname"]`)
	require.NotNil(t, out, text)
	command := out["Command"].(map[string]any)["CommandId"].(string)
	out, text = run("us-west-2", "ssm", "get-command-invocation", "--command-id", command, "--instance-id", id)
	require.NotNil(t, out, text)
	assert.Equal(t, "Failed", out["Status"])
	assert.EqualValues(t, 3, out["ResponseCode"])
	assert.Equal(t, "ran uname", out["StandardOutputContent"])
	out, text = run("us-east-1", "pricing", "get-products", "--service-code", "AmazonEC2", "--filters", "Type=TERM_MATCH,Field=instanceType,Value=g5.xlarge", "Type=TERM_MATCH,Field=regionCode,Value=us-west-2")
	require.NotNil(t, out, text)
	assert.Len(t, out["PriceList"], 6)
	out, text = run("us-west-2", "sts", "get-caller-identity")
	require.NotNil(t, out, text)
	assert.Equal(t, account, out["Account"])
	_, text = run("us-west-2", "ec2", "terminate-instances", "--instance-ids", "i-00000000000000000")
	assert.Contains(t, text, "(InvalidInstanceID.NotFound)")
	out, text = run("us-west-2", "ec2", "terminate-instances", "--instance-ids", id)
	require.NotNil(t, out, text)
	assert.Empty(t, f.Billing())
	assert.Empty(t, f.Violations())
}
