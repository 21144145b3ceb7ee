package lyceum

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/sshmachine"
)

// users are who may log in to a machine: the first on machines of 2026, the others by older pages.
var users = []string{"lyceum", "ubuntu", "root"}

// Connect implements [runctl.Connector]: SSH to a machine's address, which is read anew each time. Lyceum publishes no host keys,
// so the first one that is seen is believed and pinned; the grade is first-use. A run cannot be entered.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	run, name, err := parseID(i.ID)
	switch {
	case err != nil:
		return nil, err
	case run:
		e := invalid("a run of Lyceum's cannot be entered")
		e.Err = errors.ErrUnsupported
		return nil, e
	case a.Signer == nil:
		return nil, invalid("machines are entered with a key that is made from Config.Secret: set that")
	}
	v, _, err := p.vm(ctx, name)
	if err != nil {
		return nil, err
	}
	if s := v.state(); s != runctl.StateRunning {
		return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrUnavailable, Msg: fmt.Sprintf("the machine, which is %s, has no address for SSH, or not yet", clip(v.Status))}
	}
	host, port, err := splitAddress(string(v.Address))
	if err != nil {
		return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrUnavailable, Msg: fmt.Sprintf("Lyceum tells %q as the machine's address, which is none", clip(v.Address))}
	}
	auth, err := sshmachine.Signer(a.Signer)
	if err != nil {
		return nil, err
	}
	c := sshmachine.Config{Addr: net.JoinHostPort(host, port), Auth: []ssh.AuthMethod{auth}, Trust: sshmachine.FirstUse(same())}
	if a.HostKey != "" {
		c.Trust = sshmachine.Pinned(a.HostKey)
	}
	may := users
	if p.cfg.User != "" {
		may = []string{p.cfg.User}
	}
	var refused error
	for _, c.User = range may {
		m, err := sshmachine.Dial(ctx, c)
		if err == nil {
			return m, nil
		}
		if refused = err; !errors.Is(err, runctl.ErrAuth) {
			return nil, err
		}
	}
	return nil, &runctl.Error{ID: i.ID, Kind: runctl.ErrAuth, Err: refused,
		Msg: "the machine lets none of these in: " + strings.Join(may, ", ") + "; if it has another user, set Config.User"}
}

// same pins the first key that it is told of, for all tries of one connect.
func same() func(fingerprint string) error {
	var mu sync.Mutex
	var first string
	return func(fingerprint string) error {
		mu.Lock()
		defer mu.Unlock()
		if first != "" && first != fingerprint {
			return &sshmachine.HostKeyError{Got: fingerprint, Want: []string{first}, Why: "the host showed another key a moment ago; nothing was sent"}
		}
		first = fingerprint
		return nil
	}
}

var _ runctl.Connector = (*Provider)(nil)
