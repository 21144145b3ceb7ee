// Package aws is EC2's Query API, and as much of Systems Manager, the Price List and STS as a provider needs, as tests see them:
// an http.Handler with machines that live, cost and fail as the real ones do.
//
// Every request and every reply is held against AWS's own API models, reduced to the operations that are served; a parameter
// that is not in the model, or has no value of its kind, is refused and kept in [Face.Violations], which a test expects to be
// empty. Signatures are checked. [Options] are the cloud's physics, [Fault] is what goes wrong with one reply, and methods do what
// others do behind the client's back. Time is the time package's, so that a face inside a testing/synctest bubble lives on virtual time;
// nothing runs while nobody asks. Machines are records, or with [Options.Real] processes of this computer.
package aws
