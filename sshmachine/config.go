package sshmachine

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// Config is how one host is reached, entered and trusted.
type Config struct {
	Addr string           // host or host:port; port 22 where it is missing
	User string           // the login user; empty is refused
	Auth []ssh.AuthMethod // tried in order; see Signer, KeyFile, Agent
	// Trust decides whether the host key is the host's. It is required: there is no way to believe any key.
	Trust Trust
	// HostKeyAlias is the name by which Trust looks the host up, as OpenSSH's option does; empty: Addr.
	HostKeyAlias string
	// Jump is a host to go through. It is trusted and entered on its own.
	Jump *Config
	// Dial opens the network connection; nil: a net.Dialer. With a Jump it is not used, only the Jump's is.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Env is set for every command, as part of the command line, which other users of the host can read: no
	// secrets. Names are shell names.
	Env map[string]string
	// StepTimeout bounds each step of connecting and of opening a session on its own; 0: 15 s.
	StepTimeout time.Duration
	// KeepAlive is how long a link may be silent before it is probed; 0: 15 s. After three times as long without
	// a byte from the host it is cut.
	KeepAlive time.Duration
}

const (
	defaultStep      = 15 * time.Second
	defaultKeepAlive = 15 * time.Second
	maxJumps         = 8
)

// checked returns the config with its defaults, or ErrInvalid.
func (c Config) checked(depth int) (Config, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(c.Addr, "["), "]"), "22"
	}
	c.Addr = net.JoinHostPort(host, port)
	number, wrong := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "" || wrong != nil || number == 0 || strings.ContainsAny(host, " \t\r\n/@") || err != nil && strings.Count(host, ":") == 1:
		return c, invalid(c.Addr, "Addr must be host or host:port, without a user or a scheme")
	case c.User == "":
		return c, invalid(c.Addr, "User is empty; give the login user")
	case c.Trust.err != nil:
		return c, invalid(c.Addr, c.Trust.err.Error())
	case c.Trust.check == nil:
		return c, invalid(c.Addr, "Trust is missing; use Pinned, KnownHosts, FirstUse or Challenge")
	case c.StepTimeout < 0 || c.KeepAlive < 0:
		return c, invalid(c.Addr, "StepTimeout and KeepAlive must not be negative")
	case depth > maxJumps:
		return c, invalid(c.Addr, fmt.Sprintf("more than %d jump hosts in a row", maxJumps))
	}
	if err := checkEnv(c.Env); err != nil {
		return c, invalid(c.Addr, err.Error())
	}
	if c.StepTimeout == 0 {
		c.StepTimeout = defaultStep
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.Jump != nil {
		j, err := c.Jump.checked(depth + 1)
		if err != nil {
			return c, err
		}
		c.Jump = &j
	}
	return c, nil
}

// trusted is the host:port by which Trust knows the host.
func (c Config) trusted() string {
	if c.HostKeyAlias != "" {
		return net.JoinHostPort(c.HostKeyAlias, "22")
	}
	return c.Addr
}

func invalid(addr, msg string) error {
	return &runctl.Error{Op: "connect", Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: "ssh: " + addr + ": " + msg}
}
