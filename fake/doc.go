// Package fake is a cloud in memory, for the tests of whoever uses runctl.
//
// [New] is a cloud without physics: machines boot at once, a job without a script ends at once with code
// 0, and waiters are woken. [Realistic] is one with physics: boot times, listing lag, lost replies,
// throttling, zones without capacity, spot machines taken back. Both work in plain tests and inside a
// [testing/synctest] bubble; Realistic takes real minutes outside of one.
//
//	cloud := fake.New()
//	cloud.Script("tune-42", fake.Script{Log: "loss nan\n", ExitCode: 3})
//	client, err := runctl.New(runctl.Config{Owner: "test"}, cloud)
//
// # Time
//
// The cloud has no goroutine and no timer of its own. What a machine does is a function of its history
// and of the clock; it is worked out when somebody looks. [Cloud.Changed] therefore tells of what was
// asked for or first seen by a call, not of what time alone has done: whoever waits for that looks again
// (Info.Poll), or holds Process.Wait, which has a timer while it waits.
//
// # Chance
//
// Every draw is a hash of the seed, the operation, the launch key or id, and how many draws that key has
// had. Goroutines share no generator, so the same scenario with the same seed has the same events, and
// [Cloud.Log] is the same byte for byte. For that, callers must tell their calls apart: two calls at the
// same time for the same operation and key are one after the other in an order that nobody knows.
package fake
