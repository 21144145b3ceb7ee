// Package runpod runs jobs and machines on RunPod's pods, over RunPod's REST API v2.
//
//	p, err := runpod.New(runpod.Config{APIKey: key})
//	if err != nil {
//		return err
//	}
//	client, err := runctl.New(runctl.Config{Owner: "me", Secret: secret}, p)
//	if err != nil {
//		return err
//	}
//	receipt, err := client.Run(ctx, runctl.RunSpec{
//		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}, MaxHourly: runctl.USD(4)},
//		Lifetime: 8 * time.Hour,
//		Job:      runctl.Job{Image: "me/train@sha256:...", Args: []string{"python", "train.py"}},
//		Options:  []runctl.LaunchOption{runpod.LaunchOptions{Secrets: map[string]string{"HF_TOKEN": "hf"}}},
//	})
//
// An instance is a pod, on demand: the API has no spot pods. Every shape of the catalog is two offers. On the job road the
// pod runs one job, in any image with a POSIX sh, and stops itself afterwards; a stopped pod has no compute charge. On the shell road the image
// needs an sshd, several jobs may follow each other, and nothing ends the pod but its lifetime as far as the pod can
// see to that itself, so a launch needs Unguarded.
//
// RunPod knows no idempotency key. The label is the pod's name, from the one request that creates it; a request whose reply
// was lost is looked for by that name. How long a new pod may be missing from a listing is not documented, so such a
// doubt stays one, unless [Config.Settle] says otherwise.
package runpod
