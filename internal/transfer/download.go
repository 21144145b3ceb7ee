package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"runctl/internal/job"
)

// Download copies a file or tree of a run, by its path relative to the run's directory or else its outputs, below
// root. Each file is checked against the machine's checksum before it gets its name. What is there already and the
// same is not sent again; what a cut left is gone on from, also by a later call.
func Download(ctx context.Context, link Link, from string, root *os.Root, o Options) (Outcome, error) {
	d := &download{link: link, root: root, t: newTable(o, from), place: job.PlaceAny, alone: map[int]bool{}}
	d.meter = newMeter(o.Progress)
	err := d.run(ctx)
	if d.parts != nil {
		if cerr := d.parts.close(err != nil && !errors.As(err, new(*Refused))); err == nil {
			err = cerr
		}
	}
	return Outcome{Skipped: d.t.skipped, Changed: d.gone}, over(err)
}

type download struct {
	link  Link
	root  *os.Root
	place string
	zip   bool
	parts *parts
	meter *meter

	mu    sync.Mutex
	t     *table       // entries change under mu while both loops run
	alone map[int]bool // files that tar sends as a link to another
	gone  Names
	drops []string     // names whose parts are worth nothing
	kept  atomic.Int64 // progress that no cut takes away: see gains
	sums  atomic.Int64 // checksums read, ever
}

func (d *download) run(ctx context.Context) error {
	if err := d.list(ctx, d.t.add); err != nil {
		return err
	}
	if err := d.t.close(); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	for round := 0; ; round++ {
		if err := d.round(ctx); err != nil {
			return err
		}
		for _, name := range d.drops {
			d.parts.drop(name)
		}
		d.drops = nil
		if len(d.t.each((*entry).open)) == 0 {
			break
		}
		if len(d.t.each(func(e *entry) bool { return e.stale })) > 0 {
			if err := d.t.o.pause(ctx, 300*time.Millisecond<<min(round, 3)); err != nil {
				return err
			}
			if err := d.again(ctx); err != nil {
				return err
			}
		}
	}
	d.meter.end()
	return nil
}

func (e *entry) open() bool { return e.state != settled && e.state != failed }

// list asks for the tree and calls add for its entries. A list that was cut begins anew.
func (d *download) list(ctx context.Context, add func(job.Entry) error) error {
	t := d.t
	return d.link.persist(ctx, func() int64 { return 0 }, func(ctx context.Context, m job.Machine) error {
		*t = *newTable(t.o, t.below)
		return watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
			info, err := job.Tree(ctx, m, d.link.Run, d.place, t.below, func(e job.Entry) error {
				touch()
				return add(e)
			})
			if err == nil {
				d.place, d.zip = info.Place, info.Gzip && info.Trip > slowTrip && t.shrinks()
			}
			return err
		})
	})
}

// prepare looks at what is at the destination, makes the directories, and refuses what has no room there. Up to here
// nothing was written.
func (d *download) prepare() error {
	t := d.t
	var missing int64
	for i := range t.all {
		e := &t.all[i]
		info, err := d.root.Lstat(filepath.FromSlash(t.dest(e)))
		switch {
		case err == nil && info.IsDir() && !e.dir:
			return refuse("%q is a directory here and a file there; move it away", shown(t.dest(e)))
		case err == nil && info.Mode().IsRegular() && e.dir:
			return refuse("%q is a file here and a directory there; move it away", shown(t.dest(e)))
		case err == nil && info.Mode().IsRegular() && info.Size() == e.size:
			e.state = twin
			missing -= e.size
		}
		missing += e.size
	}
	here, err := d.root.Open(".")
	if err != nil {
		return locally(err)
	}
	free, known := space(here)
	_ = here.Close()
	if known && missing > free {
		return refuse("%s are to come, and the disk here has room for %s", size(missing), size(free))
	}
	d.meter.total(t.files, t.bytes)
	for i := range t.all {
		if e := &t.all[i]; e.dir {
			if err := d.root.MkdirAll(filepath.FromSlash(t.dest(e)), 0o755); err != nil {
				return locally(err)
			}
		}
	}
	d.parts, err = openParts(d.root, fmt.Sprint(d.link.Run, "\x00", t.below, "\x00", t.o.As))
	return locally(err)
}

// round reads checksums and files side by side, each until the other can add nothing.
func (d *download) round(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan error, 2)
	both := func(loop func(context.Context) error) {
		err := loop(ctx)
		first <- err
		if err != nil {
			cancel() // after the error was told, so that it comes before what it causes
		}
	}
	go both(d.readSums)
	both(d.readFiles)
	if err := <-first; err != nil {
		<-first
		return err
	}
	return <-first
}

func (d *download) pick(ok func(e *entry) bool) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.t.each(ok)
}

// changed takes note of a file that did not come as it was listed.
func (d *download) changed(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.miss(&d.t.all[i])
}

func (d *download) miss(e *entry) {
	if !e.open() || e.stale {
		return
	}
	d.drops = append(d.drops, e.name) // not at once: it may be written just now
	e.known, e.state, e.stale = false, wanted, true
	if e.tries++; e.tries >= tries {
		e.state, e.stale = failed, false
		d.gone.add(e.name)
	}
}

// again asks anew for the sizes of files that changed.
func (d *download) again(ctx context.Context) error {
	old := d.t
	next := *old
	err := d.link.persist(ctx, func() int64 { return 0 }, func(ctx context.Context, m job.Machine) error {
		fresh := newTable(old.o, old.below)
		err := watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
			_, err := job.Tree(ctx, m, d.link.Run, d.place, old.below, func(e job.Entry) error {
				touch()
				if i, ok := old.find(e.Name); !ok || !old.all[i].stale {
					return nil
				}
				return fresh.add(e)
			})
			return err
		})
		next = *fresh
		return err
	})
	var refused *job.Refused
	if err != nil && !(errors.As(err, &refused) && refused.Code == job.RefusedNotFound) { // else all of it went away
		return err
	}
	if err := next.close(); err != nil {
		return err
	}
	for _, i := range old.each(func(e *entry) bool { return e.stale }) {
		e := &old.all[i]
		j, ok := next.find(e.name)
		if !ok || next.all[j].dir {
			e.state, e.stale = failed, false
			d.gone.add(e.name)
			continue
		}
		if n := next.all[j].size; n > old.o.MaxBytes-old.bytes+e.size {
			return &Refused{Limit: true, Text: fmt.Sprintf("%q has grown, so that it is more than %s in all; allow more, or take less", shown(e.name), size(old.o.MaxBytes))}
		}
		old.bytes += next.all[j].size - e.size
		e.size, e.exec, e.stale = next.all[j].size, next.all[j].exec, false
	}
	d.meter.total(old.files, old.bytes)
	return nil
}
