//go:build !unix

package lyceum

import "runctl/internal/wire"

func (o *Real) start(*run) *wire.Box { panic("lyceum: runs are processes on unix only") }
