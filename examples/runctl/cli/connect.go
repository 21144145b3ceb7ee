package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"runctl"
)

// session is an open state directory with a client over some providers.
type session struct {
	*app
	*state
	client *runctl.Client

	mu     sync.Mutex
	events func(runctl.Event) // what listens to the client; nil: nobody
	sent   func(text string)  // is told how far the code is; nil: nobody
}

// connect makes a client over the providers. The state directory stays the caller's to close.
func (a *app) connect(s *state, providers []runctl.Provider) (*session, error) {
	x := &session{app: a, state: s}
	c, err := runctl.New(runctl.Config{Owner: s.owner, Secret: s.secret, Controller: s.controller, Intents: s.intents, Trace: x.trace,
		Deadlines: a.deadlines}, providers...)
	x.client = c
	return x, err
}

func (x *session) trace(e runctl.Event) {
	x.mu.Lock()
	listen := x.events
	x.mu.Unlock()
	if listen != nil {
		listen(e)
	}
	if x.opt.verbose {
		x.sayEvent(e)
	}
}

// listen has f called for every event, maybe concurrently.
func (x *session) listen(f func(runctl.Event)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.events = f
}

// listenSync has f told how far the code is on its way.
func (x *session) listenSync(f func(text string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent = f
}

// sayEvent is what -v adds.
func (x *session) sayEvent(e runctl.Event) {
	text := string(e.Name)
	for _, w := range []string{e.Op, e.Provider, e.ID, e.Key} {
		if w != "" {
			text += " " + w
		}
	}
	if e.Elapsed > 0 {
		text += " " + durText(e.Elapsed)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	x.say.sayf("%s", text)
}

// openProvider opens one provider by name.
func (a *app) openProvider(ctx context.Context, name string) (runctl.Provider, error) {
	p, err := a.reg.Open(ctx, name, a.env)
	if err == nil {
		return p, nil
	}
	if !slices.Contains(a.reg.Names(), name) {
		var e *runctl.Error
		text := err.Error()
		if errors.As(err, &e) && e.Msg != "" {
			text = e.Msg
		}
		if name == runctl.DefaultProvider && len(a.opt.providers) == 0 {
			text += ". It is the default: use -p local to run on this computer"
		}
		return nil, usagef("%s", text)
	}
	return nil, err
}

// chosen opens a session over the providers to launch from: those of -p, else the default.
func (a *app) chosen(ctx context.Context, s *state) (*session, error) {
	names := a.opt.providers
	if len(names) == 0 {
		names = []string{runctl.DefaultProvider}
	}
	var ps []runctl.Provider
	for _, n := range names {
		p, err := a.openProvider(ctx, n)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return a.connect(s, ps)
}

// wide opens a session over every provider that a list covers, as configured does. When none could be opened it
// has no client, and missing says why.
func (a *app) wide(ctx context.Context, s *state, need []string) (x *session, missing, err error) {
	providers, missing := a.configured(ctx, need)
	if len(providers) == 0 {
		return &session{app: a, state: s}, missing, nil
	}
	x, err = a.connect(s, providers)
	return x, missing, err
}

// close releases the client, if there is one.
func (x *session) close() {
	if x.client != nil {
		_ = x.client.Close()
	}
}

// one opens a session over a single provider.
func (a *app) one(ctx context.Context, s *state, name string) (*session, error) {
	p, err := a.openProvider(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.connect(s, []runctl.Provider{p})
}

// configured opens the providers that a list covers: those of -p, else all that have credentials, without
// the one that lives in this process alone. need are providers that must not be left out. It returns what
// could be opened and a joined error for the rest.
func (a *app) configured(ctx context.Context, need []string) ([]runctl.Provider, error) {
	names, named := a.opt.providers, len(a.opt.providers) > 0
	if !named {
		names = a.reg.Names()
		for _, n := range need {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	var ps []runctl.Provider
	var errs []error
	for _, n := range names {
		must := named || slices.Contains(need, n)
		p, err := a.openProvider(ctx, n)
		switch {
		case err == nil && !must && p.Info().Kind == "fake":
		case err == nil:
			ps = append(ps, p)
		case !must && errors.Is(err, runctl.ErrAuth): // not configured
		default:
			errs = append(errs, err)
		}
	}
	if len(ps) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("no provider is configured; runctl providers tells what each needs (known are %s)", strings.Join(a.reg.Names(), ", ")))
	}
	return ps, errors.Join(errs...)
}

// incomplete prints every error of a joined one and makes the command fail, because a list that lacks
// something must not pass for a whole one.
func (a *app) incomplete(errs ...error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if a.opt.json {
			a.say.object(map[string]any{"error": map[string]any{"kind": "incomplete", "message": line, "may_bill": false}})
		} else {
			a.say.print(line)
		}
	}
	return &exitError{code: exitFailed}
}
