package aws

import (
	"context"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"runctl"
)

// agentTime is for how long after a machine's start its agent may be missing from Systems Manager: an image without one may
// be given it by the launch's own user data.
const agentTime = 5 * time.Minute

// absent are the codes with which Systems Manager says of a machine that EC2 knows that its agent is not connected.
var absent = map[string]bool{"TargetNotConnected": true, "InvalidInstanceId": true}

// agentless makes the error of a call to a machine's agent.
func agentless(id string, err error) error {
	if !absent[codeOf(err)] {
		return classify(err)
	}
	return &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: err, Msg: "the machine's agent is not connected to Systems Manager: " +
		"it is just starting, its image has none, its role lacks AmazonSSMManagedInstanceCore, or its network does not lead there"}
}

// otherRoad is what helps where Systems Manager is no way to machines.
const otherRoad = "to enter machines at their address instead, set Road (RUNCTL_AWS_ROAD) to ssh"

// hopeless makes ErrInvalid, which is not tried again, of what no wait mends: credentials that may not use Systems Manager, and
// a machine that is up and has never registered there. seen is the cloud's clock. It is for machines that were never entered:
// of one that was, its agent is away for a while.
func (p *Provider) hopeless(ctx context.Context, v *types.Instance, seen time.Time, err error) error {
	id := awssdk.ToString(v.InstanceId)
	e := &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, ID: id, Err: err}
	switch {
	case forbidden(err):
		e.Msg = "the credentials may not enter machines through Systems Manager; " + otherRoad
	case absent[codeOf(err)] && seen.Sub(awssdk.ToTime(v.LaunchTime)) >= agentTime && p.neverRegistered(ctx, id):
		e.Msg = "the machine is up, and its agent has never registered with Systems Manager; " + otherRoad
	default:
		return err
	}
	return e
}

// neverRegistered reports whether EC2 finds that the machine's system is up, and Systems Manager has never heard of its agent.
// Who may not ask does not know.
func (p *Provider) neverRegistered(ctx context.Context, id string) bool {
	agents, err := p.ssm.DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{
		Filters: []ssmtypes.InstanceInformationStringFilter{{Key: awssdk.String("InstanceIds"), Values: []string{id}}}})
	if err != nil || agents.InstanceInformationList == nil || len(agents.InstanceInformationList) > 0 {
		return false
	}
	health, err := p.ec2.DescribeInstanceStatus(ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}})
	if err != nil || len(health.InstanceStatuses) != 1 {
		return false
	}
	system := health.InstanceStatuses[0].InstanceStatus
	return system != nil && system.Status == types.SummaryStatusOk
}
