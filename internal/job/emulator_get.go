package job

import (
	"archive/tar"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// get sends the run's outputs at or below the path as a tar, in order of their names.
func (c *verbCall) get() error {
	outputs, at, err := c.e.outputs(c.args[0])
	if err != nil {
		return c.fail(err)
	}
	want := path.Clean(c.args[1])
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(outputs)), func(name string) bool {
		name = path.Clean(name)
		return want != "." && name != want && !strings.HasPrefix(name, want+"/")
	})
	if len(names) == 0 && want != "." {
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such path"})
	}
	if _, err := io.WriteString(c.out, formatLine(kindTar)); err != nil {
		return err
	}
	w := tar.NewWriter(c.out)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Mode: 0o644, Size: int64(len(outputs[name])), ModTime: at}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(w, outputs[name]); err != nil {
			return err
		}
	}
	return w.Close()
}

// outputs returns a run's files and their time, which is the run's start.
func (e *Emulator) outputs(run string) (map[string]string, time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	switch {
	case !e.died.IsZero():
		return nil, time.Time{}, ErrGone
	case r == nil:
		return nil, time.Time{}, ErrNoRun
	}
	return r.script.Outputs, r.started.Truncate(time.Second), nil
}
