package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"runctl/internal/job"
)

// Upload copies a file or tree of this computer's to a directory below the job's, of a run that goes on. What comes
// waits on the machine until all of it has the checksums that it has here, and is renamed then. What is there already
// and the same is not sent; what a cut left is gone on from, also by a later call.
func Upload(ctx context.Context, link Link, from, to string, o Options) (Outcome, error) {
	src, err := openSource(from, o)
	if err != nil {
		return Outcome{}, err
	}
	defer src.root.Close()
	u := &upload{link: link, root: src.root, t: src.table, to: to, meter: newMeter(o.Progress)}
	u.token = u.name()
	u.meter.total(u.t.files, u.t.bytes)
	err = u.link.persist(ctx, u.done.Load, u.step)
	if err == nil {
		u.meter.end()
	}
	return Outcome{Skipped: u.t.skipped, Changed: u.gone}, over(err)
}

type upload struct {
	link  Link
	root  *os.Root
	t     *table // entries are looked up by their names here; sum is of what was sent last
	to    string
	token string // names the place where it waits
	zip   bool
	meter *meter

	compared bool    // with what is at the destination
	there    []int64 // how much of each file waits on the machine; -1: nothing, or with other permissions
	gone     Names
	packed   bool // the directories were sent
	unsteady int  // how often what was sent last had been sent before
	drop     []string
	done     atomic.Int64 // grows with what has arrived
}

