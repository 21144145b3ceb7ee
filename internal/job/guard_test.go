package job

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A machine whose time is over ends no earlier than that, and no later than a tick, the grace and this: what the
// supervisor needs for stragglers and receipt, what the sync may take, and slowness of this computer.
const (
	tick      = time.Second
	allowance = 45 * time.Second
)

// turnedOff is one call of an end step of the test's.
type turnedOff struct {
	up          time.Duration
	cause, step string
}

// withSteps makes end steps that write down when and why they were called, after doing what they are given.
func (m *shellMachine) withSteps(t *testing.T, bodies map[string]string) (calls string) {
	t.Helper()
	calls = filepath.Join(t.TempDir(), "calls")
	dir := filepath.Join(m.root, "guard", "end.d")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	proc := "/proc"
	for _, e := range m.env {
		if p, ok := strings.CutPrefix(e, "RUNCTL_PROC="); ok && p != "/nonexistent" {
			proc = p
		}
	}
	for name, body := range bodies {
		text := fmt.Sprintf("read -r up x <%s/uptime; echo \"$up $1 %s\" >>'%s'\n%s\n", proc, name, calls, body)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	m.env = append(m.env, "RUNCTL_END_WAIT=1")
	return calls
}

// off waits until a step of that name was called, and returns every call so far.
func off(t *testing.T, calls, step string, within time.Duration) (all []turnedOff) {
	t.Helper()
	for deadline := time.Now().Add(within); ; <-time.After(50 * time.Millisecond) {
		all = nil
		text, _ := os.ReadFile(calls)
		for line := range strings.Lines(string(text)) {
			var up float64
			var c turnedOff
			if _, err := fmt.Sscan(line, &up, &c.cause, &c.step); err == nil {
				c.up = time.Duration(up*100+0.5) * centi
				all = append(all, c)
			}
		}
		for _, c := range all {
			if c.step == step {
				return all
			}
		}
		if time.Now().After(deadline) {
			require.FailNow(t, "the machine did not end", "%v after %v", all, within)
		}
	}
}

func up(t *testing.T, m Machine) time.Duration {
	t.Helper()
	h, err := Greet(t.Context(), m)
	require.NoError(t, err)
	return h.Up
}

// until waits for an uptime.
func until(t *testing.T, m Machine, then time.Duration) {
	t.Helper()
	for left := then - up(t, m); left > 0; left = then - up(t, m) {
		<-time.After(left)
	}
}

// inTime holds the moment of an end against when its time was over.
func inTime(t *testing.T, at, over, grace time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, at, over, "too early")
	assert.LessOrEqual(t, at, over+tick+grace+allowance, "too late")
}

// warden is the pid of the guard.
func (m *shellMachine) warden() (pid int) {
	for n := 1; ; n++ {
		text, err := os.Readlink(filepath.Join(m.root, "guard", fmt.Sprint(n)))
		if err != nil {
			return pid
		}
		_, _ = fmt.Sscan(strings.Split(text, ":")[1], &pid)
	}
}

func TestTheGuardEndsTheMachineWhenItsLifetimeIsOver(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		ready := fifo(t)
		g := Guard{Lifetime: 3 * time.Second, Grace: 2 * time.Second}
		for run, trap := range map[string]string{"deaf": `''`, "saves": `'echo saved; exit 3'`} {
			s := sh(run, `trap `+trap+` TERM; echo up >`+ready+`; while :; do sleep 1; done`)
			s.Shared = true
			start(t, m, s)
			hear(t, ready)
		}
		begun := up(t, m)
		require.NoError(t, Arm(t.Context(), m, g))
		armed := up(t, m)
		require.NoError(t, Arm(t.Context(), m, g), "again")
		other := g
		other.Keep = time.Second
		refusedWith(t, RefusedGuard, Arm(t.Context(), m, other))
		h, err := Greet(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, []any{true, []string{"10-off"}}, []any{h.Guard, h.Steps})
		assert.LessOrEqual(t, h.Left, g.Lifetime)
		killed, saved := done(t, m, "deaf"), done(t, m, "saves")
		assert.Equal(t, []any{"lifetime", EndKill, 137}, []any{killed.Cause, killed.End, killed.Code})
		assert.Equal(t, []any{"lifetime", EndTerm, 3}, []any{saved.Cause, saved.End, saved.Code})
		end := off(t, calls, "10-off", patience)[0]
		assert.Equal(t, "lifetime", end.cause)
		if !hasNoProc(m) {
			inTime(t, end.up, begun+g.Lifetime, g.Grace)
			assert.LessOrEqual(t, end.up, armed+g.Lifetime+tick+g.Grace+allowance)
		}
		refusedWith(t, RefusedBusy, Start(t.Context(), m, sh("late", "exit 0")))
		assert.Equal(t, PhaseNone, phase(t, m, "late"))
		h, err = Greet(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, []any{true, "lifetime", time.Duration(0)}, []any{h.Guard, h.Ending, h.Left})
	})
}

