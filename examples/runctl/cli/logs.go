package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"runctl"
)

type logFlags struct {
	follow bool
	tail   int
	from   int64
}

func (a *app) logsCommand() *cobra.Command {
	var f logFlags
	c := newCommand("logs [RUN]", "Print a run's log as it is, also after its machine is gone", between(0, 1, "at most one run"),
		func(ctx context.Context, args []string) error { return a.logs(ctx, f, args) })
	c.ValidArgsFunction = a.completeRuns
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on until the run has ended")
	c.Flags().IntVar(&f.tail, "tail", -1, "only the last `N` lines")
	c.Flags().Int64Var(&f.from, "from", 0, "only what follows this `OFFSET` in bytes")
	a.addRaw(c)
	return c
}

func (a *app) logs(ctx context.Context, f logFlags, args []string) error {
	if f.tail >= 0 && f.from > 0 {
		return usagef("--tail and --from: give one of them")
	}
	if f.from < 0 || f.tail < -1 {
		return usagef("--from and --tail must not be negative")
	}
	x, rec, err := a.openRun(ctx, args)
	if err != nil {
		return err
	}
	if !rec.live() {
		if rec.Log == "" {
			return fmt.Errorf("%s: no log was saved (%s)", rec.Name, rec.Outcome)
		}
		if f.tail >= 0 {
			if f.from, err = savedTail(rec.Log, f.tail); err != nil {
				return err
			}
		}
		return a.printSaved(rec, f.from)
	}
	defer x.client.Close()
	run, err := x.client.Attach(ctx, rec.Ref)
	part := filepath.Join(rec.OutDir, partLog)
	if _, seen := os.Stat(part); seen == nil && errors.Is(err, runctl.ErrNotFound) {
		a.say.warnf("%s: its machine is gone; this is what was seen of its log", rec.Name)
		old := *rec
		old.Log = part
		return a.printSaved(&old, f.from)
	}
	if err != nil {
		return err
	}
	own, stop := context.WithCancel(ctx)
	defer stop()
	signals, end := a.notify()
	defer end()
	go func() { // an interrupt only stops watching
		select {
		case <-signals:
			stop()
		case <-own.Done():
		}
	}()
	err = x.stream(own, run, f)
	if own.Err() != nil && ctx.Err() == nil {
		return &exitError{code: exitCtrlC}
	}
	return err
}

// stream prints a live run's log.
func (x *session) stream(ctx context.Context, run *runctl.Run, f logFlags) error {
	q := runctl.LogQuery{Offset: f.from}
	if f.tail >= 0 {
		t := newTail(f.tail)
		for c, err := range run.Logs(ctx, q) {
			if err != nil {
				return err
			}
			t.add(c.Offset, c.Data)
		}
		q.Offset = t.offset()
	}
	q.Follow = f.follow
	out, done := x.jobOut()
	defer done()
	for c, err := range run.Logs(ctx, q) {
		if err != nil {
			return err
		}
		if c.Lost != 0 {
			x.say.warnf("some of the log before byte %d is lost", c.Offset)
		}
		if x.opt.json {
			x.json.logEvent(c.Offset, c.Data)
		} else if _, err := out.Write(c.Data); isPipe(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// isPipe reports whether whoever read stdout went away.
func isPipe(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) }

// tail finds where the last n lines of a stream begin, without keeping the stream.
type tail struct {
	starts []int64 // a ring of line starts
	next   int
	end    int64
	fresh  bool // the next byte begins a line
}

// maxTail bounds the memory of a tail.
const maxTail = 1 << 20

func newTail(n int) *tail { return &tail{starts: make([]int64, 0, min(n, maxTail)), fresh: true} }

func (t *tail) add(offset int64, data []byte) {
	for len(data) > 0 {
		if t.fresh && cap(t.starts) > 0 {
			if len(t.starts) < cap(t.starts) {
				t.starts = append(t.starts, offset)
			} else {
				t.starts[t.next] = offset
				t.next = (t.next + 1) % len(t.starts)
			}
		}
		n := bytes.IndexByte(data, '\n') + 1
		t.fresh = n > 0
		if n == 0 {
			n = len(data)
		}
		offset, data = offset+int64(n), data[n:]
	}
	t.end = offset
}

// offset is where the last lines begin.
func (t *tail) offset() int64 {
	if len(t.starts) == 0 {
		return t.end
	}
	return t.starts[t.next%len(t.starts)]
}

// savedTail is where the last n lines of a file begin.
func savedTail(path string, n int) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	t, buf, offset := newTail(n), make([]byte, 64<<10), int64(0)
	for {
		k, err := f.Read(buf)
		t.add(offset, buf[:k])
		offset += int64(k)
		if err != nil {
			return t.offset(), nil
		}
	}
}
