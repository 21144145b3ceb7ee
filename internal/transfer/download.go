package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	bytes atomic.Int64 // received, ever
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
			if err := pause(ctx, 300*time.Millisecond<<min(round, 3)); err != nil {
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
				d.place, d.zip = info.Place, info.Gzip && info.Trip > slowTrip
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

// readSums has every file's checksum told, or the file marked as changed.
func (d *download) readSums(ctx context.Context) error {
	return d.link.persist(ctx, d.sums.Load, func(ctx context.Context, m job.Machine) error {
		places := d.pick(func(e *entry) bool { return e.open() && !e.known && !e.stale })
		if len(places) == 0 {
			return nil
		}
		var longest int64
		asked := d.t.set(places)
		for _, i := range places {
			longest = max(longest, d.t.all[i].size)
		}
		err := watched(ctx, hashing(longest), func(ctx context.Context, touch func()) error {
			return job.Sums(ctx, m, d.link.Run, d.place, d.t.named(places), func(name string, sum [32]byte) error {
				touch()
				i, ok := d.t.find(name)
				if !ok || !asked[i] {
					return refuse("the machine sends a checksum of %q, which was not asked for; refused", shown(name))
				}
				asked[i] = false
				return d.summed(i, sum)
			})
		})
		if err != nil {
			return err
		}
		for _, i := range places {
			if asked[i] {
				d.changed(i)
			}
		}
		return nil
	})
}

// readFiles has every file here, or marked as changed: what was begun first, each by itself, and the rest in a stream.
func (d *download) readFiles(ctx context.Context) error {
	return d.link.persist(ctx, d.bytes.Load, func(ctx context.Context, m job.Machine) error {
		for {
			places := d.pick(func(e *entry) bool { return e.state == wanted && !e.stale })
			if len(places) == 0 {
				return nil
			}
			var rest []int
			for _, i := range places {
				if d.parts.begun(d.t.all[i].name) < worthwhile && !d.alone[i] {
					rest = append(rest, i)
					continue
				}
				var refused *job.Refused
				if err := d.resume(ctx, m, i); errors.As(err, &refused) && refused.Code == job.RefusedNotFound {
					d.changed(i)
				} else if err != nil {
					return err
				}
				delete(d.alone, i)
			}
			if len(rest) == 0 {
				continue
			}
			if err := d.fetch(ctx, m, rest); err != nil {
				return err
			}
		}
	})
}

// moved counts bytes that were received.
func (d *download) moved(n int) {
	d.bytes.Add(int64(n))
	d.meter.moved(int64(n))
}

// summed takes the machine's checksum of a file.
func (d *download) summed(i int, sum [32]byte) error {
	d.sums.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &d.t.all[i]
	switch e.state {
	case twin:
		same, err := d.identical(e, sum)
		if err != nil {
			return err
		}
		if e.sum, e.known = sum, true; !same {
			e.state = wanted
			return nil
		}
		e.state = settled
		d.meter.moved(e.size)
		d.meter.file()
	case received:
		return d.compare(e, sum)
	default:
		e.sum, e.known = sum, true
	}
	return nil
}

// arrived takes note of a file that is whole, as far as its length tells.
func (d *download) arrived(i int) error {
	e := &d.t.all[i]
	sum, err := d.parts.whole(e.name, e.size)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.stale || !e.open() { // meanwhile it could not be summed
		return nil
	}
	if e.known {
		return d.compare(e, sum)
	}
	e.sum, e.state = sum, received
	return nil
}

// compare gives a file its name if both checksums, of which e has one, are the same. d.mu is held.
func (d *download) compare(e *entry, sum [32]byte) error {
	if e.sum != sum {
		d.miss(e)
		return nil
	}
	if err := d.parts.place(e.name, d.t.dest(e), e.exec); err != nil {
		return err
	}
	e.state = settled
	d.meter.file()
	return nil
}

// identical reports whether the file at the destination has the checksum, and sees to its mode.
func (d *download) identical(e *entry, sum [32]byte) (bool, error) {
	name := filepath.FromSlash(d.t.dest(e))
	f, err := d.root.Open(name)
	if err != nil {
		return false, locally(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, locally(err)
	}
	if [32]byte(h.Sum(nil)) != sum {
		return false, nil
	}
	info, err := f.Stat()
	if err == nil && e.exec != (info.Mode()&0o111 != 0) {
		m := info.Mode() &^ 0o111
		if e.exec {
			m |= m & 0o444 >> 2
		}
		err = d.root.Chmod(name, m)
	}
	return true, locally(err)
}

// mode is what is left of a file's permissions on the way; the umask takes more of them.
func mode(exec bool) fs.FileMode {
	if exec {
		return 0o755
	}
	return 0o644
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

// pause waits for d or the context.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
