// Package aws runs machines on Amazon EC2, and jobs on them.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	if err != nil {
//		return err
//	}
//	p, err := aws.New(aws.Config{Config: cfg})
//	if err != nil {
//		return err
//	}
//	client, err := runctl.New(runctl.Config{Owner: "me", Secret: secret}, p)
//	if err != nil {
//		return err
//	}
//	receipt, err := client.Run(ctx, runctl.RunSpec{
//		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 8}, MaxHourly: runctl.USD(100)},
//		Lifetime: 8 * time.Hour,
//		Job:      runctl.Job{Args: []string{"python", "train.py"}, Code: code.Dir(".")},
//	})
//
// An instance is an EC2 instance in one region, on demand or spot, offered in each zone by itself. A launch is one
// RunInstances whose client token carries the label: what a copy of the machine cannot have. The label stands in the
// tags of the instance, its volumes and its interfaces too, and a machine is taken for ours only when both agree:
// whoever removes the tag disowns the machine.
//
// The user data is a boothook, which cloud-init runs as root at every boot. It starts the guard, which ends the
// machine at its lifetime, before anything else, and lets the owner's key in as root. At its own end an on-demand
// machine whose job has outputs is stopped, with its disk, and any other is terminated.
//
// Commands run over SSH, by one of two ways: to the machine's address, or through Systems Manager (SSM), where no port is
// open, and where the host key is read from the machine by Run Command. See [Road].
//
// The guard of a spot machine listens for EC2's notice, two minutes before it takes the machine back: jobs are asked to
// end, with at most 90 s for that, and their receipts say that they were pre-empted, and name the last checkpoint.
//
// The SDK's clients are reachable by [Provider.EC2] and [Provider.SSM]; [LaunchOptions] may edit the very request of a
// launch; Instance.Native is a *types.Instance of service/ec2, and errors.As finds the SDK's errors.
package aws
