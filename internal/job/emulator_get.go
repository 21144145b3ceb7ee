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

// get sends what lies at the path as a tar, as the script does: names begin with "./" and the path as it
// was given, and directories come before what is in them.
func (c *verbCall) get() error {
	files, at, err := c.e.outputs(c.args[0])
	if err != nil {
		return c.fail(err)
	}
	want := path.Clean(c.args[1])
	names := below(want, files)
	if len(names) == 0 {
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such file or directory"})
	}
	if _, err := io.WriteString(c.out, formatLine(kindTar)); err != nil {
		return err
	}
	w := tar.NewWriter(c.out)
	for _, name := range names {
		as := "./" + strings.TrimRight(c.args[1], "/")
		if name != want {
			as += "/" + strings.TrimPrefix(name, want+"/")
		}
		h := &tar.Header{Typeflag: tar.TypeDir, Name: as + "/", Mode: 0o755, ModTime: at}
		if content, ok := files[name]; ok {
			h = &tar.Header{Typeflag: tar.TypeReg, Name: as, Mode: 0o644, Size: int64(len(content)), ModTime: at}
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			return err
		}
	}
	return w.Close()
}

// below returns the sorted names of the files and directories at and below want; "." is always there.
func below(want string, files map[string]string) []string {
	found := map[string]bool{".": want == "."}
	for name := range files {
		for ; name != "."; name = path.Dir(name) {
			found[name] = want == "." || name == want || strings.HasPrefix(name, want+"/")
		}
	}
	maps.DeleteFunc(found, func(_ string, in bool) bool { return !in })
	return slices.Sorted(maps.Keys(found))
}

// outputs returns a run's files by their clean names, and their time, which is the run's start.
func (e *Emulator) outputs(run string) (map[string]string, time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[run]
	if r == nil {
		return nil, time.Time{}, ErrNoRun
	}
	files := make(map[string]string, len(r.script.Outputs))
	for name, content := range r.script.Outputs {
		if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
			files[name] = content
		}
	}
	return files, r.started.Truncate(time.Second), nil
}
