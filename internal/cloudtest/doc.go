// Package cloudtest has the tests that are the same for every cloud of this module: the launch rule with all that can become of a
// launch, what may be seen of credentials, and the command from end to end. A cloud's tests describe the cloud with a [Cloud], and
// call them.
//
// All but the command's run over the cloud's wire face in memory, each case in a testing/synctest bubble of its own.
package cloudtest
