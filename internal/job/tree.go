package job

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The places of a run's files. Work is the job's directory; what is uploaded waits in [Waiting] until it is whole.
const (
	PlaceAny     = "any" // for [Tree] alone: in the job's directory, or else in its outputs; "." is the outputs
	PlaceWork    = "work"
	PlaceOutputs = "outputs"
)

// Waiting is the place of an upload, by its token of lower-case hexadecimal digits.
func Waiting(token string) string { return "put." + token }

// Entry is one thing that a machine says it has. Nothing of it has been checked.
type Entry struct {
	Name string // relative to the place, with slashes; of an odd one, what can be shown of it
	Kind EntryKind
	Size int64 // of a file, bytes
	Perm uint32
}

// EntryKind says what an entry is.
type EntryKind byte

// The kinds of entries.
const (
	EntryFile  EntryKind = iota
	EntryDir             // without what is in it: that has entries of its own
	EntryOther           // a link, device, fifo or socket
	EntryOdd             // its name has a control character or a backslash; nothing below it is listed
)

// TreeInfo is what [Tree] learns beside the entries.
type TreeInfo struct {
	Place string        // where the path was found
	Gzip  bool          // the machine has gzip
	Trip  time.Duration // one round trip on an open connection
}

// Tree calls each for everything at and below a path of the run, in no order, while it is being read; an error of each
// ends the call and is returned. A path that is not there or leads out of the run, also by a link, is *Refused; Gzip
// and Trip are then known too.
func Tree(ctx context.Context, m Machine, run, place, path string, each func(Entry) error) (info TreeInfo, err error) {
	if err := checkPath(run, path); err != nil {
		return info, err
	}
	var p *knock
	odd, begun := false, false
	out := &rows{line: func(l reply) error {
		switch l.Kind {
		case kindReady:
			p.ready()
		case kindPong:
			info.Trip, info.Gzip = p.trip(), l.Fields["gzip"] == "1"
		case kindTree:
			begun, info.Place = true, l.Fields["place"]
			if info.Place == PlaceAny || !validPlace(info.Place) {
				return errDamaged
			}
		case kindOdd:
			odd = true
		}
		return nil
	}, row: func(row string) error {
		if odd {
			return each(Entry{Name: strings.TrimPrefix(row, "./"), Kind: EntryOdd})
		}
		e, ok := parseEntry(row)
		if !ok || !begun {
			return fmt.Errorf("%w: no such row of a tree: %.80q", errDamaged, row)
		}
		return each(e)
	}}
	out.ended = func() { p.close() }
	err = out.run(ctx, m, func() io.Reader { p = newKnock(ctx); return p }, "tree", run, place, strings.TrimRight(path, "/"))
	if err == nil && !begun {
		err = fmt.Errorf("%w (tree)", errDamaged)
	}
	return info, err
}

// parseEntry reads "MODE SIZE NAME", the mode in hexadecimal as stat has it.
func parseEntry(row string) (e Entry, ok bool) {
	mode, rest, ok1 := strings.Cut(row, " ")
	size, name, ok2 := strings.Cut(rest, " ")
	m, err1 := strconv.ParseUint(mode, 16, 32)
	n, err2 := strconv.ParseInt(size, 10, 64)
	e = Entry{Name: strings.TrimPrefix(name, "./"), Size: n, Perm: uint32(m) & 0o7777}
	switch m & 0o170000 {
	case 0o100000:
	case 0o040000:
		e.Kind, e.Size = EntryDir, 0
	default:
		e.Kind, e.Size = EntryOther, 0
	}
	return e, ok1 && ok2 && err1 == nil && err2 == nil && n >= 0 && e.Name != ""
}

// formatEntry is what parseEntry reads.
func formatEntry(e Entry) string {
	mode := uint32(0o100000)
	if e.Kind == EntryDir {
		mode = 0o040000
	}
	return fmt.Sprintf("%x %d ./%s\n", mode|e.Perm, e.Size, e.Name)
}

// Sums calls each for the SHA-256 of the named files, in the order of the names. What cannot be read, or is no plain
// file any more, is left out.
func Sums(ctx context.Context, m Machine, run, place string, names []string, each func(name string, sum [32]byte) error) error {
	if err := checkPath(run, "."); err != nil {
		return err
	}
	begun := false
	out := &rows{line: func(l reply) error {
		begun = begun || l.Kind == kindSums
		return nil
	}, row: func(row string) error {
		name, sum, ok := parseSum(row)
		if !begun || !ok {
			return fmt.Errorf("%w: no checksum: %.80q", errDamaged, row)
		}
		return each(name, sum)
	}}
	err := out.run(ctx, m, func() io.Reader { return &list{names: names} }, "sums", run, place)
	if err == nil && !begun {
		err = fmt.Errorf("%w (sums)", errDamaged)
	}
	return err
}

// parseSum reads a row of sha256sum: the sum, a blank, a blank or a star, and the name.
func parseSum(row string) (name string, sum [32]byte, ok bool) {
	const digits = 2 * len(sum)
	if len(row) < digits+3 || row[digits] != ' ' || row[digits+1] != ' ' && row[digits+1] != '*' {
		return "", sum, false
	}
	for i := range sum {
		n, err := strconv.ParseUint(row[2*i:2*i+2], 16, 8)
		if err != nil {
			return "", sum, false
		}
		sum[i] = byte(n)
	}
	return strings.TrimPrefix(row[digits+2:], "./"), sum, true
}

// knock is the stdin of [Tree]: it gives its one line when the machine says that it is ready, and so measures a round
// trip. It never holds a call up for longer than knockLimit.
type knock struct {
	ctx   context.Context
	open  chan struct{}
	once  sync.Once
	limit *time.Timer
	mu    sync.Mutex
	begun time.Time
	done  bool
}

const knockLimit = 2 * time.Second

func newKnock(ctx context.Context) *knock {
	return &knock{ctx: ctx, open: make(chan struct{}), limit: time.NewTimer(knockLimit)}
}

// Read gives a line, once, and then the end.
func (p *knock) Read(b []byte) (int, error) {
	if p.done || len(b) == 0 {
		return 0, io.EOF
	}
	select {
	case <-p.open:
	case <-p.limit.C:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	p.begun = time.Now()
	p.mu.Unlock()
	p.done = true
	return copy(b, "\n"), nil
}

func (p *knock) ready() { p.once.Do(func() { close(p.open) }) }

// close lets go of whoever still waits.
func (p *knock) close() {
	p.ready()
	p.limit.Stop()
}

// trip is the time since the line was given; knockLimit when the answer came before the question.
func (p *knock) trip() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.IsZero() {
		return knockLimit
	}
	return time.Since(p.begun)
}
