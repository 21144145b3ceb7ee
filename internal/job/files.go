package job

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var placeName = regexp.MustCompile(`^(any|work|outputs|put\.[0-9a-f]{1,64})$`)

func validPlace(place string) bool { return placeName.MatchString(place) }

// checkPath refuses what no verb may be asked about.
func checkPath(run, path string) error {
	if !validRun(run) {
		return &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	}
	if path == "" || !inside(path) || strings.ContainsRune(path, 0) || len(path) > 4000 {
		return &FieldError{"path", "must be relative and stay inside the run"}
	}
	return nil
}

// codec is how bytes travel.
func codec(gzip bool) string {
	if gzip {
		return "gzip"
	}
	return "plain"
}

// Get writes the named files of a place as tar archives, one after the other, compressed as a whole with gzip. What
// cannot be read is left out, and a file that changes may come with another length; the caller looks.
func Get(ctx context.Context, m Machine, run, place string, gzip bool, names []string, w io.Writer) error {
	if err := checkPath(run, "."); err != nil {
		return err
	}
	return pour(ctx, m, func() io.Reader { return &list{names: names} }, w, "get", run, place, codec(gzip))
}

// Tail writes a file of a place from offset on.
func Tail(ctx context.Context, m Machine, run, place, name string, gzip bool, offset int64, w io.Writer) error {
	if err := checkPath(run, name); err != nil {
		return err
	}
	return pour(ctx, m, nil, w, "tail", run, place, codec(gzip), strconv.FormatInt(offset, 10), name)
}

// pour runs a verb whose reply is bytes to the end of stdout.
func pour(ctx context.Context, m Machine, stdin func() io.Reader, w io.Writer, verb ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &stream{tar: w, stop: cancel}
	err := executeWith(ctx, m, func() (io.Reader, io.Writer) { return from(stdin), out }, verb...)
	if out.failed != nil {
		return out.failed
	}
	if err == nil && !out.raw {
		err = fmt.Errorf("%w (%s)", errDamaged, verb[0])
	}
	return err
}

// Put unpacks a tar in the place [Waiting] of the token; r is called once, or again when nothing of it was read. The
// text is the machine's last word, such as that its disk is full: whether all is there is for the caller to see. A run
// that has ended, or that works in a directory of its caller's, takes nothing: *Refused.
func Put(ctx context.Context, m Machine, run, token string, gzip bool, r func() io.Reader) (text string, err error) {
	return putFrom(ctx, m, r, "put", run, token, codec(gzip))
}

// PatchUnit is what offsets of [Patch] are multiples of.
const PatchUnit = 64 << 10

// Patch writes a file that waits from offset on, a multiple of PatchUnit, and sets its permission bits.
func Patch(ctx context.Context, m Machine, run, token, name string, gzip bool, offset int64, perm uint32, r func() io.Reader) (text string, err error) {
	if err := checkPath(run, name); err != nil {
		return "", err
	}
	return putFrom(ctx, m, r, "patch", run, token, codec(gzip), strconv.FormatInt(offset, 10), fmt.Sprintf("%o", perm), name)
}

func putFrom(ctx context.Context, m Machine, r func() io.Reader, verb ...string) (string, error) {
	if err := checkPath(verb[1], "."); err != nil {
		return "", err
	}
	lines, err := askFrom(ctx, m, r, verb...)
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindPut) {
		err = errDamaged
	}
	if err != nil {
		return "", err
	}
	return clip(lines[0].Fields["text"]), nil
}

// Move renames everything that waits for the token, but for the files to drop, to its place in the job's directory.
// *Refused: something stands in
// the way, or the way leads out of the run by a link; what was moved before stays moved.
func Move(ctx context.Context, m Machine, run, token string, drop ...string) error {
	if err := checkPath(run, "."); err != nil {
		return err
	}
	lines, err := askFrom(ctx, m, func() io.Reader { return &list{names: drop} }, "move", run, token)
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindMoved) {
		err = errDamaged
	}
	return err
}

// from is the next stdin; nil: none.
func from(stdin func() io.Reader) io.Reader {
	if stdin == nil {
		return nil
	}
	return stdin()
}

// list reads as the names, each ended by a NUL and begun by "./", so that none is taken for an option.
type list struct {
	names []string
	buf   []byte
}

func (l *list) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if len(l.buf) == 0 {
			if len(l.names) == 0 {
				break
			}
			l.buf = append(append(append(l.buf[:0], "./"...), l.names[0]...), 0)
			l.names = l.names[1:]
		}
		k := copy(b[n:], l.buf)
		l.buf, n = l.buf[k:], n+k
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// parseList splits what list reads as.
func parseList(b []byte) (names []string) {
	for part := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		names = append(names, strings.TrimPrefix(string(part), "./"))
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// rows reads a reply of lines of ours and rows between them, of any length in all, and hands each on as it comes.
type rows struct {
	line  func(reply) error
	row   func(string) error
	ended func() // called at the reply's end, whatever it was

	stop   context.CancelFunc
	buf    []byte
	over   bool // the end line was read
	begun  bool // a line of ours that is no noise was read
	failed error
}

func (r *rows) run(ctx context.Context, m Machine, stdin func() io.Reader, verb ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.stop = cancel
	err := executeWith(ctx, m, func() (io.Reader, io.Writer) { return from(stdin), r }, verb...)
	if r.ended != nil {
		r.ended()
	}
	switch {
	case r.failed != nil:
		return r.failed
	case err == nil && !r.over:
		return fmt.Errorf("%w (%s)", errDamaged, verb[0])
	}
	return err
}

// Write never returns an error before failed is set.
func (r *rows) Write(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	if r.failed = r.take(p); r.failed != nil {
		r.finish()
		r.stop()
		return 0, r.failed
	}
	return len(p), nil
}

func (r *rows) finish() {
	if r.ended != nil {
		r.ended()
	}
}

func (r *rows) take(p []byte) error {
	for len(p) > 0 && !r.over {
		head, rest, whole := bytes.Cut(p, []byte("\n"))
		if len(r.buf)+len(head) > maxLine {
			return fmt.Errorf("%w: a line without an end", errDamaged)
		}
		if !whole {
			r.buf = append(r.buf, head...)
			return nil
		}
		row := string(head)
		if len(r.buf) > 0 {
			row = string(append(r.buf, head...))
			r.buf = r.buf[:0]
		}
		p = rest
		if err := r.each(row); err != nil {
			return err
		}
	}
	return nil
}

func (r *rows) each(row string) error {
	l, ours := parseLine(row)
	switch {
	case !ours && !r.begun: // start-up noise
		return nil
	case !ours:
		return r.row(row)
	case l.Kind == kindEnd:
		r.over = true
		r.finish()
		return nil
	case l.Kind == kindAbsent: // the call is repeated after an install
		r.finish()
		return nil
	}
	if err := l.err(); err != nil {
		return err
	}
	if err := r.line(l); err != nil {
		return err
	}
	r.begun = r.begun || l.Kind == kindTree || l.Kind == kindSums
	return nil
}
