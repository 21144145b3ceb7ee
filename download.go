package runctl

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of what a machine may make us write.
const (
	maxFiles = 1_000_000
	maxDepth = 100
)

// Download copies a file or directory of the run's, by its path relative to the job's directory, or else to its
// output directory, to a local directory, which is made where it is missing. "." is everything in the run's
// output directory, $RUNCTL_OUTPUT_DIR.
//
// Only plain files and directories below the local directory are written, each under a temporary name first.
// Links, devices and sparse files are left out: when everything else was written the error is a
// [*SkippedError] that names them. A path that climbs out ends the download. A vessel whose files cannot be
// read is errors.ErrUnsupported.
func (r *Run) Download(ctx context.Context, from, to string) error {
	if from == "" || !filepath.IsLocal(filepath.FromSlash(from)) || strings.ContainsAny(from, "\x00\n\r") {
		return invalid("from", "%q: a path below the job's directory, or . for all that it put into its output directory", clip(oneLine(from), 80))
	}
	if to == "" {
		return invalid("to", "give a local directory")
	}
	if _, ok := As[Connector](r.a.Provider); !ok {
		return &Error{Provider: r.a.info.Name, Op: "download", ID: r.Instance().ID, Kind: ErrInvalid, Err: errors.ErrUnsupported, Msg: "files of machines here cannot be read"}
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer root.Close()
	p := &shellProcess{c: r.c, a: r.a, inst: r.Instance(), run: r.run}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := p.download(ctx, from, pw)
		pw.CloseWithError(err)
		done <- err
	}()
	err = extract(root, pr)
	pr.CloseWithError(errors.New("download: stopped reading"))
	if fetch := <-done; err == nil || fetch != nil && !strings.Contains(fetch.Error(), "stopped reading") {
		err = errors.Join(fetch)
	}
	return err
}

// SkippedError says that a download is complete but for entries that are never taken: links, devices and
// sparse files.
type SkippedError struct {
	Names []string // the first ten
	Count int
}

func (e *SkippedError) add(name string) {
	if e.Count++; len(e.Names) < 10 {
		e.Names = append(e.Names, name)
	}
}

// Error names them, and says what to do.
func (e *SkippedError) Error() string {
	names := strings.Join(e.Names, ", ")
	if more := e.Count - len(e.Names); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return "download: left out, since they are links, devices or sparse: " + names + "; let the job write plain files"
}

// extract writes a tar stream below root. Its input is not trusted.
func extract(root *os.Root, r io.Reader) error {
	tr := tar.NewReader(r)
	var skipped SkippedError
	seen := map[string]string{} // folded name → name, to refuse twins on file systems that fold case
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			if _, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err == nil && skipped.Count > 0 { // the padding
				return &skipped
			}
			return err
		}
		if err != nil {
			return fmt.Errorf("download: the stream is broken: %w", err)
		}
		name := path.Clean(h.Name)
		shown := clip(oneLine(name), 120)
		switch {
		case n >= maxFiles:
			return fmt.Errorf("download: more than %d files; stopped", maxFiles)
		case !filepath.IsLocal(filepath.FromSlash(name)) || strings.Count(name, "/") > maxDepth || strings.ContainsAny(name, "\x00\\"):
			return fmt.Errorf("download: %q leaves the directory or is no usable name; refused", shown)
		}
		if first, ok := seen[strings.ToLower(name)]; ok && first != name {
			return fmt.Errorf("download: %q and %q differ in case alone; refused", clip(oneLine(first), 120), shown)
		}
		seen[strings.ToLower(name)] = name
		switch {
		case h.Typeflag == tar.TypeDir:
			err = mkdirs(root, name)
		case h.Typeflag != tar.TypeReg || sparse(h): // links lead elsewhere, holes fill a disk from a few bytes
			skipped.add(shown)
		default:
			if err = mkdirs(root, path.Dir(name)); err == nil {
				err = writeFile(root, name, tr, os.FileMode(h.Mode)&0o111)
			}
		}
		if err != nil {
			return fmt.Errorf("download: %q: %w", shown, err)
		}
	}
}

// sparse reports whether the entry is sent with holes. Those of the old GNU format have a type of their own.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// mkdirs makes a directory and those above it, below root.
func mkdirs(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	return root.MkdirAll(filepath.FromSlash(name), 0o755)
}

// writeFile writes a file under a temporary name and renames it, so that a broken transfer leaves no half
// file. Of the mode only "executable" is taken over.
func writeFile(root *os.Root, name string, r io.Reader, exec os.FileMode) error {
	mode := os.FileMode(0o644)
	if exec != 0 {
		mode = 0o755
	}
	name = filepath.FromSlash(name)
	tmp := name + ".runctl-part"
	f, err := root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, os.ErrExist) { // left by a broken transfer
		if err = root.Remove(tmp); err == nil {
			f, err = root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		}
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}
