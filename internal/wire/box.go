package wire

import (
	"os"
	"time"
)

// Command is what a container runs.
type Command struct {
	ID   string   // of the container
	Mark string   // the environment variable that holds the ID; whatever has it is the container's
	Argv []string // the first process; it must not be empty
	Env  []string // NAME=value, and nothing else is in its environment but Mark
	Dir  string
	Read func(out *os.File) // reads all that the processes print; required
	Over func(*Box)         // called when nothing of it is left; nil: nobody cares
}

// Stop asks the first process to end, and after the grace ends all. It returns when nothing of it is left, or that is
// under way.
func (b *Box) Stop(grace time.Duration) {
	b.term()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-b.done:
	case <-t.C:
		b.Kill()
	}
}

// Done is closed when nothing of the container is left.
func (b *Box) Done() <-chan struct{} { return b.done }
