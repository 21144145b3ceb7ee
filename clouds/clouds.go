// Package clouds knows every provider of this module. Importing it has no side effect, but links them
// all; a program that needs one imports that one and registers its Factory itself.
package clouds

import (
	"context"

	"runctl"
	"runctl/aws"
	"runctl/fake"
	"runctl/local"
	"runctl/lyceum"
	"runctl/runpod"
	"runctl/ssh"
)

// Registry returns a new registry of all providers of this module, which the caller may add to.
func Registry() *runctl.Registry {
	r := &runctl.Registry{}
	for _, f := range []runctl.Factory{inMemory, aws.Factory, local.Factory, lyceum.Factory, runpod.Factory, ssh.Factory} {
		r.Register(f)
	}
	return r
}

// inMemory makes a new, empty fake cloud at each call: a cloud to try commands on, for as long as one
// process lives.
var inMemory = runctl.Factory{
	Name: "fake",
	Open: func(context.Context, func(string) string) (runctl.Provider, error) { return fake.New(), nil },
}
