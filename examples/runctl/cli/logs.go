package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
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
		return a.show(savedLog(rec.Log), f)
	}
	defer x.client.Close()
	run, err := x.client.Attach(ctx, rec.Ref)
	part := filepath.Join(rec.OutDir, partLog)
	if _, seen := os.Stat(part); seen == nil && errors.Is(err, runctl.ErrNotFound) {
		a.say.warnf("%s: its machine is gone; this is what was seen of its log", rec.Name)
		return a.show(savedLog(part), f)
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
	err = a.show(func(q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] { return run.Logs(own, q) }, f)
	if own.Err() != nil && ctx.Err() == nil {
		return &exitError{code: exitCtrlC}
	}
	return err
}

// logReader reads a log anew.
type logReader func(runctl.LogQuery) iter.Seq2[runctl.LogChunk, error]

// savedLog reads a log that was saved.
func savedLog(path string) logReader {
	return func(q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
		return func(yield func(runctl.LogChunk, error) bool) {
			f, err := os.Open(path)
			if err == nil {
				defer f.Close()
				_, err = f.Seek(q.Offset, io.SeekStart)
			}
			for buf, next := make([]byte, 64<<10), q.Offset; err == nil; {
				var n int
				n, err = f.Read(buf)
				if n > 0 && !yield(runctl.LogChunk{Offset: next, Data: buf[:n]}, nil) {
					return
				}
				next += int64(n)
			}
			if err != io.EOF {
				yield(runctl.LogChunk{}, err)
			}
		}
	}
}

// show prints what the flags ask for of a log.
func (a *app) show(read logReader, f logFlags) error {
	q := runctl.LogQuery{Offset: f.from}
	if f.tail >= 0 {
		t := newTail(f.tail)
		for c, err := range read(q) {
			if err != nil {
				return err
			}
			t.add(c.Offset, c.Data)
		}
		q.Offset = t.offset()
	}
	q.Follow = f.follow
	out := a.newJobOut()
	defer out.close()
	for c, err := range read(q) {
		if err != nil {
			return err
		}
		if c.Lost != 0 {
			a.say.warnf("some of the log before byte %d is lost", c.Offset)
		}
		if err := out.write(c.Offset, c.Data); isPipe(err) {
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
	n      int
	starts []int64 // of the last n lines
	end    int64
	inside bool // the next byte goes on with a line
}

func newTail(n int) *tail { return &tail{n: n} }

func (t *tail) add(offset int64, data []byte) {
	for len(data) > 0 {
		if !t.inside {
			t.starts = append(t.starts, offset)
			t.starts = t.starts[max(len(t.starts)-t.n, 0):]
		}
		n := bytes.IndexByte(data, '\n') + 1
		if t.inside = n == 0; t.inside {
			n = len(data)
		}
		offset, data = offset+int64(n), data[n:]
	}
	t.end = offset
}

// offset is where the last lines begin.
func (t *tail) offset() int64 { return append(t.starts, t.end)[0] }
