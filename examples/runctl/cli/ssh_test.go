package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/sshmachine"
)

func TestSSHRunsACommandOnARunsMachine(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	for _, args := range [][]string{{"ssh", "x", "--", "echo", "-t", "two words"}, {"ssh", "--", "echo", "-t", "two words"},
		{"ssh", "-p", "fake", w.record("x").Ref.ID, "--", "echo", "-t", "two words"}, {"ssh", w.record("x").Ref.String(), "--", "echo", "-t", "two words"}} {
		r := w.run(args...)
		require.Equal(t, 0, r.code, "%v: %s", args, r.stderr)
		assert.Equal(t, "-t two words\n", r.stdout, "%v", args)
	}
	assert.Equal(t, outcomeOf{code: 7}, w.run("ssh", "x", "--", "sh", "-c", "exit 7"), "the code is the command's, and nothing is added")
	w.stdin = strings.NewReader("in\x00put")
	assert.Equal(t, outcomeOf{stdout: "in\x00put"}, w.run("ssh", "x", "--", "cat"))
	assert.Len(t, w.cloud.Billing(), 1)
}

func TestSSHFailsWith255(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	for _, args := range [][]string{{"ssh"}, {"ssh", "nope", "--", "ls"}, {"ssh", "x", "ls"}, {"ssh", "-t", "x"}, {"ssh", "--what"}, {"ssh", "rc1:nonsense"}} {
		r := w.run(args...)
		assert.Equal(t, 255, r.code, "%v: %s", args, r.stderr)
		assert.NotEmpty(t, r.stderr)
	}
	require.Equal(t, 0, w.run("run", "-p", "fake", "--name", "x", "prog").code)
	r := w.run("ssh", "x", "--", "ls")
	assert.Equal(t, 255, r.code)
	assert.Equal(t, "· x: it has ended, and so has its machine. Its log and outputs: runctl-out/x/\n", r.stderr)
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "y", "prog").code)
	assert.Contains(t, w.run("ssh", "-t", "y", "--", "true").stderr, "there is no terminal here")
	w.cloud.Inject(fake.Fault{Op: fake.OpExec})
	assert.Equal(t, 255, w.run("ssh", "y", "--", "true").code, "the end of the command is not known")
}

// withTerminals is a cloud whose machines have terminals.
type withTerminals struct {
	*fake.Cloud
	shell func(ctx context.Context, t sshmachine.Terminal, argv []string) (int, error)
}

type terminalMachine struct {
	runctl.Machine
	w *withTerminals
}

func (w *withTerminals) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	m, err := w.Cloud.Connect(ctx, i, a)
	return terminalMachine{m, w}, err
}

func (m terminalMachine) Shell(ctx context.Context, t sshmachine.Terminal, argv ...string) (int, error) {
	return m.w.shell(ctx, t, argv)
}

// testScreen is a terminal of 40 rows, which becomes one of 50.
type testScreen struct {
	isRaw   bool
	stopped bool
}

func (s *testScreen) raw() (func(), error) {
	s.isRaw = true
	return func() { s.isRaw = false }, nil
}

func (s *testScreen) sizes() (<-chan [2]int, func()) {
	c := make(chan [2]int, 2)
	c <- [2]int{40, 120}
	c <- [2]int{50, 90}
	return c, func() { s.stopped = true }
}

