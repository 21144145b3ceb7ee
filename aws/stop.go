package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Stop implements [runctl.Stopper]. A stopped machine keeps its disks, which bill, and its id; it loses its public
// address, and its place: Start may find no capacity. A spot machine cannot be stopped: that is ErrInvalid.
func (p *Provider) Stop(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	out, err := p.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}}, once)
	if err == nil && out.StoppingInstances == nil {
		err = errNoList
	}
	return p.young.Judge(id, classify(err))
}

// Start implements [runctl.Stopper]. The guard goes on with what is left of the machine's lifetime.
func (p *Provider) Start(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	out, err := p.ec2.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}}, once)
	if err == nil && out.StartingInstances == nil {
		err = errNoList
	}
	return p.young.Judge(id, classify(err))
}
