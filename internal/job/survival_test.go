package job

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killSupervisor ends it as nothing else can, and waits until it is gone.
func killSupervisor(t *testing.T, m *shellMachine, run string) {
	t.Helper()
	pid := m.supervisor(t, run)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.True(t, m.leaves(pid))
}

func phase(t *testing.T, m Machine, run string) Phase {
	t.Helper()
	s, err := Inspect(t.Context(), m, run)
	require.NoError(t, err)
	require.Equal(t, s.Phase == PhaseDone, s.Receipt != nil)
	return s.Phase
}

func TestAKilledSupervisorTakesNeitherTheJobNorItsCode(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		for _, c := range []struct {
			name, end string
			code      int
			signal    string
		}{{"code", "exit 5", 5, ""}, {"kill", "kill -9 $$", 137, "KILL"}} {
			if hasNoProc(m) && c.signal != "" {
				c.signal = "?"
			}
			up, gate := fifo(t), fifo(t)
			start(t, m, sh(c.name, "echo up >"+up+"; read x <"+gate+"; echo $x; "+c.end))
			hear(t, up)
			killSupervisor(t, m, c.name)
			assert.Equal(t, PhaseOrphaned, phase(t, m, c.name))
			var refused *Refused
			require.ErrorAs(t, Start(t.Context(), m, sh("next", "exit 0")), &refused, "the job still has the machine")
			assert.Equal(t, RefusedBusy, refused.Code)
			tell(t, gate, "word")
			looks := make([]Status, 3) // three readers at once: one writes
			for i, err := range atOnce(3, func(i int) (err error) {
				looks[i], err = Wait(t.Context(), m, c.name, 20*time.Second)
				return err
			}) {
				require.NoError(t, err)
				require.Equal(t, PhaseDone, looks[i].Phase, looks[i].Evidence)
				assert.Equal(t, looks[0].Receipt, looks[i].Receipt)
			}
			assert.Equal(t, []any{c.code, c.signal}, []any{looks[0].Receipt.Code, looks[0].Receipt.Signal})
			assert.EqualValues(t, 5, looks[0].Receipt.LogBytes)
			assert.Equal(t, "word\n", text(t, m, c.name))
		}
		start(t, m, sh("next", "exit 0"))
		done(t, m, "next")
	})
}

func TestAnOrphanCanBeCancelledAndAdopted(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		start(t, m, sh("a", `trap 'echo saved; exit 9' TERM; echo up >`+up+`; while :; do sleep 1; done`))
		hear(t, up)
		killSupervisor(t, m, "a")
		refusedWith(t, RefusedBusy, Start(t.Context(), m, sh("next", "exit 0"))) // before anybody has looked
		require.NoError(t, Cancel(t.Context(), m, "a", -1))
		r := done(t, m, "a")
		assert.Equal(t, []any{"cancel", 9, EndTerm}, []any{r.Cause, r.Code, r.End})

		s := sh("b", "echo up >"+up+"; read x <"+gate)
		start(t, m, s)
		hear(t, up)
		killSupervisor(t, m, "b")
		start(t, m, s) // the same start again: not a second job, but a new supervisor
		assert.Equal(t, PhaseRunning, phase(t, m, "b"))
		tell(t, gate, "go")
		assert.Zero(t, done(t, m, "b").Code)
	})
}

func TestWhatNobodySawIsLost(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		start(t, m, sh("r", "echo up >"+up+"; read x <"+gate))
		hear(t, up)
		killSupervisor(t, m, "r")
		job := m.pid("r", "j")
		keeper := parent(t, job)
		for _, pid := range []int{keeper, job} {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, patience, 10*time.Millisecond, "init reaps")
		}
		spec := filepath.Join(m.root, "run", "r", "ctl", "in") // as if it had been killed before it read its secrets
		require.NoError(t, os.WriteFile(spec, []byte(canary), 0o600))
		s, err := Wait(t.Context(), m, "r", time.Minute)
		require.NoError(t, err)
		assert.Equal(t, PhaseLost, s.Phase)
		assert.NoFileExists(t, spec, "nobody will ever read it")
		require.NoError(t, Start(t.Context(), m, sh("r", "echo up >"+up+"; read x <"+gate)), "known, and never run again")
		assert.Equal(t, PhaseLost, phase(t, m, "r"))
		require.NoError(t, Cancel(t.Context(), m, "r", 0))
	})
}

