package local

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// keepFor is how long the files of an instance stay after its end.
	keepFor = 7 * 24 * time.Hour
	// staleAfter is when a directory that is being made or removed was left behind by a crash.
	staleAfter = time.Hour

	newPrefix  = ".new-"  // being made
	gonePrefix = ".gone-" // being removed

	// A sweep is bounded, for a launch waits for it.
	maxLooked, maxRemoved = 200, 4
)

// sweep removes what ended long ago: a few directories, each proven to be ours by its record and its end,
// and what crashes left half made or half removed. It follows no link, and what it cannot remove it
// leaves to the next.
func (p *Provider) sweep(ctx context.Context) {
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) == 0 {
		return
	}
	removed, first := 0, rand.IntN(len(entries)) // the same few must not be looked at for ever
	for n := range min(len(entries), maxLooked) {
		e := entries[(first+n)%len(entries)]
		if !e.IsDir() || removed == maxRemoved || ctx.Err() != nil {
			continue
		}
		gone := filepath.Join(p.dir, e.Name())
		switch name := e.Name(); {
		case strings.HasPrefix(name, newPrefix), strings.HasPrefix(name, gonePrefix):
			if fi, err := e.Info(); err != nil || p.now().Sub(fi.ModTime()) < staleAfter {
				continue
			}
		case validID(name) && p.longEnded(ctx, name):
			// The rename takes it out of every list at once: nobody sees half of it.
			gone = filepath.Join(p.dir, gonePrefix+name)
			if os.Rename(p.path(name), gone) != nil {
				continue
			}
		default:
			continue
		}
		removed++
		_ = os.RemoveAll(gone)
	}
}

// longEnded reports whether the instance is ours, whole, and ended more than keepFor ago. One that nobody
// has looked at since its lifetime was over is looked at now.
func (p *Provider) longEnded(ctx context.Context, id string) bool {
	r, err := p.read(id)
	if err != nil {
		return false
	}
	e, err := p.readEnd(id, endedFile)
	if err == nil && e == nil && p.now().Sub(r.Launched.Add(r.Lifetime)) > keepFor {
		if _, err = p.look(ctx, r); err == nil {
			e, err = p.readEnd(id, endedFile)
		}
	}
	return err == nil && e != nil && p.now().Sub(e.At) > keepFor
}