func TestTheGuardEndsAnIdleMachine(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		gate := fifo(t)
		g := Guard{Lifetime: time.Hour, Keep: 3 * time.Second}
		start(t, m, sh("r", "read x <"+gate))
		require.NoError(t, Arm(t.Context(), m, g))
		armed := up(t, m)
		until(t, m, armed+2*g.Keep)
		assert.NoFileExists(t, calls, "a run is active")
		before := up(t, m)
		tell(t, gate, "go")
		assert.Equal(t, "exit", done(t, m, "r").Cause)
		end := off(t, calls, "10-off", patience)[0]
		assert.Equal(t, "idle", end.cause)
		if !hasNoProc(m) {
			inTime(t, end.up, before+g.Keep-tick, 0) // what runs is looked at once a tick
		}
	})
}

func TestAMachineWithoutStepsEndsItsRunsAndStays(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		synced, ready := filepath.Join(m.root, "synced"), fifo(t)
		m.instead(t, "sync", "echo >"+synced)
		s := sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 1000; done`)
		s.Grace = time.Second
		start(t, m, s)
		hear(t, ready)
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: 2 * time.Second, Grace: time.Hour}))
		r := done(t, m, "r")
		assert.Equal(t, []any{"lifetime", EndKill}, []any{r.Cause, r.End}, "its own grace is shorter than the machine's")
		guard := m.warden()
		require.Eventually(t, func() bool { return m.leaves(guard) }, patience, 10*time.Millisecond, "nothing is left to do")
		refusedWith(t, RefusedBusy, Start(t.Context(), m, sh("late", "exit 0")))
		h, err := Greet(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, []any{true, "lifetime"}, []any{h.Guard, h.Ending})
		assert.Equal(t, guard, m.warden())
		assert.FileExists(t, synced, "what was written is on the disk")
	})
}

func TestAnEndStepThatDoesNotWorkIsFollowedByTheNext(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for name, first := range map[string]string{"fails": "exit 1", "hangs": "while :; do sleep 0.1; done", "lies": "exit 0", "is broken": "if"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				own := m.another(t)
				calls := own.withSteps(t, map[string]string{"10-first": first, "20-second": "", "30-third": "exit 1"})
				require.NoError(t, Arm(t.Context(), own, Guard{Lifetime: time.Second}))
				off(t, calls, "30-third", patience)
				text, err := os.ReadFile(calls)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(calls, nil, 0o600))
				all := off(t, calls, "30-third", patience)
				assert.Contains(t, string(text), "20-second")
				if name == "lies" { // it said that the machine ends: that takes a while
					var at [2]float64
					_, err := fmt.Sscanf(string(text), "%g lifetime 10-first\n%g lifetime 20-second\n", &at[0], &at[1])
					require.NoError(t, err, "%s", text)
					assert.GreaterOrEqual(t, at[1]-at[0], 0.99)
				}
				if first != "if" {
					assert.Equal(t, "10-first", all[0].step, "round and round")
				}
			})
		}
	})
}

func TestNoSignalStopsTheGuard(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		ready := fifo(t)
		start(t, m, sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 1000; done`))
		hear(t, ready)
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: 12 * time.Second, Grace: time.Second}))
		guard := m.warden()
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
			require.NoError(t, syscall.Kill(-guard, sig))
		}
		for range 20 {
			<-time.After(20 * time.Millisecond)
			require.NotEqual(t, "Z", stat(t, guard)[0], "it goes on")
		}
		require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
		require.Eventually(t, func() bool { return m.warden() != guard }, patience, 10*time.Millisecond, "the run's supervisor starts another")
		guard = m.warden()
		require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
		require.True(t, m.leaves(guard))
		killSupervisor(t, m, "r")
		h, err := Greet(t.Context(), m)
		require.NoError(t, err)
		assert.True(t, h.Guard, "any verb starts another")
		assert.NotEqual(t, guard, m.warden())
		for ended := false; !ended; <-time.After(50 * time.Millisecond) { // and in the end itself
			_ = syscall.Kill(-m.warden(), syscall.SIGTERM)
			text, _ := os.ReadFile(calls)
			ended = len(text) > 0
		}
		assert.Equal(t, "lifetime", done(t, m, "r").Cause, "the guard took it over")
		guard = m.warden()
		require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
		require.True(t, m.leaves(guard))
		require.NoError(t, os.WriteFile(calls, nil, 0o600))
		_, err = List(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, "lifetime", off(t, calls, "10-off", patience)[0].cause, "it goes on with the end")
	})
}

