package runctl

import (
	"context"
	"path/filepath"
	"strings"

	"runctl/internal/transfer"
)

// Upload copies a file or directory of this computer's into a directory below the job's, by its path relative to the
// job's directory; "." is that itself. It gets its own last name there, or the one of [TransferOptions].As. The
// directory is made where it is missing.
//
// Everything is brought to a place of the run's own first. When all of it has the SHA-256 sums that it has here, each
// file is renamed to its place, with mode 0644, or 0755 if executable, for the job's user; never through a link that
// leads out of the job's directory. A file replaces one that is there; a file in the place of a directory, or the other
// way round, is refused. Links, devices and names with control characters or backslashes in the directory are left out:
// when everything else was brought the error is a [*SkippedError] that names them. A file that goes on changing while it
// is read is tried four times, and named in a [*ChangedError].
//
// A cut connection is made again, and the transfer goes on with what is missing, as that of [Run.Download] does. The
// same call, in this process or another, goes on where one was broken off.
//
// A run that has ended takes no files, nor does one whose job works in a directory of its caller's, on this computer:
// ErrConflict and ErrInvalid. A machine that cannot be entered is errors.ErrUnsupported.
func (r *Run) Upload(ctx context.Context, from, to string, o ...TransferOptions) error {
	const op = "upload"
	if from == "" {
		return invalid("from", "give a local file or directory")
	}
	to = filepath.ToSlash(to)
	if to == "" || !filepath.IsLocal(filepath.FromSlash(to)) || strings.ContainsFunc(to, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return invalid("to", "%q: a path below the job's directory, or . for that itself", clip(oneLine(to), 80))
	}
	opt, err := transferOptions(o)
	if err != nil {
		return err
	}
	link, err := r.link(op)
	if err != nil {
		return err
	}
	if r.a.info.InPlace {
		return invalid("Run", "its job works in a directory of yours: copy the files there")
	}
	out, err := transfer.Upload(ctx, link, from, to, opt)
	return r.transferred(op, from, out, err)
}
