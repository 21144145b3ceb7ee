// Package lyceum runs jobs on Lyceum's virtual machines and serverless runs, over Lyceum's REST API.
//
//	p, err := lyceum.New(lyceum.Config{APIKey: key})
//	if err != nil {
//		return err
//	}
//	client, err := runctl.New(runctl.Config{Owner: "me", Secret: secret}, p)
//	if err != nil {
//		return err
//	}
//	receipt, err := client.Run(ctx, runctl.RunSpec{
//		Needs:     runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, MaxHourly: runctl.USD(4)},
//		Lifetime:  8 * time.Hour,
//		Unguarded: true, // a virtual machine bills until somebody ends it
//		Job:       runctl.Job{Args: []string{"python", "train.py"}, Code: code},
//	})
//
// An instance is one of two things, and its id says which. A virtual machine (vm:…) is of the shell road: entered over SSH,
// good for any number of jobs, on demand or spot, and nothing but a DELETE ends its bill. A run (run:…) is of the job road:
// Python or a container image, on a machine of its own, for at most ten minutes, after which Lyceum itself ends it.
//
// Lyceum knows no idempotency key. The label is the machine's display name, or the run's file name, from the one request
// that creates it; a request whose reply was lost is looked for by that name. How long a new machine may be missing from a
// listing is not documented, so such a doubt stays one, unless [Config.Settle] says otherwise.
//
// What runs leave in the account's bucket is read by package lyceum/storage.
package lyceum
