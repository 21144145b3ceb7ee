package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"runctl"
	"runctl/examples/runctl/cli/safe"
)

// Names of the saved log within a run's directory. It is renamed when all is collected, unless the job put
// out a file of the same name itself.
const (
	logName = "log"
	partLog = "log.runctl"
)

// jobOut is stdout for a job's bytes: made safe for a terminal, as events with --json, else unchanged.
type jobOut struct {
	a    *app
	term *safe.Writer // stdout, when it is a terminal
}

func (a *app) newJobOut() *jobOut {
	o := &jobOut{a: a}
	if a.outTTY && !a.opt.raw && !a.opt.json {
		o.term = safe.NewWriter(a.stdout)
	}
	return o
}

func (o *jobOut) write(offset int64, data []byte) (err error) {
	switch {
	case o.a.opt.json:
		o.a.json.logEvent(offset, data)
	case o.term != nil:
		_, err = o.term.Write(data)
	default:
		_, err = o.a.stdout.Write(data)
	}
	return err
}

// close shows what was held back.
func (o *jobOut) close() {
	if o.term != nil {
		_ = o.term.Close()
	}
}

// sink takes a job's bytes to stdout, unchanged unless stdout is a terminal, and to the saved log.
type sink struct {
	x    *session
	rec  *record
	gate sync.Mutex // held while a question is open

	mu   sync.Mutex
	out  *jobOut  // nil: nobody reads any more
	file *os.File // nil: not saved
	next int64
}

// openSink opens the way out of a run's log. The sink works even when the log cannot be saved.
func (x *session) openSink(rec *record, save bool) (*sink, error) {
	s := &sink{x: x, rec: rec, out: x.newJobOut()}
	if !save {
		return s, nil
	}
	if err := os.MkdirAll(rec.OutDir, 0o755); err != nil {
		return s, err
	}
	f, err := os.Create(filepath.Join(rec.OutDir, partLog))
	if err != nil {
		return s, err
	}
	s.file = f
	return s, nil
}

func (s *sink) pause()  { s.gate.Lock() }
func (s *sink) resume() { s.gate.Unlock() }

func (s *sink) offset() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// copy prints the log from where it stands to its end. An error is only said: what counts is the receipt.
func (s *sink) copy(ctx context.Context, run *runctl.Run) {
	for c, err := range run.Logs(ctx, runctl.LogQuery{Offset: s.offset(), Follow: true}) {
		if err != nil {
			if ctx.Err() == nil {
				s.x.say.warnf("%s: its log was cut at byte %d: %v", s.rec.Name, s.offset(), err)
			}
			return
		}
		s.gate.Lock()
		s.chunk(c)
		s.gate.Unlock()
	}
}

func (s *sink) chunk(c runctl.LogChunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Lost > 0:
		s.x.say.warnf("%s: %d bytes of its log before byte %d are lost", s.rec.Name, c.Lost, c.Offset)
	case c.Lost < 0:
		s.x.say.warnf("%s: some of its log before byte %d is lost", s.rec.Name, c.Offset)
	}
	s.next = c.Offset + int64(len(c.Data))
	if s.file != nil {
		if _, err := s.file.Write(c.Data); err != nil {
			s.x.say.warnf("%s: the log is not saved: %v", s.rec.Name, err)
			s.drop()
		}
	}
	if s.out != nil && s.out.write(c.Offset, c.Data) != nil {
		// Nobody reads any more. The run is followed to its end all the same, so that it is collected and its
		// machine ended.
		s.out = nil
	}
}

// flush shows what a terminal was not given yet.
func (s *sink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		s.out.close()
	}
}

// save closes the saved log and says in the record where it is.
func (s *sink) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return
	}
	path, final := s.file.Name(), filepath.Join(s.rec.OutDir, logName)
	err := errors.Join(s.file.Sync(), s.file.Close())
	s.file = nil
	if _, own := os.Lstat(final); err == nil && (errors.Is(own, os.ErrNotExist) || s.rec.Log == final) {
		err, path = os.Rename(path, final), final
	}
	if err != nil {
		s.x.say.warnf("%s: the log is not saved: %v", s.rec.Name, err)
		return
	}
	s.rec.Log = path
}

// close gives up what was not finished.
func (s *sink) close() {
	if !s.mu.TryLock() {
		return // a reader that does not read holds it; the process ends
	}
	defer s.mu.Unlock()
	s.out = nil
	s.drop()
}

func (s *sink) drop() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
