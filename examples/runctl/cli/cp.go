package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runctl"
)

const cpHelp = `Copy a file or directory between a run and this computer. One of the two is RUN:PATH, and RUN may be left out when
one run is live.

From a run, PATH is relative to the job's directory, or else to its $RUNCTL_OUTPUT_DIR; without a PATH it is
everything in the latter. To a run, PATH is relative to the job's directory; without one, or with a / at its end, what
is copied keeps its own name there. A directory here that is there already gets what is copied into it.

Every file is checked against its SHA-256 before it gets its name. What is there already and the same is not copied
again; a copy that was cut or stopped goes on when the command is repeated. Links and devices are left out and named.`

type cpFlags struct {
	files int
	size  size
}

func (a *app) cpCommand() *cobra.Command {
	var f cpFlags
	c := newCommand("cp SRC DST", "Copy files between a run and this computer", between(2, 2, "what to copy, and where to"),
		func(ctx context.Context, args []string) error { return a.cp(ctx, f, args[0], args[1]) })
	c.Long = cpHelp
	c.Example = "  runctl cp train-7m2q:model.bin .\n  runctl cp train-7m2q: results/\n  runctl cp data/ train-7m2q:data"
	c.Flags().IntVar(&f.files, "max-files", 0, "refuse more than `N` files and directories (200000)")
	c.Flags().Var(&f.size, "max-size", "refuse more than this in all, in GiB (1T)")
	return c
}

// copying is one copy: which way, and how its paths are called where.
type copying struct {
	up        bool
	run, path string // there
	here      string
}

// parseCopy tells the two sides apart.
func parseCopy(src, dst string) (copying, error) {
	run, from, there := remotePath(src)
	run2, to, there2 := remotePath(dst)
	switch {
	case there && there2:
		return copying{}, usagef("cp: one of the two must be on this computer; copy to here first, then to the other run")
	case there:
		return copying{run: run, path: from, here: dst}, nil
	case there2:
		return copying{up: true, run: run2, path: to, here: src}, nil
	}
	return copying{}, usagef("cp: one of the two must be RUN:PATH, such as train-7m2q:model.bin")
}

// remotePath splits RUN:PATH. A path with a slash before its first colon is one of this computer's; of a reference,
// which has colons itself, the last colon counts.
func remotePath(word string) (run, path string, ok bool) {
	i := strings.IndexByte(word, ':')
	if strings.HasPrefix(word, "rc1:") {
		i = strings.LastIndexByte(word, ':')
	}
	if i < 0 || strings.ContainsAny(word[:i], `/\`) && !strings.HasPrefix(word, "rc1:") {
		return "", "", false
	}
	return word[:i], word[i+1:], true
}

func (a *app) cp(ctx context.Context, f cpFlags, src, dst string) error {
	c, err := parseCopy(src, dst)
	if err != nil {
		return err
	}
	var names []string
	if c.run != "" {
		names = []string{c.run}
	}
	x, rec, err := a.openRun(ctx, names)
	if err != nil {
		return err
	}
	if !rec.live() {
		return fmt.Errorf("%s: its machine is gone (%s); what was collected is in %s", rec.Name, rec.Outcome, a.pathText(rec.OutDir))
	}
	defer x.client.Close()
	run, err := x.client.Attach(ctx, rec.Ref)
	if err != nil {
		return err
	}
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	signals, stop := a.notify()
	defer stop()
	var sig os.Signal
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case sig = <-signals:
			cancel()
		case <-own.Done():
		}
	}()
	begun := a.now()
	b, err := x.copy(own, run, rec, c, runctl.TransferOptions{MaxFiles: f.files, MaxBytes: int64(f.size) << 20})
	cancel()
	<-watching
	if sig != nil && err != nil {
		return &exitError{signalExit(sig), errors.New("stopped; the same command goes on from there")}
	}
	return x.copied(rec, c, b, err, a.now().Sub(begun))
}

// copy does it.
func (x *session) copy(ctx context.Context, run *runctl.Run, rec *record, c copying, o runctl.TransferOptions) (*bar, error) {
	if c.up {
		b := x.newBar(rec.Name + "  sending")
		o.Progress = b.progress
		to := c.path
		switch {
		case c.here == "." || strings.HasSuffix(c.here, "/."): // what is in it
			o.As = "."
		case to != "" && to != "." && !strings.HasSuffix(to, "/"):
			to, o.As = path.Dir(path.Clean(to)), path.Base(path.Clean(to))
		}
		if to == "" {
			to = "."
		}
		return b, run.Upload(ctx, x.app.path(c.here), to, o)
	}
	b := x.newBar(rec.Name + "  fetching")
	o.Progress = b.progress
	from, to := path.Clean(c.path), x.app.path(c.here)
	info, err := os.Stat(to)
	switch {
	case from == ".":
		o.As = "."
	case err == nil && info.IsDir(), strings.HasSuffix(c.here, "/"):
		o.As = path.Base(from)
	default:
		to, o.As = filepath.Dir(to), filepath.ToSlash(filepath.Base(to))
	}
	return b, run.Download(ctx, from, to, o)
}

// path is where a path on the command line leads.
func (a *app) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(a.dir, p)
}

// copied says how a copy ended.
func (x *session) copied(rec *record, c copying, b *bar, err error, took time.Duration) error {
	skipped := (*runctl.SkippedError)(nil)
	if errors.As(err, &skipped) {
		x.say.warnf("%s: %v", rec.Name, skipped)
		if err == error(skipped) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	x.say.sayf("%s: copied %d files, %s in %s", rec.Name, b.last.Files, bytesText(b.last.Bytes), durText(took))
	if x.opt.json {
		direction := "from"
		if c.up {
			direction = "to"
		}
		f := map[string]any{"run": rec.Name, "direction": direction, "path": c.path, "here": c.here, "files": b.last.Files, "bytes": b.last.Bytes,
			"seconds": took.Seconds(), "skipped": 0}
		if skipped != nil {
			f["skipped"] = skipped.Count
		}
		writeJSON(x.stdout, f, true)
	}
	return nil
}
