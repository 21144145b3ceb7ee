package providertest

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"runctl"
)

var execMutants = []mutant{
	{"exit code swallowed", "Exec/ExitCode", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			_, err := m.Exec(ctx, argv, in, out, errs)
			return 0, err
		}
	}},
	{"exit code as an error", "Exec/ExitCode", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			code, err := m.Exec(ctx, argv, in, out, errs)
			if code != 0 {
				err = errors.New("exit status")
			}
			return code, err
		}
	}},
	{"output as text", "Exec/Bytes", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			return m.Exec(ctx, argv, in, writer(func(b []byte) {
				_, _ = io.WriteString(out, strings.ToValidUTF8(string(b), "\uFFFD"))
			}), errs)
		}
	}},
	{"line ends of a terminal", "Exec/Bytes", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			return m.Exec(ctx, argv, in, writer(func(b []byte) { _, _ = io.WriteString(out, strings.ReplaceAll(string(b), "\r\n", "\n")) }), errs)
		}
	}},
	{"input cut at 64 KiB", "Exec/Bytes", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			if in != nil {
				in = io.LimitReader(in, 64<<10)
			}
			return m.Exec(ctx, argv, in, out, errs)
		}
	}},
	{"outputs merged", "Exec/Streams", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, _ io.Writer) (int, error) {
			return m.Exec(ctx, argv, in, out, out)
		}
	}},
	{"arguments joined by spaces", "Exec/Arguments", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			return m.Exec(ctx, strings.Fields(strings.Join(argv, " ")), in, out, errs)
		}
	}},
	{"empty argument dropped", "Exec/Arguments", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			return m.Exec(ctx, slices.DeleteFunc(slices.Clone(argv), func(a string) bool { return a == "" }), in, out, errs)
		}
	}},
	{"command outlives the context", "Exec/Cancel", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			return m.Exec(unending{context.WithoutCancel(ctx), w.over}, argv, in, out, errs)
		}
	}},
	{"cancelled command is a success", "Exec/Cancel", func(w *wrong) {
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			code, err := m.Exec(ctx, argv, in, out, errs)
			if ctx.Err() != nil {
				return 0, nil
			}
			return code, err
		}
	}},
	{"one command at a time", "Exec/Concurrent", func(w *wrong) {
		lock := make(chan struct{}, 1) // a sync.Mutex would hold up virtual time
		w.exec = func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
			lock <- struct{}{}
			defer func() { <-lock }()
			return m.Exec(ctx, argv, in, out, errs)
		}
	}},
	{"Close ends the machine", "Exec/Close", func(w *wrong) {
		w.close = func(id string) error { return w.Provider.Terminate(context.Background(), id) }
	}},
	{"Close pauses the machine", "Exec/Close", func(w *wrong) {
		w.close = func(id string) error { return w.Provider.Stop(context.Background(), id) }
	}},
	{"command on a machine that is gone is a success", "Exec/Ended", func(w *wrong) {
		w.connect = func(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
			m, err := w.Provider.Connect(ctx, i, a)
			if errors.Is(err, runctl.ErrNotFound) {
				return deaf{}, nil
			}
			return m, err
		}
	}},
}

// deaf is a machine that takes everything for done.
type deaf struct{}

func (deaf) Exec(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
	return 0, nil
}
func (deaf) Close() error { return nil }

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// changeStatus edits what Status and Wait return.
func (w *wrong) changeStatus(f func(*runctl.Status)) {
	w.status = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
		s, err := p.Status(ctx)
		f(&s)
		return s, err
	}
	w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
		s, err := p.Wait(ctx)
		f(&s)
		return s, err
	}
}

// changeReceipt edits the receipts of Status and Wait.
func (w *wrong) changeReceipt(f func(*runctl.Receipt)) {
	w.changeStatus(func(s *runctl.Status) {
		if s.Receipt != nil {
			f(s.Receipt)
		}
	})
}

