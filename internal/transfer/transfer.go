// Package transfer moves files and trees between a run and this computer. It knows no cloud: it asks for a connection
// when it needs one, and goes on where a cut one left it.
//
// What a machine says is not trusted. Its tree is checked against every bound before a byte is written, and then is the
// measure: nothing that it does not name is taken, and of nothing more than it says.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runctl/internal/job"
)

// Defaults of [Options], and bounds that nobody can change.
const (
	DefaultMaxBytes = 1 << 40
	DefaultMaxFiles = 200_000

	maxDepth   = 100      // directories above a file
	maxName    = 4000     // bytes of a name
	tries      = 4        // of a file that changes while it is read
	nameBytes  = 128      // of names, for each of MaxFiles
	worthwhile = 64 << 10 // bytes of a file from which on it is gone on from, and not sent anew
)

// How long a connection may be silent before it counts as cut.
const (
	stallLimit = 2 * time.Minute
	moveLimit  = 10 * time.Minute // while very many files are renamed
	hashRate   = 20 << 20         // bytes a second that every machine can hash: a long file is waited for
)

// slowTrip is the round trip from which on bytes that shrink are compressed: a link so long is slower than gzip.
const slowTrip = 5 * time.Millisecond

// Link is the way to the machine.
type Link struct {
	// Do calls f with a connection, making one where there is none. A connection on which f failed is not used
	// again.
	Do func(ctx context.Context, f func(context.Context, job.Machine) error) error
	// Again waits until it is time to try again after err, the failed-th in a row without any progress, from 1; 0:
	// there was progress. An error is what the transfer ends with.
	Again func(ctx context.Context, err error, failed int) error
	Run   string
}

// Options bound a transfer and watch it.
type Options struct {
	MaxBytes int64 // of all files together; 0: DefaultMaxBytes
	MaxFiles int   // files, directories and what is left out; 0: DefaultMaxFiles
	// Progress is called when something was done, at most ten times a second, and once at the end; never
	// concurrently.
	Progress func(Progress)
	// As is the name that the file or tree gets at its destination; empty: its own path, "." for a tree: its content
	// without a directory of its own.
	As string

	hurry bool // do not wait before a file that changed is asked for again
}

// pause waits for d or the context.
func (o Options) pause(ctx context.Context, d time.Duration) error {
	if o.hurry {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Progress is how far a transfer is. It never goes back, and counts what was there already.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// Names are the first ten of many names, made fit for one line.
type Names struct {
	First []string
	Count int
}

func (n *Names) add(name string) {
	if n.Count++; len(n.First) < 10 {
		n.First = append(n.First, shown(name))
	}
}

// Outcome is what a transfer that came to its end did not take.
type Outcome struct {
	Skipped Names // links, devices, and names that cannot be kept everywhere
	Changed Names // files that changed, went away or could not be read while they were
}

// Refused is what is there, and will not be taken. Another try has the same end.
type Refused struct {
	Text  string
	Limit bool // it is one of the bounds of Options
}

// Error says what is refused, and what to do.
func (e *Refused) Error() string { return e.Text }

func refuse(format string, args ...any) error { return &Refused{Text: fmt.Sprintf(format, args...)} }

// local marks an error of this computer's, which no other connection mends.
type local struct{ error }

func (e local) Unwrap() error { return e.error }

func locally(err error) error {
	if err == nil {
		return nil
	}
	return local{err}
}

// final reports whether another try is no use.
func final(err error) bool {
	var refused *Refused
	var here local
	return errors.As(err, &refused) || errors.As(err, &here)
}

// over takes the mark off an error of this computer's.
func over(err error) error {
	var here local
	if errors.As(err, &here) {
		return here.error
	}
	return err
}

// persist calls step until it succeeds or another try is no use. done counts progress: a series of failures is one
// between which it stands still.
func (l Link) persist(ctx context.Context, done func() int64, step func(context.Context, job.Machine) error) error {
	for failed := 0; ; {
		before := done()
		var end error // an error that the connection is not to blame for
		err := l.Do(ctx, func(ctx context.Context, m job.Machine) error {
			err := step(ctx, m)
			if final(err) {
				end, err = err, nil
			}
			return err
		})
		switch {
		case end != nil:
			return end
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		failed++
		if done() != before {
			failed = 0
		}
		if err := l.Again(ctx, err, failed); err != nil {
			return err
		}
	}
}
