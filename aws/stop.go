package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Stop implements [runctl.Stopper]. A stopped machine keeps its disks, which bill, and its id; it loses its public
// address, and its place: Start may find no capacity. A spot machine cannot be stopped: that is ErrInvalid.
func (p *Provider) Stop(ctx context.Context, id string) error {
	return p.change(id, func(ids []string) (bool, error) {
		out, err := p.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: ids}, once)
		return err == nil && out.StoppingInstances != nil, err
	})
}

// Start implements [runctl.Stopper]. The guard goes on with what is left of the machine's lifetime.
func (p *Provider) Start(ctx context.Context, id string) error {
	return p.change(id, func(ids []string) (bool, error) {
		out, err := p.ec2.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: ids}, once)
		return err == nil && out.StartingInstances != nil, err
	})
}

// Terminate implements [runctl.Provider]. The machine's own disks go with it; data volumes stay.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	return p.change(id, func(ids []string) (bool, error) {
		out, err := p.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
		return err == nil && out.TerminatingInstances != nil, err
	})
}

// change asks for another state of one machine. ask reports whether the reply has the list that belongs to it.
func (p *Provider) change(id string, ask func(ids []string) (listed bool, err error)) error {
	if err := checkID(id); err != nil {
		return err
	}
	listed, err := ask([]string{id})
	if err == nil && !listed {
		err = errNoList
	}
	return p.young.Judge(id, classify(err))
}
