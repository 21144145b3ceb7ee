//go:build !unix

package runpod

import "time"

// Real lets containers be processes. It needs a system with signals: here its use panics.
type Real struct {
	Dir   string
	SSHD  string
	User  string
	Env   []string
	Grace time.Duration
}

type box struct{ done chan struct{} }

func (r *Real) grace() time.Duration { return r.Grace }
func (r *Real) start(*pod) *box      { panic("runpod: containers are processes on unix only") }
func (b *box) stop(time.Duration)    {}
func (b *box) kill()                 {}
