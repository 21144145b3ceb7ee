package runctl

import "context"

// Code is a program's files, brought to a machine before its job starts. Package code makes one from a
// directory.
type Code interface {
	// Digest names the content: equal digests are equal files. It is part of the job, which the machine refuses to
	// start unless every file of it verifies.
	Digest() string
	// Send brings what the machine does not have. Repeated, also after a cut, it sends only what is missing. The
	// client repeats it until Deadlines.Sync, unless the error is ErrInvalid, such as for a file that has changed since
	// the digest was made, or the machine's refusal.
	Send(ctx context.Context, m Machine) error
}
