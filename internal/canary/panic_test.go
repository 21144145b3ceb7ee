package canary

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// panics calls what panics and looks at the value and the stack.
func (h *hunt) panics(what string, do func()) (panicked bool) {
	defer func() {
		v := recover()
		panicked = v != nil
		h.look(atPanic, what, fmt.Sprintf("%v %+v %#v\n%s", v, v, v, debug.Stack()))
	}()
	do()
	return false
}

// bomb is a provider that panics with what it was given.
type bomb struct{ *fake.Cloud }

func (b bomb) Launch(_ context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	panic(req)
}

func (b bomb) Connect(_ context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	panic(fmt.Sprintf("%+v %#v %+v", i, a, a))
}

func (b bomb) Terminate(context.Context, string) error { panic(b) }

// What a program does wrong ends in a panic or an error, and neither shows what it was given.
func TestPanicsShowNothing(t *testing.T) {
	h := newHunt(t)
	p := plantJob(t, h)
	name := h.control("the name of a factory")
	cfg := runctl.Config{Owner: "ann", Secret: []byte(p.config), OldSecrets: [][]byte{[]byte(p.old)}}
	spec := runctl.RunSpec{Key: "k", Job: p.job("train"), Lifetime: time.Hour, MaxHourly: runctl.USD(5), Needs: runctl.OfferQuery{Road: runctl.RoadShell}}
	launch := runctl.LaunchSpec{Key: name, Lifetime: time.Hour, MaxHourly: runctl.USD(5)}
	client := func(ps ...runctl.Provider) *runctl.Client {
		c, err := runctl.New(cfg, ps...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	open := func(context.Context, func(string) string) (runctl.Provider, error) { return nil, nil }
	var reg runctl.Registry
	reg.Register(runctl.Factory{Name: name, Open: open})
	ctx := t.Context()
	var none context.Context
	for what, do := range map[string]func(){
		"a factory twice":        func() { reg.Register(runctl.Factory{Name: name, Open: open}) },
		"a factory without Open": func() { reg.Register(runctl.Factory{Name: name}) },
		"a nil provider":         func() { _, _ = runctl.New(cfg, (*fake.Cloud)(nil)) },
		"a client of nothing":    func() { _, _ = new(runctl.Client).Start(ctx, spec) },
		"a run of nothing":       func() { _, _ = new(runctl.Run).Wait(ctx) },
		"no client":              func() { _, _ = (*runctl.Client)(nil).Launch(ctx, launch) },
		"no context":             func() { _, _ = client(fake.New()).Start(none, spec) },
		"a provider at a launch": func() { _, _ = client(bomb{fake.New()}).Launch(ctx, launch) },
		"a provider at a start":  func() { _, _ = client(bomb{fake.New()}).Start(ctx, spec) },
		"a provider at a connection": func() {
			b := bomb{fake.New()}
			i, err := client(b.Cloud).Launch(ctx, launch)
			require.NoError(t, err)
			_, _ = client(b).Submit(ctx, i.Ref(), spec.Job)
		},
		"a trace": func() {
			own := cfg
			own.Trace = func(e runctl.Event) {
				if e.Name == runctl.EventLaunching { // others come on goroutines of the client's
					panic(e)
				}
			}
			c, err := runctl.New(own, fake.New())
			require.NoError(t, err)
			_, _ = c.Start(ctx, spec)
		},
		"a secret of nothing": func() { _ = fmt.Sprint(new(runctl.Secret), runctl.Secret{}); panic(p.secrets) },
		"a configuration":     func() { panic(cfg) },
		"a job":               func() { panic(spec) },
	} {
		assert.True(t, h.panics(what, do), what)
	}
	for what, ps := range map[string][]runctl.Provider{"none": nil, "nil": {nil}, "two of a name": {fake.New(), fake.New()}, "a bad name": {fake.New(fake.Name("No"))}} {
		_, err := runctl.New(cfg, ps...)
		require.Error(t, err, what)
		h.failure("New, "+what, err)
	}
	h.mustHaveSeen(atPanic)
}

// crashing is what a process does that is to crash: with its secrets from the environment.
const crashing = "RUNCTL_CANARY_CRASH"

// crash panics in a goroutine of the client, where nobody can recover.
func crash() {
	c, err := runctl.New(runctl.Config{Owner: "ann", Secret: []byte(os.Getenv("CRASH_SECRET"))}, crasher{fake.New()})
	if err != nil {
		panic(err)
	}
	job := runctl.Job{Args: []string{"train"}, Secrets: map[string]runctl.Secret{"TOKEN": runctl.SecretEnv("CRASH_TOKEN"), "VALUE": runctl.NewSecret(os.Getenv("CRASH_VALUE"))}}
	_, _ = c.Run(context.Background(), runctl.RunSpec{Key: "k", Job: job, Lifetime: time.Hour, MaxHourly: runctl.USD(5)})
}

// crasher panics when the client's own goroutine lists.
type crasher struct{ *fake.Cloud }

func (c crasher) List(context.Context, runctl.ListQuery) ([]runctl.Instance, error) {
	panic("a provider that panics: " + os.Getenv("CRASH_PLAIN"))
}

// The last words of a process, with all of its goroutines.
func TestACrashShowsNothing(t *testing.T) {
	h := newHunt(t)
	cmd := exec.Command(os.Args[0])
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), crashing+"=1", "GOTRACEBACK=system", "CRASH_SECRET="+h.secret("Config.Secret"), "CRASH_TOKEN="+h.secret("a secret from the environment"),
		"CRASH_VALUE="+h.secret("a secret from memory"), "CRASH_PLAIN="+h.control("the panic's text"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Contains(t, out.String(), "goroutine ")
	require.True(t, strings.Contains(out.String(), "runctl.(*gather).run") || strings.Contains(out.String(), "runctl.(*poller).loop"), out.String())
	h.look(atPanic, "a crash", out.String())
	left, err := filepath.Glob(filepath.Join(cmd.Dir, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	h.mustHaveSeen(atPanic)
}