// name is the same for the same files, so that a later call finds what an earlier one left.
func (u *upload) name() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", u.to, u.t.o.As)
	for i := range u.t.all {
		e := &u.t.all[i]
		fmt.Fprintf(h, "%q %d %t %t\n", e.name, e.size, e.exec, e.dir)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// remote is what an entry is called below the job's directory.
func (u *upload) remote(e *entry) string { return path.Join(u.to, u.t.dest(e)) }

// find is the place of what is called so below the job's directory.
func (u *upload) find(remote string) (int, bool) {
	if u.t.below != "." { // a single file
		return 0, len(u.t.all) == 1 && remote == u.remote(&u.t.all[0])
	}
	if at := path.Join(u.to, u.t.o.As); at != "." {
		name, ok := strings.CutPrefix(remote, at+"/")
		if !ok {
			return 0, false
		}
		remote = name
	}
	return u.t.find(remote)
}

// step does all that is left to do over one connection.
func (u *upload) step(ctx context.Context, m job.Machine) error {
	for first := true; first || u.open(); first = false {
		if err := u.look(ctx, m); err != nil {
			return err
		}
		if !u.compared {
			if err := u.compare(ctx, m); err != nil {
				return err
			}
			u.compared = true
		}
		open := u.t.each((*entry).open)
		said, err := u.send(ctx, m, open)
		if err != nil {
			return err
		}
		if err := u.verify(ctx, m, open, said); err != nil {
			return err
		}
		if u.unsteady > 0 {
			if err := u.t.o.pause(ctx, 150*time.Millisecond<<u.unsteady); err != nil {
				return err
			}
		}
	}
	return watched(ctx, moveLimit, func(ctx context.Context, _ func()) error {
		return job.Move(ctx, m, u.link.Run, u.token, u.drop...)
	})
}

func (u *upload) open() bool { return len(u.t.each((*entry).open)) > 0 }

// look asks what waits on the machine.
func (u *upload) look(ctx context.Context, m job.Machine) error {
	u.there = make([]int64, len(u.t.all))
	for i := range u.there {
		u.there[i] = -1
	}
	var bytes int64
	seen := 0
	err := watched(ctx, stallLimit, func(ctx context.Context, touch func()) error {
		info, err := job.Tree(ctx, m, u.link.Run, job.Waiting(u.token), ".", func(e job.Entry) error {
			touch()
			if seen++; seen > 2*len(u.t.all)+1000 {
				return refuse("the machine lists more than was ever sent")
			}
			i, ok := u.find(e.Name)
			if !ok || e.Kind != job.EntryFile {
				return nil
			}
			f := &u.t.all[i]
			whole := e.Size == f.size && e.Perm == uint32(mode(f.exec))
			if f.dir || f.redo || e.Size > f.size || !whole && e.Size < job.PatchUnit {
				return nil // worth nothing: it is sent anew
			}
			u.there[i] = e.Size
			bytes += e.Size
			if !whole && e.Size == f.size {
				u.there[i]-- // but for its permissions: its end is sent again
			}
			return nil
		})
		u.zip = info.Gzip && info.Trip > slowTrip && u.t.shrinks()
		return err
	})
	var refused *job.Refused
	if errors.As(err, &refused) && refused.Code == job.RefusedNotFound {
		err = nil // nothing waits
	}
	files := 0
	for _, i := range u.t.each(func(e *entry) bool { return e.state == settled }) {
		files++
		if u.there[i] < 0 {
			bytes += u.t.all[i].size
		}
	}
	u.done.Store(max(u.done.Load(), bytes/worthwhile+int64(files)))
	u.meter.set(files, bytes)
	return err
}

// compare asks for the sums of files that are at the destination already.
func (u *upload) compare(ctx context.Context, m job.Machine) error {
	return u.sums(ctx, m, job.PlaceWork, u.t.each((*entry).open), func(e *entry, sum [32]byte) error {
		same, err := u.is(e, sum)
		if same {
			e.state = settled
			u.meter.file()
			u.meter.moved(e.size)
		}
		return err
	})
}

// is reports whether the file here has the checksum.
func (u *upload) is(e *entry, sum [32]byte) (bool, error) {
	if !e.known {
		f, err := u.outgoing(e)
		if err != nil || f == nil {
			return false, err
		}
		defer f.Close()
		if err := f.send(e, 0, io.Discard); err != nil {
			return false, err
		}
	}
	return e.sum == sum, nil
}

// sums calls each for the files at these places that a place of the machine has.
func (u *upload) sums(ctx context.Context, m job.Machine, place string, places []int, each func(*entry, [32]byte) error) error {
	var longest int64
	asked, names := u.t.set(places), make([]string, len(places))
	for n, i := range places {
		names[n] = u.remote(&u.t.all[i])
		longest = max(longest, u.t.all[i].size)
	}
	if len(places) == 0 {
		return nil
	}
	return watched(ctx, hashing(longest), func(ctx context.Context, touch func()) error {
		return job.Sums(ctx, m, u.link.Run, place, names, func(name string, sum [32]byte) error {
			touch()
			i, ok := u.find(name)
			if !ok || !asked[i] {
				return refuse("the machine sends a checksum of %q, which was not asked for; refused", shown(name))
			}
			asked[i] = false
			return each(&u.t.all[i], sum)
		})
	})
}

// verify asks for the sums of what waits. What is not as it was sent is sent again, and given up after some tries. said
// is what the machine said when it was sent.
func (u *upload) verify(ctx context.Context, m job.Machine, places []int, said string) error {
	u.unsteady = 0
	err := u.sums(ctx, m, job.Waiting(u.token), places, func(e *entry, sum [32]byte) error {
		same, err := u.is(e, sum)
		if same && !e.stale {
			e.state = settled
			u.meter.file()
			u.done.Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range places {
		e := &u.t.all[i]
		if e.state == settled {
			continue
		}
		if said != "" && !e.stale {
			return refuse("the machine could not keep %q, perhaps for lack of room: %s", shown(u.remote(e)), shown(said))
		}
		e.stale, e.known, e.redo = false, false, true
		e.tries++
		if u.unsteady = max(u.unsteady, int(e.tries)); e.tries >= tries {
			e.state = failed
			u.gone.add(e.name)
			u.drop = append(u.drop, u.remote(e))
		}
	}
	return nil
}
