package s3store

import (
	"cmp"

	"runctl"
)

// Options bound a transfer and watch it. The zero value is fit for use.
type Options struct {
	MaxBytes int64 // the most that all files together may have; 0: 1 TiB
	MaxFiles int   // the most files of a Sync; 0: 200,000
	// Progress is called at most ten times a second, and once at the end, never concurrently; the transfer waits for
	// it. What was at its destination already counts as done. nil: nobody is told.
	Progress func(runctl.TransferProgress)
}

func (s *Store) options(all []Options) (Options, error) {
	if len(all) == 0 {
		all = []Options{{}}
	}
	o := all[0]
	switch {
	case len(all) > 1:
		return o, invalid("Options", "give at most one")
	case o.MaxBytes < 0 || o.MaxFiles < 0:
		return o, invalid("Options", "MaxBytes and MaxFiles must not be negative")
	}
	o.MaxBytes, o.MaxFiles = cmp.Or(o.MaxBytes, 1<<40), cmp.Or(o.MaxFiles, 200_000)
	return o, nil
}
