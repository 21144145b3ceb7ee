//go:build unix

package lyceum

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"time"

	"runctl/internal/wire"
)

// mark is in the environment of all processes of a run.
const mark = "LYCEUM_RUN"

// maxPiece is how much is printed at once at most.
const maxPiece = 16 << 10

// start runs a run's command, or Python with its code, in a directory of its own, with its environment and nothing else.
// The image is not looked at. The lock is held.
func (o *Real) start(r *run) *wire.Box {
	disk := filepath.Join(o.Dir, r.ID)
	for _, dir := range []string{"root", "tmp", "work"} {
		_ = os.MkdirAll(filepath.Join(disk, dir), 0o755)
	}
	c := wire.Command{ID: r.ID, Mark: mark, Argv: r.Command, Dir: filepath.Join(disk, "work"),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(disk, "root"), "TMPDIR=" + filepath.Join(disk, "tmp")}}
	for name, value := range r.Env {
		c.Env = append(c.Env, name+"="+value)
	}
	if len(c.Argv) == 0 {
		c.Argv = []string{"true"} // whatever the image has
	}
	if r.Image == "" {
		for path, text := range r.Files {
			file := filepath.Join(c.Dir, filepath.FromSlash(filepath.Join("/", path)))
			_ = os.MkdirAll(filepath.Dir(file), 0o755)
			_ = os.WriteFile(file, []byte(text), 0o644)
		}
		main := filepath.Join(disk, "main.py")
		_ = os.WriteFile(main, []byte(r.Code), 0o644)
		c.Argv = []string{"python3", "-u", main}
		c.Env = append(c.Env, "PYTHONPATH="+c.Dir)
	}
	c.Read = func(out *os.File) {
		b := bufio.NewReaderSize(out, maxPiece)
		for {
			piece, err := b.ReadSlice('\n')
			if len(piece) > 0 {
				r.say(string(piece))
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}
	limit := time.AfterFunc(r.Timeout, func() {
		r.f.mu.Lock()
		r.late = true
		b := r.box
		r.f.mu.Unlock()
		if b != nil {
			b.Kill()
		}
	})
	c.Over = func(b *wire.Box) {
		limit.Stop()
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		if b.Err != nil {
			r.entries = append(r.entries, entry{at: time.Now(), text: "exec: " + b.Err.Error() + "\n"})
		}
		r.returned(time.Now(), b.Code())
	}
	return wire.Start(c)
}
