package runctl

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"runctl/internal/job"
	"runctl/internal/transfer"
)

// TransferOptions bound a [Run.Download] or [Run.Upload] and watch it. The zero value is fit for use. A transfer needs
// about 200 bytes of memory for each file.
type TransferOptions struct {
	// MaxBytes is the most that all files together may have; 0: 1 TiB. Never is more written than the disk has room
	// for, where that is known, nor more of a file than was said of it at the start.
	MaxBytes int64
	// MaxFiles is the most files and directories, those that are left out among them; 0: 200,000. Names have 128 bytes
	// on average at most, each 4,000, in 100 directories.
	MaxFiles int
	// As is the name that the file or directory gets at its destination, with slashes. Empty: its own path as it was
	// given to Download, its own last name for Upload. ".": the content of a directory without the directory, and of a
	// file its last name.
	As string
	// Progress is called at most ten times a second, and once at the end, never concurrently; the transfer waits for
	// it. nil: nobody is told.
	Progress func(TransferProgress)
}

// TransferProgress is how far a transfer is. It never goes back. What was at its destination already counts as done.
type TransferProgress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// SkippedError says that a transfer is complete but for entries that are never taken: links, devices, and names with
// control characters or backslashes.
type SkippedError struct {
	Names []string // the first ten
	Count int
}

// Error names them, and says what to do.
func (e *SkippedError) Error() string {
	return "left out, since they are links, devices or have names that not every system can keep: " + some(e.Names, e.Count) + "; use plain files"
}

// ChangedError says that a transfer is complete but for files that changed, went away or could not be read while they
// were; each was tried four times.
type ChangedError struct {
	Names []string // the first ten
	Count int
}

// Error names them, and says what to do.
func (e *ChangedError) Error() string {
	return "not taken, since they went on changing or could not be read: " + some(e.Names, e.Count) + "; try again when nobody writes to them"
}

// some lists the first of count names.
func some(names []string, count int) string {
	text := strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func transferOptions(all []TransferOptions) (transfer.Options, error) {
	if len(all) == 0 {
		return transfer.Options{}, nil
	}
	o := all[0]
	switch {
	case len(all) > 1:
		return transfer.Options{}, invalid("TransferOptions", "give at most one")
	case o.MaxBytes < 0 || o.MaxFiles < 0:
		return transfer.Options{}, invalid("TransferOptions", "MaxBytes and MaxFiles must not be negative")
	case o.As != "" && (!filepath.IsLocal(filepath.FromSlash(o.As)) || strings.ContainsAny(o.As, "\x00\n\r")):
		return transfer.Options{}, invalid("TransferOptions.As", "%q: a name below the destination", clip(oneLine(o.As), 80))
	}
	t := transfer.Options{MaxBytes: o.MaxBytes, MaxFiles: o.MaxFiles, As: o.As}
	if o.Progress != nil {
		t.Progress = func(p transfer.Progress) { o.Progress(TransferProgress(p)) }
	}
	return t, nil
}

// link is the way to the run's files.
func (r *Run) link(op string) (transfer.Link, error) {
	i := r.Instance()
	if _, ok := As[Connector](r.a.Provider); !ok {
		return transfer.Link{}, &Error{Provider: r.a.info.Name, Op: op, ID: i.ID, Kind: ErrInvalid, Err: errors.ErrUnsupported, Msg: "files of machines here cannot be read"}
	}
	p := &shellProcess{c: r.c, a: r.a, inst: i, run: r.run}
	return transfer.Link{Run: r.run,
		Do: func(ctx context.Context, f func(context.Context, job.Machine) error) error {
			return p.on(ctx, func(m job.Machine) error { return f(ctx, m) })
		},
		Again: r.again}, nil
}

// maxFailures is how often in a row a transfer is tried again without any progress.
const maxFailures = 8

// again waits for another try of a transfer after err, the failed-th in a row, or says why there is none.
func (r *Run) again(ctx context.Context, err error, failed int) error {
	switch kindOf(err) {
	case ErrNotFound, ErrConflict, ErrInvalid, ErrClosed, ErrAuth, ErrHostKey:
		return err
	}
	if failed > maxFailures {
		return err
	}
	if failed > 1 {
		if over, _ := r.unreachable(ctx, err); over {
			e := asError(err, ErrLost)
			e.Kind, e.Msg = ErrLost, "the machine has ended, and its files with it"
			return e
		}
	}
	wait := 50 * time.Millisecond // after progress: the line was cut, and may be there again
	if failed > 0 {
		wait = delay(r.run, failed)
	}
	return sleep(ctx, wait)
}

// transferred makes one error of a transfer's end.
func (r *Run) transferred(op, what string, out transfer.Outcome, err error) error {
	what = clip(oneLine(what), 120)
	done := "fetched"
	if op != "download" {
		done = "sent"
	}
	var refused *transfer.Refused
	var e *Error
	i := r.Instance()
	switch {
	case errors.As(err, &refused):
		kind := ErrConflict
		if refused.Limit {
			kind = ErrInvalid
		}
		return &Error{Provider: i.Provider, Op: op, ID: i.ID, Key: r.run, Kind: kind, Msg: what + " could not be " + done + ": " + refused.Text}
	case errors.As(err, &e):
		own := *e
		own.Op = op
		if own.Kind != ErrLost {
			own.Msg = what + " could not be " + done
		}
		return &own
	case err != nil:
		return fmt.Errorf("%s of %s: %w", op, what, err)
	}
	var left []error
	if out.Changed.Count > 0 {
		left = append(left, &ChangedError{out.Changed.First, out.Changed.Count})
	}
	if out.Skipped.Count > 0 {
		left = append(left, &SkippedError{out.Skipped.First, out.Skipped.Count})
	}
	if len(left) == 1 {
		return left[0]
	}
	return errors.Join(left...)
}
