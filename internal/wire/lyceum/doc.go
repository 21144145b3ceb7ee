// Package lyceum is Lyceum's API as tests see it: an http.Handler with virtual machines and runs that live, cost and fail
// as the real ones are known to.
//
// Every request and every reply is held against an OpenAPI document; what is wrong is in [Face.Violations], which a test
// expects to be empty. [Options] are the cloud's physics and its quirks, [Fault] is what goes wrong with one reply, and methods do
// what others do behind the client's back. Time is the time package's, so that a face inside a testing/synctest bubble lives on virtual
// time; nothing runs while nobody asks. Runs are scripts of time ([Script]) or real processes ([Options.Real]).
package lyceum
