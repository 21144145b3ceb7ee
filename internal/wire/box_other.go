//go:build !unix

package wire

// Box is a container that is a process. It needs a system with signals.
type Box struct {
	Err  error
	done chan struct{}
}

// Start panics: containers are processes on unix only.
func Start(Command) *Box { panic("wire: containers are processes on unix only") }

// Code is the first process's exit code.
func (b *Box) Code() int { return 127 }

// Kill ends the first process, and all others go with it.
func (b *Box) Kill() {}

func (b *Box) term() {}
