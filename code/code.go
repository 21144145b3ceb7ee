// Package code brings a program's files to a machine, so that a job can start in a fresh copy of them.
//
//	tree, err := code.Dir(".", code.Options{})
//	…
//	run, err := client.Start(ctx, runctl.RunSpec{Job: runctl.Job{Args: []string{"python", "train.py"}, Code: tree}, …})
//
// What git would not add is left out, and so is what looks like a secret. A machine keeps the trees that it was
// sent, each under the digest of its manifest; only contents that it does not have are sent, compressed unless the
// machine is near, in one stream. What arrived before a cut is not sent again. A tree is there when every file of it
// was verified, and once more before a job starts in its copy.
package code

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"runctl"
	"runctl/internal/manifest"
)

// Options changes what [Dir] takes and tells. The zero value is what most programs want.
type Options struct {
	// Exclude are more patterns, in the language of .gitignore and from the tree's root. They come last, and win.
	Exclude []string
	// Cache is a file that remembers hashes by path, size, times and inode, one file for one directory. One that
	// cannot be read or written is as none. Empty: none.
	Cache string
	// MaxFiles and MaxBytes bound the tree; 0: 100,000 files and 1 GiB. More is a *TooLargeError.
	MaxFiles int
	MaxBytes int64
	// AllowSecrets sends what looks like a secret too. A pattern with '!' in a .runctlignore or in Exclude sends
	// single files.
	AllowSecrets bool
	// Progress is called while a tree is sent, at most ten times a second and once at the end, from the goroutine
	// that called Send.
	Progress func(Progress)
}

const (
	defaultMaxFiles = 100_000
	defaultMaxBytes = 1 << 30
)

// Progress is how far Send has come with what the machine lacks.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64 // of contents
	Sent              int64 // bytes on the wire, compressed
}

// Tree is a directory as it was when [Dir] read it. It implements [runctl.Code], and may be sent to many machines
// at once.
type Tree struct {
	dir     string
	digest  string
	files   []found // sorted by path
	before  base    // the tree that the cache remembers, which a machine probably has
	report  Report
	options Options
}

var _ runctl.Code = (*Tree)(nil)

// Digest implements [runctl.Code]: the SHA-256 of the manifest, which names every file and link by its path, its
// content and whether it is executable. Times, owners, other permissions and empty directories are no part of it.
func (t *Tree) Digest() string { return t.digest }

// Report says what is in the tree and what was left out.
func (t *Tree) Report() Report { return t.report }

// Report is what a tree is made of.
type Report struct {
	Files   int
	Bytes   int64
	Links   int    // symbolic links, which are not counted in Files
	Largest []File // up to ten files of at least 1 MiB, the largest first

	// Ignored is what the ignore files and Options.Exclude left out, a directory as one; at most 1,000 of them.
	Ignored []File
	// Secrets are the files that look like secrets and were left out.
	Secrets []string
	// Special are devices, pipes and sockets, which no tree has.
	Special []string
}

// File is a path and its size. That of a directory ends in a slash.
type File struct {
	Path  string
	Bytes int64 // of a directory, all of it; -1: too many files to count
}

// NameError refuses a directory because of names in it that not every machine can have, of links that lead out of
// it, or of files that cannot be read. Rename, copy or ignore them.
type NameError struct {
	Dir      string
	Problems []string // the first ten, each with the path in quotes
	More     int      // that are not in Problems
}

// Error names them all.
func (e *NameError) Error() string {
	s := fmt.Sprintf("code: %s cannot be sent as it is:", e.Dir)
	for _, p := range e.Problems {
		s += "\n  " + p
	}
	if e.More > 0 {
		s += fmt.Sprintf("\n  and %d more", e.More)
	}
	return s + "\nchange that, or leave them out with a line in .runctlignore, which is written as a .gitignore"
}

func (e *NameError) add(problem string) {
	if len(e.Problems) < 10 {
		e.Problems = append(e.Problems, problem)
	} else {
		e.More++
	}
}

// errChanged means that a file was written to while it was read.
var errChanged = errors.New("changed while it was read; wait until nothing writes to it, or leave it out with a line in .runctlignore")

// Dir reads a directory: it walks it, leaves out what is ignored and what looks like a secret, and hashes the rest,
// a few files at a time. .gitignore and .runctlignore files count at every level and in that order; of a directory
// inside a git work tree, so do the .gitignore files above it and .git/info/exclude. .git and runctl-out are always
// left out.
//
// Files whose names have control characters or backslashes, names that differ in case only, and links that lead
// out of the directory are refused, all in one *NameError; too much is a *TooLargeError.
func Dir(path string, o Options) (*Tree, error) {
	if o.MaxFiles == 0 {
		o.MaxFiles = defaultMaxFiles
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	dir, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	began := time.Now()
	w, err := walkDir(dir, o)
	if err != nil {
		return nil, err
	}
	memory := recall(o.Cache, dir, w.found)
	if err := w.hash(); err != nil {
		return nil, err
	}
	memory.save(w.found, began)
	t := &Tree{dir: dir, options: o, files: w.sendable()}
	t.digest = manifest.Digest(entries(t.files))
	t.report = w.report(t.files)
	t.before = memory.base(t.files)
	return t, nil
}
