// Package job starts, watches and ends one job on one machine.
//
// A POSIX shell supervisor (sh/, one idea a file) lives on the machine and is called by versioned verbs over
// anything that can run an argument list; this package is the Go side of those calls. The wire format is
// described in protocol.go. The package imports the standard library only, and nothing of runctl.
package job
