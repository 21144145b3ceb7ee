package sshmachine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"runctl"
)

// HostKeyError is in the chain of the error for a host that showed a key which is not believed. Nothing was
// sent to it.
type HostKeyError struct {
	Host string   // host:port
	Got  string   // fingerprint, "SHA256:…", of the key that it showed
	Want []string // fingerprints that would have been believed; empty: none is known
	Why  string   // what is wrong, and what to do
}

// Error names the host, both keys, and what to do.
func (e *HostKeyError) Error() string {
	s := "the host showed key " + e.Got
	if len(e.Want) > 0 {
		s += ", expected " + strings.Join(e.Want, " or ")
	}
	return s + ": " + e.Why
}

// fail makes the error of one step. A context that ended is told from a host that did not answer.
func (m *Machine) fail(ctx context.Context, step string, kind runctl.Kind, err error) error {
	e := &runctl.Error{Op: step, Kind: kind, Msg: "ssh: " + m.c.Addr + ": " + step, Err: err}
	var bad *HostKeyError
	switch cause := context.Cause(ctx); {
	case kind == runctl.ErrInvalid:
		e.Scope = runctl.ScopeRequest
	case errors.As(err, &bad):
		e.Kind = runctl.ErrHostKey
	case errors.Is(cause, context.DeadlineExceeded):
		e.Kind, e.Err = runctl.ErrTimeout, cause
	case cause != nil:
		e.Kind, e.Err = "", cause
	}
	return e
}

// printable makes one line of what a host said.
func printable(s string) string {
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	s = fmt.Sprintf("%q", s)
	return s[1 : len(s)-1]
}
