// Package torture holds the client to its promise that logs are bytes at offsets: over a line that is cut, stalled
// and delayed, read by a program that is killed again and again, the log is the very bytes that the job wrote, the
// exit code is the true one, and the job ran once.
package torture
