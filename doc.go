// Package runctl runs training jobs on rented machines: it launches one machine per launch and never two,
// knows only by a receipt that a job has ended, and leaves nothing billing on unseen.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"time"
//
//		"runctl"
//		"runctl/local"
//	)
//
//	func main() {
//		here, err := local.New(local.Config{}) // this computer
//		if err != nil {
//			log.Fatal(err)
//		}
//		client, err := runctl.New(runctl.Config{Owner: "me"}, here)
//		if err != nil {
//			log.Fatal(err)
//		}
//		receipt, err := client.Run(context.Background(), runctl.RunSpec{
//			Job:      runctl.Job{Args: []string{"sh", "-c", "echo one step"}},
//			Lifetime: time.Hour, // every machine has an end
//		})
//		if err != nil {
//			log.Fatal(err) // nil only for exit code 0
//		}
//		fmt.Println("exit", receipt.ExitCode, "with", receipt.LogBytes, "bytes of log")
//	}
//
// Users hold a [Client]; clouds implement [Provider]. A machine is an [Instance], what is to run on it a [Job],
// and one attempt of a job on one machine a [Run]. [Client.Run] does everything and returns the [Receipt].
// [Client.Start] returns as soon as the job was handed over; its [Run.Ref] is text to store, and
// [Client.Attach] makes a run of it again, in another process and days later. [Client.Launch],
// [Client.Submit] and [Client.Terminate] do the same by hand, with several jobs on one machine. [Client.Machine] runs
// commands on it.
//
// A job takes one of two roads. On the shell road the client launches a machine, enters it and hands the job to
// a supervisor there. On the job road the launch itself carries the job. [Offer].Roads says which there are;
// the client takes the job road where both fit and OfferQuery.Road does not insist. Runs, receipts and logs
// are the same on both.
//
// # Keys
//
// [RunSpec].Key and [LaunchSpec].Key name a launch: at most 24 characters of a-z, 0-9 and '-', visible to
// colleagues and on bills. Store the key before the call. The same key with the same request always means the
// same machine, also in another process and after a crash: what an earlier call has started is adopted. The same
// key with a different request, or one whose machine has ended, is [ErrConflict]; a new attempt needs a new key.
// Raising a ceiling does not make a request different.
//
// Every machine carries its [Mark]: owner, key, controller, lifetime and a digest of the request, sealed with
// [Config].Secret. [Client.Terminate] and [Client.Reap] touch only machines with the owner's seal.
// An owner's clients share Owner and Secret, and each keeps a Controller and [Intents] of its own.
//
// # Money
//
// A launch needs a lifetime. The machine ends itself when it is over, and sooner when it had no job for
// RunSpec.Keep; one that cannot end itself needs the consent of RunSpec.Unguarded. An offer that is not known to
// be free needs a ceiling in its own currency: MaxHourly, or MaxCost for the whole lifetime. A spot machine
// is launched only for a query that allows [Spot]. A missing price is unknown, not zero: see [Money].
// [Client.EstimateCost] says what a request would cost, and spends nothing. [Client.Reap] ends machines that
// have outlived their lifetime, for clouds or faults where they did not end themselves; DryRun only lists them.
//
// # Errors
//
// What to do next depends on the [Kind], which errors.Is matches; a caller's own cancel has none, and matches the
// context's error. [ErrUncertain], and an [Error] with MayBill, say that a machine may be billing: the same key
// finds it, its lifetime ends it, and [Client.Reap] does where it cannot end itself. errors.As reaches [*Error]
// with its details, and the cloud SDK's own error within. A job that ended in any other way than by its own exit
// with code 0 is an [*ExitError].
//
// # Contexts
//
// A context bounds the call, never the job. Cancelling [Run.Wait] or [Client.Run] leaves the run alone; end it
// with [Run.Cancel] or [Client.Terminate]. A launch request that was sent is finished whatever the context says,
// so that a cancel makes no doubt. [Deadlines] bound the phases that depend on others.
//
// # Waiting and unreachable machines
//
// All who wait on machines of one provider share one series of listings, so calls do not grow with machines or
// waiters. A machine that cannot be reached is [LiveUnknown], which is not dead: it costs time and never
// makes a second launch. [Run.Wait] goes on until there is a receipt, or the cloud's own word that the machine
// has ended, which without a receipt is [ErrLost]; or until its context ends.
//
// Silence never ends a run, unless it asked for [Job].Lease: then it ends when nobody has waited for it or followed its
// log for so long.
//
// # Host keys
//
// A machine that is reached over a network is believed by its host key, which [Run.Ref] carries once it is known. One
// that shows another key is sent nothing: [ErrHostKey]. [Run.HostTrust] says why a key is believed. Secrets do not go to
// a machine whose key nobody vouches for, unless [Job].SecretsOnFirstUse allows it.
//
// # Logs
//
// A run's log is bytes at offsets. [Run.Logs] begins at any offset, reconnects by itself when it follows, and
// gives each byte once; bytes that cannot be read any more are a gap with a name, LogChunk.Lost.
//
// # Testing
//
// Package fake is a cloud in memory: jobs are scripts, any call can be made to fail or to lose its reply, and
// Cloud.Launched and Cloud.Billing tell what was started and what still costs money. It waits for nothing in a plain test, and
// works on the virtual time of testing/synctest. Importing runctl or runctl/fake links no cloud SDK.
//
// # Writing a provider
//
// A provider is a type with the six methods of [Provider]; examples/provider in this module is a whole one. In
// order of what goes wrong most:
//
//   - Launch makes one request, with LaunchRequest.Label on the machine from that very request on. It does not
//     repeat it: also not in the HTTP client or the SDK below.
//   - An error of Launch has NotStarted only when the cloud's own readable reply proves that nothing was started.
//     Time-outs, broken connections and replies that cannot be read prove nothing.
//   - Info.Settle is declared only when it is known how long a new machine may be missing from a listing, and
//     Info.Idempotent only when the cloud honours LaunchRequest.Token.
//   - List returns every page or an error. Get and List say StateUnknown for a word they do not know, and
//     StateTerminated only on the cloud's own word.
//   - Label is read from a place that a copy of the machine cannot carry, where the cloud has one. Launched and
//     Seen are the cloud's clock.
//   - Info.Boots is declared only when the machine runs LaunchRequest.Boot as root at every boot.
//   - An offer says EndsItself only when the machine ends its own billing at its lifetime with everybody gone,
//     and Keeps only when log and outputs can be read afterwards.
//   - Methods do not sleep, poll, retry, log or start goroutines. The client does all of that.
//   - Errors and logs carry no credential. Redirects do not take one along.
//   - Optional abilities are further interfaces: [Connector], [JobRunner], [Stopper], [Notifier],
//     [Fitter], [Sweeper], [Placer]. What a provider cannot do it does not implement.
//   - The package exports a [Factory], has no init, and reads its settings only through the factory's get.
//   - A test calls providertest.Run, which checks these rules.
package runctl
