package runctl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"runctl"
	"runctl/fake"
	"runctl/local"
)

// The program that the package's documentation opens with.
func Example() {
	here, err := local.New(local.Config{}) // this computer
	if err != nil {
		log.Fatal(err)
	}
	client, err := runctl.New(runctl.Config{Owner: "me"}, here)
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := client.Run(context.Background(), runctl.RunSpec{
		Job:      runctl.Job{Args: []string{"sh", "-c", "echo one step"}},
		Lifetime: time.Hour, // every machine has an end
	})
	if err != nil {
		log.Fatal(err) // nil only for exit code 0
	}
	fmt.Println("exit", receipt.ExitCode, "with", receipt.LogBytes, "bytes of log")
	// Output:
	// exit 0 with 9 bytes of log
}

func ExampleNew() {
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, fake.New())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(len(client.Providers()), "provider")

	_, err = runctl.New(runctl.Config{Owner: "The Tuner"}, fake.New())
	fmt.Println(errors.Is(err, runctl.ErrInvalid))
	fmt.Println(err)
	// Output:
	// 1 provider
	// true
	// Config.Owner: "The Tuner": 1 to 12 characters of a-z and 0-9
}

// Start returns when the job was handed over, Wait when it has ended.
func ExampleClient_Start() {
	ctx := context.Background()
	cloud := fake.New()
	cloud.Script("tune-7", fake.Script{Log: "loss nan\n", ExitCode: 3})
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	run, err := client.Start(ctx, runctl.RunSpec{
		Key:      "tune-7", // stored before the call: repeated, it finds the same run
		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 1}},
		Job:      runctl.Job{Args: []string{"python", "train.py"}},
		Lifetime: 3 * time.Hour,
		MaxCost:  runctl.USD(12), // in all
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	var exit *runctl.ExitError
	fmt.Println(errors.As(err, &exit), exit.Result.ExitCode)
	// Output:
	// true 3
}

// Run is Start, Wait, fetching the outputs, and Terminate.
func ExampleClient_Run() {
	dir, err := os.MkdirTemp("", "runctl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cloud := fake.New()
	cloud.Script("tune-7", fake.Script{Outputs: map[string]string{"adapter/model.bin": "weights"}})
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	receipt, err := client.Run(context.Background(), runctl.RunSpec{
		Key:       "tune-7",
		Job:       runctl.Job{Args: []string{"python", "train.py"}, Outputs: []string{"adapter"}},
		Lifetime:  time.Hour,
		MaxHourly: runctl.USD(1),
		Collect:   dir,
	})
	if err != nil {
		log.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "adapter", "model.bin"))
	fmt.Println(receipt.Succeeded(), string(b), err, len(cloud.Billing()), "billing")
	// Output:
	// true weights <nil> 0 billing
}

