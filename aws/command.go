package aws

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/cenkalti/backoff/v4"

	"runctl"
)

const (
	// shellDocument runs lines in a shell as root. What is sent to it can be read in the account's history for 30 days.
	shellDocument = "AWS-RunShellScript"
	// invisible is for how long the record of a command that was accepted may be missing: replies are eventually consistent.
	invisible = 30 * time.Second
	// delivery is how long a command may wait for its machine, the least that SendCommand takes.
	delivery = 30
)

// output is what a command printed. The API keeps 24,000 characters of stdout, and 8,000 of stderr.
type output struct {
	code           int
	stdout, stderr string
}

// statuses of a command that has not ended. All that is neither here nor in ranToItsEnd is an end without an exit code.
var (
	goesOn      = map[types.CommandInvocationStatus]bool{types.CommandInvocationStatusPending: true, types.CommandInvocationStatusInProgress: true, types.CommandInvocationStatusDelayed: true, types.CommandInvocationStatusCancelling: true}
	ranToItsEnd = map[types.CommandInvocationStatus]bool{types.CommandInvocationStatusSuccess: true, types.CommandInvocationStatusFailed: true}
)

// command runs a script on a machine by Run Command, and waits for its end, limit at most. The script must have no secret
// in it, and must bear to be run twice: a reply that was lost is asked for again. When ctx ends so does the script.
func (p *Provider) command(ctx context.Context, id, script string, limit time.Duration) (output, error) {
	sent, err := p.ssm.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: awssdk.String(shellDocument), InstanceIds: []string{id}, TimeoutSeconds: awssdk.Int32(delivery),
		Comment: awssdk.String("runctl"), Parameters: map[string][]string{"commands": {script}, "executionTimeout": {strconv.Itoa(int(limit / time.Second))}}})
	if err != nil {
		return output{}, agentless(id, err)
	}
	if sent.Command == nil || awssdk.ToString(sent.Command.CommandId) == "" {
		return output{}, errors.New("a command was accepted by Systems Manager, which has not said which it is")
	}
	out, err := p.invocation(ctx, id, *sent.Command.CommandId, limit)
	if ctx.Err() != nil {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_, _ = p.ssm.CancelCommand(own, &ssm.CancelCommandInput{CommandId: sent.Command.CommandId})
	}
	return out, err
}

// invocation waits for the end of a command on one machine. There is no call that holds, so it asks, ever more rarely.
func (p *Provider) invocation(ctx context.Context, id, command string, limit time.Duration) (output, error) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(150*time.Millisecond), backoff.WithMaxInterval(2*time.Second),
		backoff.WithRandomizationFactor(0), backoff.WithMaxElapsedTime(0))
	began := time.Now()
	for {
		t := time.NewTimer(pause.NextBackOff())
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return output{}, context.Cause(ctx)
		}
		got, err := p.ssm.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &id})
		age := time.Since(began)
		switch {
		case err != nil && codeOf(err) == "InvocationDoesNotExist" && age < invisible:
		case err != nil:
			return output{}, classify(err)
		case awssdk.ToString(got.InstanceId) != id || awssdk.ToString(got.CommandId) != command: // host keys are believed by this
			return output{}, errors.New("asked for a command, and the reply is about another")
		case ranToItsEnd[got.Status] && got.ResponseCode >= 0:
			return output{int(got.ResponseCode), awssdk.ToString(got.StandardOutputContent), awssdk.ToString(got.StandardErrorContent)}, nil
		case !goesOn[got.Status]:
			return output{}, &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Msg: fmt.Sprintf("the command ended as %s (%s), without an exit code",
				clip(string(got.Status)), clip(awssdk.ToString(got.StatusDetails)))}
		case age > limit+delivery*time.Second+invisible:
			return output{}, &runctl.Error{Kind: runctl.ErrTimeout, ID: id, Msg: "Systems Manager does not say how the command ended"}
		}
	}
}
