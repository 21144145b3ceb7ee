//go:build !unix

package runpod

import (
	"time"

	"runctl/internal/wire"
)

// Real lets containers be processes. It needs a system with signals: here its use panics.
type Real struct {
	Dir   string
	SSHD  string
	User  string
	Env   []string
	Grace time.Duration
}

func (r *Real) grace() time.Duration { return r.Grace }
func (r *Real) start(*pod) *wire.Box { panic("runpod: containers are processes on unix only") }
