// Package sshmachine is a [runctl.Machine] over SSH, for providers in this module and outside of it.
//
//	trust, err := sshmachine.KnownHosts()
//	if err != nil {
//		return err
//	}
//	auth, err := sshmachine.Agent()
//	if err != nil {
//		return err
//	}
//	m, err := sshmachine.Dial(ctx, sshmachine.Config{Addr: "gpu1", User: "ubuntu", Auth: []ssh.AuthMethod{auth}, Trust: trust})
//
// All commands share one connection. When the server takes no more sessions on it, another is opened. A link
// that is dead is noticed by a keep-alive probe; the commands under way on it fail, since their end is not
// known, and are never repeated here; the next command connects again, to the same host key only.
//
// There is no way to believe any host key: see [Trust].
package sshmachine