// A machine by hand, with two jobs one after the other.
func ExampleClient_Launch() {
	ctx := context.Background()
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, fake.New())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	machine, err := client.Launch(ctx, runctl.LaunchSpec{Key: "box-1", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range []string{"prepare", "train"} {
		run, err := client.Submit(ctx, machine.Ref(), runctl.Job{ID: step, Args: []string{"make", step}})
		if err != nil {
			log.Fatal(err)
		}
		receipt, err := run.Wait(ctx)
		fmt.Println(receipt.Run, receipt.ExitCode, err)
	}
	fmt.Println(client.Terminate(ctx, machine.Ref()))
	// Output:
	// prepare 0 <nil>
	// train 0 <nil>
	// <nil>
}

// A stored reference finds the run again: from another process, after a restart, days later.
func ExampleClient_Attach() {
	ctx := context.Background()
	cloud := fake.New()
	spec := runctl.RunSpec{Key: "tune-7", Job: runctl.Job{Args: []string{"train"}}, Lifetime: time.Hour, MaxHourly: runctl.USD(1)}

	before, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	run, err := before.Start(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	stored := run.Ref().String()
	fmt.Println(stored)
	before.Close() // ends no machine and no job

	after, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer after.Close()
	ref, err := runctl.ParseRef(stored)
	if err != nil {
		log.Fatal(err)
	}
	again, err := after.Attach(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := again.Wait(ctx)
	fmt.Println(receipt.Run, receipt.ExitCode, err)
	// Output:
	// rc1:fake/tuner/tune-7/m-000001/tune-7
	// tune-7 0 <nil>
}

// Offers are sorted: the preferred GPU first, then the cheapest.
func ExampleClient_Offers() {
	cloud := fake.New(fake.Offers(
		runctl.Offer{ID: "big", GPU: runctl.GPU{Model: "H100-SXM", Count: 8}, Price: runctl.Price{Hourly: runctl.USD(24)}, EndsItself: true},
		runctl.Offer{ID: "one", GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Price: runctl.Price{Hourly: runctl.USD(2.99)}, EndsItself: true},
		runctl.Offer{ID: "old", GPU: runctl.GPU{Model: "A100-80GB", Count: 1}, Price: runctl.Price{Hourly: runctl.USD(1.19)}, EndsItself: true},
	))
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	offers, err := client.Offers(context.Background(), runctl.OfferQuery{
		GPU: runctl.GPU{Model: "H100"}, OrGPU: []runctl.GPU{{Model: "A100"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range offers {
		fmt.Println(o.GPU, o.Price.Hourly, o.Cost(10*time.Hour))
	}
	// Output:
	// H100-SXM:1 2.99 USD 29.90 USD
	// A100-80GB:1 1.19 USD 11.90 USD
}

// A log is bytes at offsets: a reader that was cut goes on where it stopped.
func ExampleRun_Logs() {
	ctx := context.Background()
	cloud := fake.New()
	cloud.Script("tune-7", fake.Script{Log: "step 1\nstep 2\nstep 3\n"})
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	run, err := client.Start(ctx, runctl.RunSpec{
		Key: "tune-7", Job: runctl.Job{Args: []string{"train"}}, Lifetime: time.Hour, MaxHourly: runctl.USD(1),
	})
	if err != nil {
		log.Fatal(err)
	}
	next := int64(len("step 1\n")) // what was read and stored so far
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Offset: next, Follow: true}) {
		if err != nil {
			log.Fatal(err)
		}
		os.Stdout.Write(chunk.Data)
		next = chunk.Offset + int64(len(chunk.Data))
	}
	fmt.Println(next, "bytes")
	// Output:
	// step 2
	// step 3
	// 21 bytes
}

// A dry run says what Reap would end: here a machine that an earlier process left, three hours after the
// launch for one hour. A colleague's machine is not ours to judge.
func ExampleClient_Reap() {
	ctx := context.Background()
	cloud := fake.New()
	left := runctl.Mark{Owner: "tuner", Key: "tune-6", Controller: "abc", Lifetime: time.Hour, Digest: "aaaa"}
	theirs := runctl.Mark{Owner: "colleague", Key: "big-run", Controller: "abc", Lifetime: time.Hour, Digest: "aaaa"}
	for _, m := range []runctl.Mark{left, theirs} {
		cloud.Add(runctl.Instance{Label: m.Label(nil), Launched: time.Now().Add(-3 * time.Hour)})
	}
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	due, err := client.Reap(ctx, runctl.ReapRequest{DryRun: true})
	for _, d := range due {
		fmt.Println(d.Instance.Mark.Key, d.Ended)
	}
	fmt.Println(err, cloud.Calls(fake.OpTerminate), "calls to end a machine")
	// Output:
	// tune-6 false
	// <nil> 0 calls to end a machine
}

func ExampleClient_EstimateCost() {
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, fake.New(fake.Offers(runctl.Offer{
		ID: "one", GPU: runctl.GPU{Model: "H100-SXM", Count: 1}, Price: runctl.Price{Hourly: runctl.USD(2.99)}, EndsItself: true,
	})))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	e, err := client.EstimateCost(context.Background(), runctl.RunSpec{
		Needs:    runctl.OfferQuery{GPU: runctl.GPU{Model: "H100"}},
		Job:      runctl.Job{Args: []string{"train"}},
		Lifetime: 12 * time.Hour,
		MaxCost:  runctl.USD(40),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Offer.Type, e.Road, "at most", e.Max)
	// Output:
	// one job at most 35.88 USD
}

// apiError stands for the error type of a cloud's SDK.
type apiError struct{ Code string }

func (e *apiError) Error() string { return "api: " + e.Code }

// What to do next depends on the kind; the cloud's own error is there too.
func ExampleError() {
	cloud := fake.New()
	cloud.Inject(fake.Fault{Op: fake.OpLaunch, Err: &runctl.Error{
		Kind: runctl.ErrQuota, Scope: runctl.ScopeAccount, NotStarted: true, Err: &apiError{"VcpuLimitExceeded"},
	}})
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.Launch(context.Background(), runctl.LaunchSpec{Key: "a", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})

	fmt.Println(errors.Is(err, runctl.ErrUncertain), errors.Is(err, runctl.ErrQuota))
	var own *apiError
	fmt.Println(errors.As(err, &own), own.Code)
	// Output:
	// false true
	// true VcpuLimitExceeded
}

// audited sees every launch. It passes everything else on, and Unwrap lets As reach what it wraps.
type audited struct {
	runctl.Provider
	launches int
}

func (a *audited) Launch(ctx context.Context, r runctl.LaunchRequest) (runctl.Instance, error) {
	a.launches++
	return a.Provider.Launch(ctx, r)
}

func (a *audited) Unwrap() runctl.Provider { return a.Provider }

// A provider of one's own is any type with the six methods. As finds optional interfaces, and concrete types
// for what runctl does not offer.
func ExampleAs() {
	own := &audited{Provider: fake.New()}
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, own)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.Run(context.Background(), runctl.RunSpec{
		Job: runctl.Job{Args: []string{"train"}}, Lifetime: time.Hour, MaxHourly: runctl.USD(1),
	})
	fmt.Println(err, own.launches)

	_, stops := runctl.As[runctl.Stopper](client.Providers()[0])
	cloud, ok := runctl.As[*fake.Cloud](client.Providers()[0])
	fmt.Println(stops, ok, cloud.Calls(fake.OpLaunch))
	// Output:
	// <nil> 1
	// true true 1
}

// The reply to a launch is lost after the machine has started. The client looks for it and adopts it.
func Example_lostReply() {
	cloud := fake.New()
	cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, After: true, Err: io.ErrUnexpectedEOF})
	var events []runctl.EventName
	client, err := runctl.New(runctl.Config{Owner: "tuner", Trace: func(e runctl.Event) {
		if e.Name != runctl.EventCall {
			events = append(events, e.Name)
		}
	}}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	machine, err := client.Launch(context.Background(), runctl.LaunchSpec{Key: "a", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
	fmt.Println(machine.ID, err, events)
	fmt.Println(cloud.Launched(), "launched")
	// Output:
	// m-000001 <nil> [launching doubt launched]
	// 1 launched
}

func ExampleRegistry() {
	var registry runctl.Registry
	registry.Register(local.Factory)
	registry.Register(runctl.Factory{Name: "mine", Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
		if get("MINE_API_KEY") == "" {
			return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "set MINE_API_KEY"}
		}
		return fake.New(fake.Name("mine")), nil
	}})
	fmt.Println(registry.Names())

	settings := map[string]string{"MINE_API_KEY": "k"} // or os.Getenv
	p, err := registry.Open(context.Background(), "mine", func(name string) string { return settings[name] })
	fmt.Println(p.Info().Name, err)
	_, err = registry.Open(context.Background(), "lokal", os.Getenv)
	fmt.Println(err)
	// Output:
	// [local mine]
	// mine <nil>
	// unknown provider "lokal": known are local, mine. Did you mean local?
}

func ExampleParseGPU() {
	for _, s := range []string{"h100:8", "A100-80GB", "8xH100"} {
		g, err := runctl.ParseGPU(s)
		fmt.Println(g, err)
	}
	// Output:
	// H100:8 <nil>
	// A100-80GB:1 <nil>
	// - gpu: "8xH100": write H100:8
}

func ExampleRef() {
	ref := runctl.Ref{Provider: "fake", Owner: "tuner", Key: "tune-7", ID: "m-000001", Run: "tune-7"}
	text := ref.String()
	fmt.Println(text)
	again, err := runctl.ParseRef(text)
	fmt.Println(again == ref, err)
	// Output:
	// rc1:fake/tuner/tune-7/m-000001/tune-7
	// true <nil>
}

// Terminate returns when the cloud shows the machine ended, and may be repeated.
func ExampleClient_Terminate() {
	ctx := context.Background()
	cloud := fake.New()
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	machine, err := client.Launch(ctx, runctl.LaunchSpec{Key: "box-1", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(cloud.Billing()), "billing")
	fmt.Println(client.Terminate(ctx, machine.Ref()), client.Terminate(ctx, machine.Ref()))
	fmt.Println(len(cloud.Billing()), "billing")
	// Output:
	// 1 billing
	// <nil> <nil>
	// 0 billing
}

// A stopped machine bills its disk only. Its lifetime goes on.
func ExampleClient_StopInstance() {
	ctx := context.Background()
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, fake.New())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	machine, err := client.Launch(ctx, runctl.LaunchSpec{Key: "box-1", Lifetime: time.Hour, MaxHourly: runctl.USD(1)})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.StopInstance(ctx, machine.Ref()); err != nil {
		log.Fatal(err)
	}
	machine, err = client.Get(ctx, machine.Ref())
	fmt.Println(machine.State, machine.State.Billing(), err)
	if err := client.StartInstance(ctx, machine.Ref()); err != nil {
		log.Fatal(err)
	}
	machine, err = client.Get(ctx, machine.Ref())
	fmt.Println(machine.State, err)
	// Output:
	// stopped true <nil>
	// running <nil>
}

// A cancel asks for the job's end; the receipt says how it came.
func ExampleRun_Cancel() {
	ctx := context.Background()
	cloud := fake.New()
	cloud.Script("tune-7", fake.Script{Hold: true})
	client, err := runctl.New(runctl.Config{Owner: "tuner"}, cloud)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	run, err := client.Start(ctx, runctl.RunSpec{
		Key: "tune-7", Job: runctl.Job{Args: []string{"train"}}, Lifetime: time.Hour, MaxHourly: runctl.USD(1),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := run.Cancel(ctx, time.Minute); err != nil {
		log.Fatal(err)
	}
	receipt, err := run.Wait(ctx)
	fmt.Println(receipt.Cause, err)
	// Output:
	// cancel tune-7: exit 143 (signal TERM), ended by cancel
}

// An intent log lets a client that starts after a crash know what was in flight.
func ExampleOpenIntents() {
	dir, err := os.MkdirTemp("", "runctl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	intents, err := runctl.OpenIntents(filepath.Join(dir, "intents.log"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := runctl.New(runctl.Config{Owner: "tuner", Controller: "abc", Intents: intents}, fake.New())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Launch(context.Background(), runctl.LaunchSpec{Key: "a", Lifetime: time.Hour, MaxHourly: runctl.USD(1)}); err != nil {
		log.Fatal(err)
	}
	lines, err := intents.Load()
	for _, in := range lines {
		fmt.Println(in.Key, in.Event, in.ID != "")
	}
	fmt.Println(err)
	// Output:
	// a launching false
	// a started true
	// <nil>
}
