package canary

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// around is what can be seen on a computer beside a client's own output.
type around struct {
	h     *hunt
	roots []string // directories with the state of machines and of the command
	mine  []string // secrets that this process's environment has: its children inherit them
	name  string   // of what is done
	own   string   // name of the file that keeps the owner's secret; empty: none
}

// processes looks at the arguments and the environment of every process there is.
func (a *around) processes(what string) {
	what = a.name + " " + what
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
			a.h.look(atArgs, what, string(args))
		}
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		// The stage of the supervisor names the run in the job's environment, and in no other.
		if env, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil && !bytes.Contains(env, []byte("RUNCTL_RUN_ID=")) {
			a.h.look(atEnviron, what, string(env), a.mine...)
		}
	}
}

// files looks at what others may read, and with private at everything that is left.
func (a *around) files(what string, private bool) {
	what = a.name + " " + what
	for _, root := range a.roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // it went away meanwhile
			}
			a.h.look(atName, what, path)
			if d.Type()&fs.ModeSymlink != 0 {
				to, _ := os.Readlink(path)
				a.h.look(atName, what+", "+path, to)
			}
			info, err := d.Info()
			if err != nil || !info.Mode().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			var allowed []string
			if d.Name() == a.own {
				allowed = []string{"Config.Secret"}
			}
			if info.Mode().Perm()&0o077 != 0 {
				a.h.look(atReadable, what+", "+path, string(text))
			}
			if private {
				a.h.look(atPrivate, what+", "+path, string(text), allowed...)
			}
			return nil
		})
	}
}

// watch looks at the processes over and over until stop is called.
func (a *around) watch(what string) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			a.processes(what)
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() { close(end); <-ended }
}

// jobHas reports which of the named values are in the environment of the job of a run.
func (a *around) jobHas(run string, names ...string) map[string]bool {
	has := map[string]bool{}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(env, []byte("RUNCTL_RUN_ID="+run+"\x00")) {
			continue
		}
		for _, n := range names {
			has[n] = has[n] || a.h.has(string(env), n)
		}
	}
	return has
}