func TestAnotherBootIsLost(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", "exit 0"))
		done(t, m, "r")
		own := filepath.Join(m.root, "own", "r")
		for _, link := range []string{"1", "j"} {
			old, err := os.Readlink(filepath.Join(own, link))
			require.NoError(t, err)
			_, rest, _ := strings.Cut(old, ":")
			require.NoError(t, os.Remove(filepath.Join(own, link)))
			require.NoError(t, os.Symlink("another-boot:"+rest, filepath.Join(own, link)))
		}
		_ = os.Remove(filepath.Join(own, "w"))
		assert.Equal(t, PhaseDone, phase(t, m, "r"), "a receipt is for ever")
		require.NoError(t, os.Remove(filepath.Join(m.root, "run", "r", "ctl", "exit")))
		s, err := Inspect(t.Context(), m, "r")
		require.NoError(t, err)
		assert.Equal(t, PhaseLost, s.Phase)
		assert.Contains(t, s.Evidence, "again")
	})
}

func TestAReceiptOutlivesWhatTheJobDoesToItsDirectory(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		for i, script := range []string{"rm -rf ../../ctl", "rm -rf ../../../r1", "mkdir ../../ctl/exit; echo x >../../ctl/exit/y",
			"rm ../../ctl/exit.slot; mkdir ../../ctl/exit.slot", "rm -rf ../../ctl; echo >../../ctl",
			"mkdir -p ../../ctl/exit ../../../../rescue/$RUNCTL_RUN_ID; echo x >../../ctl/exit/y"} {
			run := fmt.Sprint("r", i)
			start(t, m, sh(run, "cd ../work; "+script+"; exit 6"))
			assert.Equal(t, 6, done(t, m, run).Code, script)
		}
	})
}

func TestNothingStaysBehindWhenTheRootIsRemoved(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		start(t, m, sh("r", "echo up >"+up+"; read x <"+gate))
		hear(t, up)
		supervisor, keeper := m.supervisor(t, "r"), parent(t, m.pid("r", "j"))
		require.NoError(t, os.RemoveAll(m.root))
		tell(t, gate, "go")
		require.Eventually(t, func() bool { return m.leaves(supervisor) && m.leaves(keeper) }, patience, 10*time.Millisecond)
		assert.NoDirExists(t, m.root)
	})
}

func TestAForgedReceiptOfALivingJobIsUnknown(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		now := time.Now()
		forged := Receipt{Run: "r", Cause: "exit", End: EndSelf, Started: now, Ended: now}.Marshal()
		start(t, m, sh("r", "printf %s '"+string(forged)+"' >../../ctl/exit; echo up >"+up+"; read x <"+gate+"; exit 8"))
		hear(t, up)
		assert.Equal(t, PhaseUnknown, phase(t, m, "r"))
		refusedWith(t, RefusedBusy, Start(t.Context(), m, sh("next", "exit 0")))
		tell(t, gate, "go")
		assert.Equal(t, 8, done(t, m, "r").Code, "the supervisor's word replaces the forged one")
	})
}

func TestWhatIsNoReceiptOfTheRunIsNone(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		start(t, m, sh("r", "echo up >"+up+"; read x <"+gate+"; exit 8"))
		hear(t, up)
		now := time.Now()
		of := func(run string) string {
			return string(Receipt{Run: run, Cause: "exit", End: EndSelf, Started: now, Ended: now}.Marshal())
		}
		exit, elsewhere := filepath.Join(m.root, "run", "r", "ctl", "exit"), filepath.Join(m.root, "elsewhere")
		for name, text := range map[string]string{"another run's": of("s"), "with another sum": strings.Replace(of("r"), "sum=", "sum=1", 1),
			"without its end": strings.TrimSuffix(of("r"), " .\n")} {
			require.NoError(t, os.WriteFile(exit, []byte(text), 0o600))
			assert.Equal(t, PhaseRunning, phase(t, m, "r"), name)
		}
		require.NoError(t, os.Remove(exit))
		require.NoError(t, os.WriteFile(elsewhere, []byte(of("r")), 0o600))
		require.NoError(t, os.Symlink(elsewhere, exit))
		assert.Equal(t, PhaseRunning, phase(t, m, "r"), "a link to one")
		tell(t, gate, "go")
		assert.Equal(t, 8, done(t, m, "r").Code)
	})
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	var state string
	var ppid int
	_, err = fmt.Sscan(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), &state, &ppid)
	require.NoError(t, err)
	return ppid
}
