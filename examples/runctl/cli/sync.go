package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"runctl"
	"runctl/code"
)

// codeFlags say which directory a job works in.
type codeFlags struct {
	workdir string
	noSync  bool
}

func (c *codeFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.workdir, "workdir", "", "`DIR` that the job works in: sent to the machine, or used in place where files are shared (the current one)")
	f.BoolVar(&c.noSync, "no-sync", false, "send nothing: the job begins in an empty directory")
}

// The most that is sent of a directory that was named.
const (
	maxNamedFiles = 2_000_000
	maxNamedBytes = 1 << 40
)

// place gives the job its directory: in place where the machine shares our files, else as code to be sent. Without
// --workdir only what is in a git work tree is sent, and never a home directory, the root, or more than 1 GiB.
func (s *session) place(job *runctl.Job, f *codeFlags, providers []runctl.Provider) error {
	dir, named := s.app.dir, f.workdir != ""
	if named {
		dir = s.app.abs(f.workdir)
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			return usagef("--workdir %s: it is no directory. %s", f.workdir, nothing)
		}
	}
	switch {
	case !slices.ContainsFunc(providers, func(p runctl.Provider) bool { return !p.Info().InPlace }):
		job.Dir = dir
		return nil
	case f.noSync && named:
		return usagef("--workdir names what is sent, and --no-sync sends nothing. %s", nothing)
	case f.noSync:
		return nil
	case !named && !inWorkTree(dir):
		s.say.sayf("sync: nothing is sent, since %s is in no git work tree; --workdir . sends it all the same", s.shortDir(dir))
		return nil
	case !named && s.tooWide(dir) != "":
		return usagef("%s is not sent as a job's code. Start in the directory of the code, or name one with --workdir, or send nothing with --no-sync. %s",
			s.tooWide(dir), nothing)
	}
	o := code.Options{Cache: s.cachePath(dir), Progress: s.syncProgress}
	if named {
		o.MaxFiles, o.MaxBytes = maxNamedFiles, maxNamedBytes
	}
	tree, err := code.Dir(dir, o)
	if large := (*code.TooLargeError)(nil); errors.As(err, &large) && !named {
		return fmt.Errorf("%w; --workdir . allows more. %s", err, nothing)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, nothing)
	}
	job.Code = tree
	s.sayTree(dir, tree.Report())
	return nil
}

// inWorkTree reports whether a directory lies in a git work tree.
func inWorkTree(dir string) bool {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// tooWide names what is more than the code of a job: the root, or the user's home. Empty: the directory is neither.
func (a *app) tooWide(dir string) string {
	own, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	for wide, name := range map[string]string{string(filepath.Separator): "the root directory", a.env("HOME"): "your home directory"} {
		if fi, err := os.Stat(wide); wide != "" && err == nil && os.SameFile(own, fi) {
			return name
		}
	}
	return ""
}

// shortDir is a directory for people: "." for the current one.
func (a *app) shortDir(dir string) string {
	if dir == a.dir {
		return a.pathText(dir)
	}
	return cmp.Or(a.pathText(dir), dir)
}

// cachePath is where the hashes of a directory's files are kept; a failure only costs hashing them again.
func (s *state) cachePath(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	if err := os.MkdirAll(s.path("sync"), 0o700); err != nil {
		return ""
	}
	return s.path("sync", hex.EncodeToString(sum[:8]))
}

// sayTree says what will be sent and what not. What looks like a secret is said whatever the flags.
func (s *session) sayTree(dir string, r code.Report) {
	text := fmt.Sprintf("sync %s  %s, %s", s.shortDir(dir), count(r.Files, "file"), bytesText(r.Bytes))
	if left := ignoredText(r.Ignored); left != "" {
		text += " (ignored: " + left + ")"
	}
	s.say.sayf("%s", text)
	switch n := len(r.Secrets); {
	case n == 1:
		s.say.warnf("sync: %s looks like a secret, not sent; --secret passes a value on, a line !%s in .runctlignore sends the file", r.Secrets[0], r.Secrets[0])
	case n > 1:
		s.say.warnf("sync: %s look like secrets, not sent; --secret passes a value on, a line !NAME in .runctlignore sends a file", some(r.Secrets))
	}
	if len(r.Special) > 0 {
		s.say.warnf("sync: %s cannot be sent: devices, pipes and sockets never are", some(r.Special))
	}
	if s.opt.json {
		s.json.event("sync", map[string]any{"dir": dir, "files": r.Files, "bytes": r.Bytes, "ignored": len(r.Ignored), "secrets": r.Secrets})
	}
}

// ignoredText names the largest of what is left out.
func ignoredText(all []code.File) string {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b code.File) int { return cmp.Compare(known(b.Bytes), known(a.Bytes)) })
	var parts []string
	for _, f := range all[:min(len(all), 3)] {
		if f.Bytes < 0 {
			parts = append(parts, f.Path)
		} else {
			parts = append(parts, f.Path+" "+bytesText(f.Bytes))
		}
	}
	if more := len(all) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

// known orders a size that was too much to count first.
func known(n int64) int64 {
	if n < 0 {
		return maxNamedBytes
	}
	return n
}

// some lists the first few names.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bytesText prints a size for people: 214 B, 3.1 MiB, 41 GiB.
func bytesText(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, unit)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// syncProgress shows how far the code is on its way: in the line of progress, else as a line now and then.
func (s *session) syncProgress(p code.Progress) {
	s.mu.Lock()
	show := s.sent
	s.mu.Unlock()
	if show != nil && p.TotalBytes > 0 {
		show(fmt.Sprintf("%s of %s", bytesText(p.Bytes), bytesText(p.TotalBytes)))
	}
}
