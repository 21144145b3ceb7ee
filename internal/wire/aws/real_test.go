//go:build linux

package aws

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	stypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// realTester has machines that are processes, outside of virtual time.
func realTester(t *testing.T, opt Options) *tester {
	opt.Real = &Real{Dir: enginetest.Dir(t)}
	f := New(opt)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	t.Cleanup(f.Close)
	w := newTester(t, Options{})
	w.face = f
	w.cfg.BaseEndpoint, w.cfg.HTTPClient = &srv.URL, srv.Client()
	w.ec2, w.ssm = ec2.NewFromConfig(w.cfg), ssm.NewFromConfig(w.cfg)
	return w
}

// until waits for something outside.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.After(30 * time.Second); !cond(); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: did not come", what)
		}
	}
}

func (w *tester) send(id, text string) string {
	w.t.Helper()
	out, err := w.ssm.SendCommand(w.t.Context(), &ssm.SendCommandInput{DocumentName: awssdk.String("AWS-RunShellScript"), InstanceIds: ids(id),
		Parameters: map[string][]string{"commands": {text}}})
	require.NoError(w.t, err)
	return *out.Command.CommandId
}

func (w *tester) invocation(id, command string) (*ssm.GetCommandInvocationOutput, error) {
	return w.ssm.GetCommandInvocation(w.t.Context(), &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &id})
}

func (w *tester) ended(id, command string) (out *ssm.GetCommandInvocationOutput) {
	w.t.Helper()
	until(w.t, "the command's end", func() bool {
		var err error
		out, err = w.invocation(id, command)
		return err == nil && out.Status != "InProgress" && out.Status != "Pending"
	})
	return out
}

func TestCommandsAreExecutedOnTheMachineAndCutOffInTheReply(t *testing.T) {
	t.Parallel()
	w := realTester(t, Options{Managed: true})
	id := *w.run(w.plain("t")).InstanceId
	got := w.ended(id, w.send(id, "echo on $INSTANCE_ID; pwd; echo no >&2; exit 7"))
	assert.Equal(t, "Failed", string(got.Status))
	assert.EqualValues(t, 7, got.ResponseCode)
	assert.Contains(t, *got.StandardOutputContent, "on "+id+"\n")
	assert.Contains(t, *got.StandardOutputContent, w.face.opt.Real.Dir)
	assert.Equal(t, "no\n", *got.StandardErrorContent)
	long := w.ended(id, w.send(id, "head -c 30000 /dev/zero | tr '\\0' x"))
	assert.Equal(t, "Success", string(long.Status))
	assert.Len(t, *long.StandardOutputContent, maxStdout)
	key := w.ended(id, w.send(id, "cat /etc/ssh/ssh_host_ed25519_key.pub"))
	line, err := os.ReadFile(filepath.Join(w.face.opt.Real.Dir, id, "etc/ssh/ssh_host_ed25519_key.pub"))
	require.NoError(t, err)
	assert.Equal(t, string(line), *key.StandardOutputContent, "the machine's own, not this computer's")

	endless := w.send(id, "sleep 1000")
	_, err = w.ssm.CancelCommand(t.Context(), &ssm.CancelCommandInput{CommandId: &endless})
	require.NoError(t, err)
	assert.Equal(t, "Cancelled", string(w.ended(id, endless).Status))
	out, err := w.ssm.SendCommand(t.Context(), &ssm.SendCommandInput{DocumentName: awssdk.String("AWS-RunShellScript"), InstanceIds: ids(id),
		Parameters: map[string][]string{"commands": {"sleep 1000"}, "executionTimeout": {"1"}}})
	require.NoError(t, err)
	assert.Equal(t, "TimedOut", string(w.ended(id, *out.Command.CommandId).Status))
	w.clean()
}

func TestUserDataRunsAsCloudInitRunsItAndAPowerOffEndsTheMachineAlone(t *testing.T) {
	t.Parallel()
	w := realTester(t, Options{Managed: true})
	in := w.plain("t")
	in.InstanceInitiatedShutdownBehavior = "terminate"
	mixed := "Content-Type: multipart/mixed; boundary=\"XX\"\n\n--XX\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho once >>~/ran\n--XX\n" +
		"Content-Type: text/cloud-boothook\n\n#cloud-boothook\n#!/bin/sh\necho boot >>~/ran\nsleep 1000 &\n--XX--\n"
	in.UserData = awssdk.String(encoded([]byte(mixed)))
	id := *w.run(in).InstanceId
	ran := func() string {
		text, _ := os.ReadFile(filepath.Join(w.face.opt.Real.Dir, id, "root/ran"))
		return strings.ReplaceAll(string(text), "\n", " ")
	}
	until(t, "the first boot", func() bool { return ran() == "boot once " })
	w.face.Reboot(id)
	until(t, "the second boot", func() bool { return ran() == "boot once boot " })
	w.send(id, "systemctl poweroff; sleep 1000")
	until(t, "the machine's end", func() bool { return w.state(id) == "terminated" })
	assert.Equal(t, "Client.InstanceInitiatedShutdown", *w.one(id).StateReason.Code)
	w.face.mu.Lock()
	box := w.face.byID[id].box
	w.face.mu.Unlock()
	<-box.done
	assert.Empty(t, box.processes(), "nothing is left of it")
	w.clean()
}

func TestAnAgentComesLateNeedsARoleAndInvocationsAreNotThereAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTester(t, Options{AgentAfter: time.Minute, InvocationLag: 2 * time.Second, CommandTime: 10 * time.Second})
		w.face.OnCommand(func(_, text string) (int, string, string) { return 0, text, "" })
		bare := *w.run(w.plain("t")).InstanceId
		in := w.plain("u")
		in.IamInstanceProfile = profileOf(Profile)
		id := *w.run(in).InstanceId
		known := func() (found []string) {
			out, err := w.ssm.DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{
				Filters: []stypes.InstanceInformationStringFilter{{Key: awssdk.String("InstanceIds"), Values: ids(bare, id)}}})
			require.NoError(t, err)
			for _, i := range out.InstanceInformationList {
				found = append(found, *i.InstanceId)
			}
			return found
		}
		assert.Empty(t, known())
		pass(time.Minute)
		assert.Equal(t, ids(id), known())
		_, err := w.ssm.SendCommand(t.Context(), &ssm.SendCommandInput{DocumentName: awssdk.String("AWS-RunShellScript"), InstanceIds: ids(bare), Parameters: map[string][]string{"commands": {"id"}}})
		assert.Equal(t, "InvalidInstanceId", code(err))
		command := w.send(id, "id")
		_, err = w.invocation(id, command)
		assert.Equal(t, "InvocationDoesNotExist", code(err))
		pass(2 * time.Second)
		out, err := w.invocation(id, command)
		require.NoError(t, err)
		assert.Equal(t, "InProgress", string(out.Status))
		pass(8 * time.Second)
		out, err = w.invocation(id, command)
		require.NoError(t, err)
		assert.Equal(t, "Success", string(out.Status))
		assert.Equal(t, "id", *out.StandardOutputContent)
		lost := w.send(id, "id")
		w.face.PowerOff(id)
		pass(3 * time.Second)
		out, err = w.invocation(id, lost)
		require.NoError(t, err)
		assert.Equal(t, "Failed", string(out.Status))
		p, err := w.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &wellKnown[3]})
		require.NoError(t, err)
		assert.Equal(t, w.face.Image(wellKnown[3]), *p.Parameter.Value)
		_, err = w.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: awssdk.String("/aws/service/nothing")})
		assert.Equal(t, "ParameterNotFound", code(err))
		w.clean()
	})
}
