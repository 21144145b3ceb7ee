// Package runpod is RunPod's REST API v2 as tests see it: an http.Handler with pods that live, cost and fail as the real ones do.
//
// Every request and every reply is held against RunPod's own OpenAPI document; what is wrong is in [Face.Violations], which
// a test expects to be empty. [Options] are the cloud's physics, [Fault] is what goes wrong with one reply, and methods do what
// others do behind the client's back. Time is the time package's, so that a face inside a testing/synctest bubble lives on virtual time;
// nothing runs while nobody asks. Containers are scripts of time ([Script]) or real processes ([Options.Real]).
package runpod