func TestSSHAtATerminalIsASession(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	var seen [][]string
	screen := &testScreen{}
	session := func(_ context.Context, term sshmachine.Terminal, argv []string) (int, error) {
		assert.True(t, screen.isRaw)
		assert.Equal(t, "xterm-fancy", term.Term)
		assert.Equal(t, [2]int{40, 120}, [2]int{term.Rows, term.Cols})
		assert.Equal(t, [2]int{50, 90}, <-term.Resize)
		in, _ := io.ReadAll(term.Stdin)
		_, _ = io.WriteString(term.Stdout, "\x1b[1m"+string(in))
		seen = append(seen, argv)
		return 3, nil
	}
	w.env["TERM"] = "xterm-fancy"
	w.reg = &runctl.Registry{}
	cloud := &withTerminals{w.cloud, session}
	w.reg.Register(runctl.Factory{Name: "fake", Open: func(context.Context, func(string) string) (runctl.Provider, error) { return cloud, nil }})
	at := func(args ...string) outcomeOf {
		var stdout, stderr syncBuffer
		*screen = testScreen{}
		w.stdin = strings.NewReader("typed")
		a := w.app(&stdout, &stderr)
		a.screen = screen
		return outcomeOf{a.run(t.Context(), args), stdout.String(), stderr.String()}
	}
	for _, args := range [][]string{{"ssh", "x"}, {"ssh", "-t", "x", "--", "htop", "-d", "1"}} {
		assert.Equal(t, outcomeOf{code: 3, stdout: "\x1b[1mtyped"}, at(args...))
		assert.False(t, screen.isRaw, "the terminal is as it was")
		assert.True(t, screen.stopped)
	}
	assert.Equal(t, [][]string{nil, {"htop", "-d", "1"}}, seen)
	assert.Equal(t, outcomeOf{stdout: "plain\n"}, at("ssh", "x", "--", "echo", "plain"), "a command gets a terminal when it is asked for")

	// A signal from outside ends the session, and gives the terminal back.
	cloud.shell = func(ctx context.Context, _ sshmachine.Terminal, _ []string) (int, error) {
		w.signals <- os.Interrupt
		<-ctx.Done()
		return -1, ctx.Err()
	}
	assert.Equal(t, 130, at("ssh", "x").code)
	assert.False(t, screen.isRaw)
}

func TestSSHSaysWhereThereAreNoTerminals(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	var stdout, stderr syncBuffer
	a := w.app(&stdout, &stderr)
	a.screen = &testScreen{}
	assert.Equal(t, 255, a.run(t.Context(), []string{"ssh", "x"}))
	assert.Contains(t, stderr.String(), "runctl ssh RUN -- ls")
}

// A host key that was seen once is known to every later command, whichever way it names the machine.
func TestAHostKeyIsRemembered(t *testing.T) {
	w := newWorld(t, fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
	w.cloud.Script("", fake.Script{Hold: true})
	r := w.run("launch", "-p", "fake", "--name", "box")
	require.Equal(t, 0, r.code, r.stderr)
	id := strings.TrimSpace(r.stdout)
	r = w.run("ssh", "-p", "fake", id, "--", "echo", "hello")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "nobody vouches for it")
	require.Equal(t, 0, w.run("submit", "-p", "fake", id, "--name", "x", "--", "prog").code)
	require.Equal(t, w.cloud.HostKey(id), w.record("x").Ref.HostKey)
	r = w.run("ssh", "x", "--", "echo", "hello")
	assert.Equal(t, outcomeOf{stdout: "hello\n"}, r, "it is known now")

	w.cloud.Impostor(id)
	sent := w.cloud.Calls(fake.OpExec)
	for _, args := range [][]string{{"ssh", "x", "--", "echo", "hello"}, {"ssh", "-p", "fake", id, "--", "echo", "hello"},
		{"submit", "-p", "fake", id, "--name", "y", "--", "prog"}, {"cancel", "x"}} {
		r := w.run(args...)
		assert.NotZero(t, r.code, args)
		assert.Contains(t, r.stderr, w.cloud.HostKey(id), args)
	}
	assert.Equal(t, sent, w.cloud.Calls(fake.OpExec))
}

// A run that went in with its launch has a machine that nobody has met: the first to enter it remembers its key.
func TestSSHRemembersTheKeyOfAVessel(t *testing.T) {
	w := newWorld(t, fake.JobOnly(), fake.HostKeys(runctl.TrustRead))
	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "prog").code)
	require.Empty(t, w.record("x").Ref.HostKey)
	r := w.run("ssh", "x", "--", "echo", "hello")
	require.Equal(t, outcomeOf{stdout: "hello\n"}, r)
	assert.Equal(t, w.cloud.HostKey(w.record("x").Ref.ID), w.record("x").Ref.HostKey)
}