func TestTheGuardTakesOverOrphans(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: time.Hour}))
		for run, s := range map[string]Spec{"lifetime": {Limit: 4 * time.Second}, "lease": {Lease: 4 * time.Second}} {
			limit, lease := s.Limit, s.Lease
			s = sh(run, `echo up >`+ready+`; while :; do sleep 1000; done`)
			s.Limit, s.Lease, s.Shared = limit, lease, true
			start(t, m, s)
			hear(t, ready)
			killSupervisor(t, m, run)
		}
		for _, run := range []string{"lifetime", "lease"} { // nobody asks: no look has it adopted
			exit := filepath.Join(m.root, "run", run, "ctl", "exit")
			require.Eventually(t, func() bool { _, err := os.Stat(exit); return err == nil }, patience, 20*time.Millisecond)
			assert.Equal(t, run, done(t, m, run).Cause)
		}
	})
}

func TestALookGivesAnOrphanItsLimitBack(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		s := sh("r", `echo up >`+ready+`; while :; do sleep 1000; done`)
		s.Limit = 3 * time.Second
		start(t, m, s)
		hear(t, ready)
		killSupervisor(t, m, "r")
		_, err := Inspect(t.Context(), m, "r")
		require.NoError(t, err)
		assert.Equal(t, "lifetime", done(t, m, "r").Cause)
	})
}

func TestTheBootScriptArmsTheGuardAtEveryBoot(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ofTheScript(t)
		calls := filepath.Join(t.TempDir(), "calls")
		m.env = append(m.env, "RUNCTL_END_WAIT=1")
		steps := map[string]string{"10-fails": "exit 1 # it's so\n", "20-off": "echo \"$1 it's\" >>'" + calls + "'\n"}
		boot := func() {
			var out strings.Builder
			code, err := m.Exec(t.Context(), []string{"sh", "-c", string(Boot(Guard{Lifetime: 8 * time.Second}, steps))}, nil, &out, &out)
			require.NoError(t, err)
			require.Zero(t, code, out.String())
			require.Contains(t, out.String(), "RUNCTL1 armed\nRUNCTL1 end\n")
		}
		boot()
		installed, err := os.ReadFile(filepath.Join(m.root, "v1", "sup-"+idOf(bootScript)))
		require.NoError(t, err)
		require.Equal(t, bootScript, string(installed))
		for name, text := range steps {
			written, err := os.ReadFile(filepath.Join(m.root, "guard", "end.d", name))
			require.NoError(t, err)
			assert.Equal(t, text, string(written))
		}
		guard := m.warden()
		boot()
		assert.Equal(t, guard, m.warden(), "one is enough")
		require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
		require.True(t, m.leaves(guard))
		boot()
		assert.NotEqual(t, guard, m.warden())
		h, err := Greet(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, []any{true, []string{"10-fails", "20-off"}}, []any{h.Guard, h.Steps})
		require.Eventually(t, func() bool { text, _ := os.ReadFile(calls); return strings.HasPrefix(string(text), "lifetime it's\n") },
			patience, 20*time.Millisecond)
	})
}

// frozen is a machine that cannot be reached while a file is there.
type frozen struct {
	*shellMachine
	gone string
}

func (f frozen) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if _, err := os.Stat(f.gone); err == nil {
		return -1, io.ErrUnexpectedEOF
	}
	return f.shellMachine.Exec(ctx, argv, stdin, stdout, stderr)
}

// renewForEver is a controller of its own: this program, started again by controller.
func renewForEver() {
	m := frozen{&shellMachine{env: os.Environ()}, os.Getenv("RUNCTL_TEST_CONTROLLER") + "/gone"}
	out, _ := os.OpenFile(os.Getenv("RUNCTL_TEST_CONTROLLER")+"/until", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	for ; ; <-time.After(500 * time.Millisecond) {
		s, err := Inspect(context.Background(), m, "r")
		if err != nil || s.Phase.Over() || s.Lease == 0 {
			continue
		}
		if until, err := Renew(context.Background(), m, "r", s.Up, s.Lease); err == nil {
			fmt.Fprintln(out, int64(until))
		}
	}
}

// controller starts one, and returns its process and where it writes what was promised to it.
func controller(t *testing.T, m *shellMachine) (cmd *exec.Cmd, dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(m.env, "RUNCTL_TEST_CONTROLLER="+dir)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, dir
}
