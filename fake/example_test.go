package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"runctl"
	"runctl/fake"
)

// A job that fails, on a cloud that loses the reply to the launch: the client finds the machine, and
// nothing is left billing.
func Example() {
	cloud := fake.New()
	cloud.Script("tune-42", fake.Script{Log: "loss nan\n", ExitCode: 3})
	cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, After: true, Err: io.ErrUnexpectedEOF})

	client, err := runctl.New(runctl.Config{Owner: "test"}, cloud)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	_, err = client.Run(context.Background(), runctl.RunSpec{
		Key:      "tune-42",
		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100"}, MaxHourly: runctl.USD(4)},
		Job:      runctl.Job{Args: []string{"train"}},
		Lifetime: time.Hour,
	})
	var exit *runctl.ExitError
	fmt.Println(errors.As(err, &exit), err)
	fmt.Println(cloud.Launched(), "launched,", len(cloud.Billing()), "billing")
	// Output:
	// true tune-42: exit 3
	// 1 launched, 0 billing
}

func ExampleCloud_Inject() {
	cloud := fake.New()
	plan := fake.Fault{Op: fake.OpLaunch, Key: "fake-1a", Err: fake.NoCapacity}
	cloud.Inject(plan)
	fmt.Println(plan)

	label := runctl.Mark{Owner: "test", Key: "a", Controller: "abc", Lifetime: time.Hour, Digest: "aaaa"}.Label(nil)
	for _, zone := range []string{"fake-1a", "fake-1b"} {
		offer := runctl.Offer{ID: "l4-1." + zone, Zone: zone}
		i, err := cloud.Launch(context.Background(), runctl.LaunchRequest{Label: label, Token: zone, Offer: offer, Lifetime: time.Hour})
		fmt.Println(i.ID, i.Zone, errors.Is(err, runctl.ErrCapacity))
	}
	// Output:
	// every launch for fake-1a fails before its effect: no capacity: InsufficientInstanceCapacity: none of this type left in this zone
	//   true
	// m-000001 fake-1b false
}

func ExampleCloud_Finish() {
	cloud := fake.New()
	cloud.Script("", fake.Script{Hold: true}) // every job goes on until it is told to end
	client, err := runctl.New(runctl.Config{Owner: "test"}, cloud)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	run, err := client.Start(context.Background(), runctl.RunSpec{
		Key: "a", Job: runctl.Job{Args: []string{"serve"}}, Lifetime: time.Hour, MaxHourly: runctl.USD(1),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(cloud.Billing()), "billing")
	cloud.Finish("a", 0)
	r, err := run.Wait(context.Background())
	fmt.Println(r.Succeeded(), err, len(cloud.Billing()), "billing")
	// Output:
	// 1 billing
	// true <nil> 0 billing
}