var jobMutants = []mutant{
	{"exit code always 0", "Job/ExitCode", func(w *wrong) { w.changeReceipt(func(r *runctl.Receipt) { r.ExitCode = 0 }) }},
	{"receipt without a cause", "Job/ExitCode", func(w *wrong) {
		w.changeReceipt(func(r *runctl.Receipt) {
			if r.Cause == runctl.CauseExit {
				r.Cause = ""
			}
		})
	}},
	{"ended and alive", "Job/Dead", func(w *wrong) { w.changeStatus(func(s *runctl.Status) { s.Live = runctl.Alive }) }},
	{"no evidence", "Job/Dead", func(w *wrong) { w.changeStatus(func(s *runctl.Status) { s.Evidence = "" }) }},
	{"receipt before the end", "Job/NoEarlyReceipt", func(w *wrong) {
		w.status = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
			s, err := p.Status(ctx)
			if s.Receipt == nil {
				s.Receipt = &runctl.Receipt{Cause: runctl.CauseExit}
			}
			return s, err
		}
	}},
	{"unknown taken for dead", "Job/NoEarlyReceipt", func(w *wrong) { w.changeStatus(func(s *runctl.Status) { s.Live = runctl.Dead }) }},
	{"Wait is one look", "Job/WaitBlocks", func(w *wrong) {
		w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) { return p.Status(ctx) }
	}},
	{"Wait polls", "Job/WaitHolds", func(w *wrong) {
		w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				s, err := p.Status(ctx)
				if err != nil || s.Receipt != nil {
					return s, err
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return s, ctx.Err()
				}
			}
		}
	}},
	{"Wait ignores the context", "Job/WaitCancel", func(w *wrong) {
		w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
			return p.Wait(context.WithoutCancel(ctx))
		}
	}},
	{"Wait cut is no error", "Job/WaitCancel", func(w *wrong) {
		w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
			s, err := p.Wait(ctx)
			if ctx.Err() != nil {
				return runctl.Status{}, nil
			}
			return s, err
		}
	}},
	{"the end of Wait's context ends the job", "Job/WaitCancel", func(w *wrong) {
		w.wait = func(p runctl.Process, ctx context.Context) (runctl.Status, error) {
			s, err := p.Wait(ctx)
			if ctx.Err() != nil {
				_ = p.Cancel(context.WithoutCancel(ctx), 0)
			}
			return s, err
		}
	}},
	{"Cancel does nothing", "Job/Cancel", func(w *wrong) {
		w.cancel = func(runctl.Process, context.Context, time.Duration) error { return nil }
	}},
	{"cancelled is a success", "Job/Cancel", func(w *wrong) {
		w.changeReceipt(func(r *runctl.Receipt) {
			if r.Cause == runctl.CauseCancel {
				r.ExitCode, r.Cause = 0, runctl.CauseExit
			}
		})
	}},
	{"log offset ignored", "Job/LogOffset", func(w *wrong) {
		w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
			q.Offset = min(q.Offset, 0)
			return p.Logs(ctx, q)
		}
	}},
	{"log offsets count from the query", "Job/LogOffset", func(w *wrong) {
		w.changeChunks(func(q runctl.LogQuery, k *runctl.LogChunk) { k.Offset -= q.Offset })
	}},
	{"log goes on at the line's beginning", "Job/LogOffset", func(w *wrong) {
		w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
			if q.Offset > 0 {
				q.Offset -= q.Offset % 16
			}
			return p.Logs(ctx, q)
		}
	}},
	{"log repeated after a reconnect", "Job/LogFollow", func(w *wrong) {
		w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
			return func(yield func(runctl.LogChunk, error) bool) {
				times := 1
				if q.Follow {
					times = 2
				}
				for range times {
					for k, err := range p.Logs(ctx, q) {
						if !yield(k, err) || err != nil {
							return
						}
					}
				}
			}
		}
	}},
	{"log that follows ends early", "Job/LogFollow", func(w *wrong) {
		w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
			q.Follow = false
			return p.Logs(ctx, q)
		}
	}},
	{"negative offset is the beginning", "Job/LogNegative", func(w *wrong) {
		w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
			q.Offset = max(q.Offset, 0)
			return p.Logs(ctx, q)
		}
	}},
	{"log length 0 for unknown", "Job/LogBytes", func(w *wrong) { w.changeReceipt(func(r *runctl.Receipt) { r.LogBytes = 0 }) }},
	{"road forgotten by Get", "Job/Road", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			i.Road = runctl.RoadShell
			return err
		})
	}},
	{"List without exits", "Job/Exits", func(w *wrong) { w.edit(func(i *runctl.Instance) { i.Exit = nil }) }},
	{"exit of a job that goes on", "Job/Exits", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			if i.Exit == nil && i.Road == runctl.RoadJob {
				i.Exit = &runctl.Receipt{}
			}
			return err
		})
	}},
}

// changeChunks edits the chunks of a log.
func (w *wrong) changeChunks(f func(runctl.LogQuery, *runctl.LogChunk)) {
	w.logs = func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
		return func(yield func(runctl.LogChunk, error) bool) {
			for k, err := range p.Logs(ctx, q) {
				if err == nil {
					f(q, &k)
				}
				if !yield(k, err) {
					return
				}
			}
		}
	}
}

var stopMutants = []mutant{
	{"Stop does nothing", "Stop/Stops", func(w *wrong) {
		w.stop = func(ctx context.Context, id string) error {
			_, err := w.Provider.Get(ctx, id)
			return err
		}
	}},
	{"Start does nothing", "Stop/Starts", func(w *wrong) {
		w.start = func(ctx context.Context, id string) error {
			_, err := w.Provider.Get(ctx, id)
			return err
		}
	}},
	{"Stop of nothing is accepted", "Stop/Unknown", func(w *wrong) {
		w.stop = func(ctx context.Context, id string) error {
			if err := w.Provider.Stop(ctx, id); !errors.Is(err, runctl.ErrNotFound) {
				return err
			}
			return nil
		}
	}},
	{"Changed never fires", "Notify/Fires", func(w *wrong) {
		w.changed = func() <-chan struct{} { return make(chan struct{}) }
	}},
	{"Changed fires for ever", "Notify/Fires", func(w *wrong) {
		var once atomic.Bool
		over := make(chan struct{})
		close(over)
		w.changed = func() <-chan struct{} {
			if !once.Swap(true) {
				return w.Provider.Changed()
			}
			return over
		}
	}},
}
