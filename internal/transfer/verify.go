package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"runctl/internal/job"
)

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
	return d.link.persist(ctx, d.kept.Load, func(ctx context.Context, m job.Machine) error {
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

// gains counts the bytes of a file that are received from offset on, and as progress what another connection can go on
// from: not the beginning of a file that would be sent anew, nor bytes that come one at a time. So a machine that goes on
// cutting is given up.
func (d *download) gains(offset int64) func(n int) {
	return func(n int) {
		before := offset / worthwhile
		offset += int64(n)
		d.kept.Add(offset/worthwhile - before)
		d.meter.moved(int64(n))
	}
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
	d.kept.Add(1)
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
