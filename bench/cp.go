package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"runctl"
	"runctl/internal/enginetest"
)

const (
	cpBytes  = 512 << 20
	cpRounds = 7
)

// benchCp moves one file that does not compress, from a machine and to it, by runctl and by cat through ssh, in turns.
// Each copy makes its own connection and ends with a file at the other end, in memory.
func benchCp(ctx context.Context, t *tb) string {
	s, run, attach := startOverSSH(ctx, t, fmt.Sprintf("head -c %d /dev/urandom >big && echo there && exec sleep 3600", cpBytes))
	t.Cleanup(func() { _ = run.Cancel(context.WithoutCancel(ctx), time.Second) })
	awaitLine(ctx, t, run)
	work, err := filepath.Glob(filepath.Join(s.Home, ".runctl", "run", "*", "job", "work"))
	t.must(err)
	if len(work) != 1 {
		t.Fatalf("found %d jobs", len(work))
	}
	c := &copies{ctx: ctx, t: t, s: s, attach: attach, work: work[0], here: t.TempDir()}
	c.get(true)
	var rows strings.Builder
	for _, way := range []struct {
		name string
		do   func(ours bool) float64
	}{{"from the machine", c.get}, {"to the machine", c.put}} {
		var ours, theirs, rates []float64
		for range cpRounds {
			a, b := way.do(true), way.do(false)
			ours, theirs, rates = append(ours, a), append(theirs, b), append(rates, b/a)
		}
		fmt.Fprintf(&rows, "| %s | %.2f s | %.2f s | %.2f | %.2f to %.2f |\n", way.name, quantile(ours, 0.5), quantile(theirs, 0.5), quantile(rates, 0.5), quantile(rates, 0), quantile(rates, 1))
	}
	return machine([]string{"ssh", "-V"}) + fmt.Sprintf(`
A file of %d MiB that does not compress, both ends on this computer, in memory (tmpfs), over its sshd: Run.Download against
`+"`ssh host cat FILE >COPY`, and Run.Upload against `ssh host 'cat >COPY' <FILE`"+`, in turns; medians of %d rounds. The login is measured;
of runctl also that the machine says what there is, and the SHA-256 of the file at both ends. Rates are of each round: 1 is cat's,
and more is faster.

| direction | runctl | ssh cat | rate, to cat | least to most |
| --- | --- | --- | --- | --- |
%s`, cpBytes>>20, cpRounds, rows.String())
}

// copies are the two ways in both directions. Each returns how many seconds it took.
type copies struct {
	ctx    context.Context
	t      *tb
	s      *enginetest.Server
	attach func(func(*runctl.Run))
	work   string // the job's directory
	here   string
}

// get copies big to this side.
func (c *copies) get(ours bool) float64 {
	to := filepath.Join(c.here, "big")
	c.t.must(os.RemoveAll(to))
	return c.timed(to, func() {
		if ours {
			c.attach(func(run *runctl.Run) { c.t.must(run.Download(c.ctx, "big", c.here)) })
			return
		}
		f, err := os.Create(to)
		c.t.must(err)
		cat := sshCommand(c.ctx, c.s, "cat "+filepath.Join(c.work, "big"))
		cat.Stdout = f
		c.t.must(cat.Run())
		c.t.must(f.Close())
	})
}

// put copies big to the machine, under another name.
func (c *copies) put(ours bool) float64 {
	from, to := filepath.Join(c.here, "big"), filepath.Join(c.work, "copy")
	c.t.must(os.RemoveAll(to))
	return c.timed(to, func() {
		if ours {
			c.attach(func(run *runctl.Run) { c.t.must(run.Upload(c.ctx, from, ".", runctl.TransferOptions{As: "copy"})) })
			return
		}
		f, err := os.Open(from)
		c.t.must(err)
		defer f.Close()
		cat := sshCommand(c.ctx, c.s, "cat >"+to)
		cat.Stdin = f
		c.t.must(cat.Run())
	})
}

// timed is how many seconds a copy takes, which must be as long as what was copied.
func (c *copies) timed(to string, copy func()) float64 {
	began := time.Now()
	copy()
	took := time.Since(began).Seconds()
	info, err := os.Stat(to)
	c.t.must(err)
	if info.Size() != cpBytes {
		c.t.Fatalf("%d bytes arrived, not %d", info.Size(), cpBytes)
	}
	return took
}

// awaitLine returns when the job has said something.
func awaitLine(ctx context.Context, t *tb, run *runctl.Run) {
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
		t.must(err)
		if strings.Contains(string(chunk.Data), "\n") {
			return
		}
	}
	t.Fatal("the job ended")
}
