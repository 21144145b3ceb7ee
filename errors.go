package runctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is the class of an error: a constant that is itself an error, so that it can be compared with
// errors.Is, switched on, and sent through JSON or RPC without losing its identity.
type Kind string

// Error implements error; the text is the kind's word.
func (k Kind) Error() string { return string(k) }

// The kinds. What a caller should do next depends on nothing but the kind and the [Scope].
const (
	ErrInvalid     = Kind("invalid")         // the request is wrong; nothing was spent; change it
	ErrNotFound    = Kind("not found")       // no such machine, run, offer or name
	ErrConflict    = Kind("conflict")        // the key, name or machine is in use for something else
	ErrAuth        = Kind("unauthorized")    // credentials are missing, wrong or lack a permission
	ErrPayment     = Kind("payment")         // the account's balance or card does not allow it
	ErrCapacity    = Kind("no capacity")     // the cloud has none left now; another offer or a later try may work
	ErrQuota       = Kind("quota")           // the account's own ceiling is reached
	ErrRateLimit   = Kind("rate limited")    // too fast; the client slows down by itself
	ErrUnavailable = Kind("unavailable")     // the cloud did not answer as documented
	ErrTimeout     = Kind("deadline passed") // a phase took longer than its deadline; its end is in the message
	ErrUncertain   = Kind("in doubt")        // a machine may have started and may bill; the same key adopts it
	ErrGuard       = Kind("no guard")        // the machine's boot script did not run, so that nothing there would end it
	ErrHostKey     = Kind("host key")        // the machine shows another host key than it was known by; nothing was sent to it
	ErrLost        = Kind("lost")            // the machine or the run is gone without a receipt
	ErrClosed      = Kind("closed")          // the Client was closed
)

// Scope says what an error condemns, and so what is left to try.
type Scope uint8

// The scopes, from unknown to wide. Only ScopeOffer and ScopeZone let the client try the next offer
// of the same provider; ScopeRegion, ScopeAccount and ScopeProvider let it try another provider's.
const (
	ScopeUnknown  Scope = iota // nothing is claimed
	ScopeRequest               // no offer will take this request: fail-over ends at once
	ScopeOffer                 // this offer
	ScopeZone                  // this offer's zone
	ScopeRegion                // this offer's region
	ScopeAccount               // the account at this provider
	ScopeProvider              // the provider as a whole
)

var scopeNames = [...]string{"", "request", "offer", "zone", "region", "account", "provider"}

// String returns the scope's word, empty for ScopeUnknown.
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return ""
}

// Error is what every method of [Client] returns on failure, and what a [Provider] returns for the
// failures that it can classify. All fields may be zero.
//
// A provider sets Kind, Scope, NotStarted, RetryAfter and Err; the client fills in the rest.
// errors.Is matches both Kind and Err, and errors.As reaches the cloud SDK's own error in Err.
type Error struct {
	Provider string // the provider's Info.Name
	Op       string // the verb: launch, list, get, terminate, offers, connect, submit, ...
	ID       string // the instance, when one is known
	Key      string // the idempotency key, when one is known
	Kind     Kind
	Scope    Scope

	// NotStarted is a claim about a launch: the cloud's own, readable reply proves that no machine was
	// started by this request and none will be. Without it every failed launch is in doubt.
	NotStarted bool
	// MayBill says that a machine may be left billing by the failed call.
	MayBill bool
	// RetryAfter is how long the cloud asked to be left alone. The client honours at most 10 minutes.
	RetryAfter time.Duration

	Msg string // what happened and what to do next, for a person; no secrets
	Err error  `json:"-"` // the cause; its text is redacted when printed
}

// Error returns one line in three parts: to which thing, what happened, what to do next.
// URLs lose their query, and the whole is cut to 2 KiB: any part of it may come from the cloud.
func (e *Error) Error() string {
	var who []string
	for _, s := range []string{e.Provider, e.ID, e.Key} {
		if s = redact(clip(s, 128)); s != "" && (len(who) == 0 || who[len(who)-1] != s) {
			who = append(who, s)
		}
	}
	var parts []string
	add := func(s string) {
		if s != "" && !strings.Contains(strings.Join(parts, ": "), s) {
			parts = append(parts, s)
		}
	}
	if add(strings.Join(who, " ")); e.Msg != "" {
		add(redact(e.Msg))
	} else {
		add(redact(clip(e.Op, 128)))
		add(redact(clip(string(e.Kind), 128)))
	}
	if e.Err != nil {
		add(redact(e.Err.Error()))
	}
	return clip(strings.Join(parts, ": "), maxText)
}

// GoString is Error: the fields as they are may hold what must not be printed.
func (e *Error) GoString() string { return "&runctl.Error{" + strconv.Quote(e.Error()) + "}" }

// Unwrap returns the kind and the cause, so that errors.Is and errors.As reach both.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Kind != "" {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// ExitError is returned by [Run.Wait] and [Client.Run] for a job that ended with a receipt which is
// not a success.
type ExitError struct{ Result Receipt }

// Error names the run, how it ended, and why.
func (e *ExitError) Error() string {
	r := e.Result
	s := fmt.Sprintf("%s: exit %d", r.Run, r.ExitCode)
	if r.Signal != "" {
		s += " (signal " + r.Signal + ")"
	}
	if r.Cause != "" && r.Cause != CauseExit && r.Cause != CauseSignal {
		s += ", ended by " + string(r.Cause)
	}
	return s
}

// invalid makes the one error for bad input: it names the field and what is allowed.
func invalid(field, format string, args ...any) *Error {
	return &Error{Kind: ErrInvalid, Scope: ScopeRequest, NotStarted: true, Msg: field + ": " + fmt.Sprintf(format, args...)}
}

// asError returns the *Error within err, or a new one of the given kind around it.
func asError(err error, fallback Kind) *Error {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		if c.Kind == "" {
			c.Kind = fallback
		}
		return &c
	}
	return &Error{Kind: fallback, Err: err}
}
