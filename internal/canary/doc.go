// Package canary holds the tests that secrets stay secret. They plant random values wherever a secret may be given,
// do everything that the library and its command can do, with every kind of failure, and look for the values in
// all that comes out: texts of errors, logs, events, records, files, process arguments and environments. A plain
// string beside the secrets must be found in each of those places, so that a search that sees nothing fails.
package canary
