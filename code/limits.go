package code

import (
	"fmt"
	"strings"
)

// TooLargeError refuses a directory that is larger than Options.MaxFiles or MaxBytes.
type TooLargeError struct {
	Dir      string
	Files    int // at least: who finds twice as many as there may be stops looking
	Bytes    int64
	MaxFiles int
	MaxBytes int64
	Largest  []File // up to ten files, or, if it is their number, directories with the bytes in each
}

// Error says what is largest and how to leave it out.
func (e *TooLargeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "code: %s has %s in %d files to send; the most is %s in %d files. Largest:", e.Dir, size(e.Bytes), e.Files, size(e.MaxBytes), e.MaxFiles)
	for _, f := range e.Largest {
		fmt.Fprintf(&b, "\n  %s  %s", f.Path, size(f.Bytes))
	}
	b.WriteString("\nleave out what the job does not need with lines in .runctlignore, which is written as a .gitignore, or allow more")
	return b.String()
}

// tooLarge is the walk's error when it found too much.
func (w *walk) tooLarge() error {
	if len(w.found) <= w.options.MaxFiles && w.bytes <= w.options.MaxBytes {
		return nil
	}
	e := &TooLargeError{Dir: w.dir, Files: len(w.found), Bytes: w.bytes, MaxFiles: w.options.MaxFiles, MaxBytes: w.options.MaxBytes}
	if e.Bytes > e.MaxBytes {
		for _, f := range w.found {
			e.Largest = append(e.Largest, File{f.Path, f.Size})
		}
		e.Largest = top(e.Largest, largest)
	} else {
		e.Largest = w.fullest()
	}
	return e
}

// fullest returns the directories with the most files, that are in them or below.
func (w *walk) fullest() []File {
	files, bytes := map[string]int{}, map[string]int64{}
	for _, f := range w.found {
		for i, c := range f.Path {
			if c == '/' {
				files[f.Path[:i+1]]++
				bytes[f.Path[:i+1]] += f.Size
			}
		}
	}
	var all []File
	for dir, n := range files {
		all = append(all, File{dir, int64(n)})
	}
	all = top(all, largest)
	for i, f := range all {
		all[i].Path, all[i].Bytes = fmt.Sprintf("%s (%d files)", f.Path, f.Bytes), bytes[f.Path]
	}
	return all
}

// size writes bytes for a person.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
