package job

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever happens to the machine, what is said of a run is one of the phases, with its evidence; and never a success
// that nobody saw.

func TestAReadOnlyMachineRefusesAndAFinishedRunKeepsItsCode(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, m *shellMachine) {
		mine := m.asUser(t, 54330)
		gate, up := fifo(t), fifo(t)
		for _, f := range []string{gate, up} {
			for dir, mode := f, os.FileMode(0o666); dir != os.TempDir(); dir, mode = filepath.Dir(dir), 0o755 {
				require.NoError(t, os.Chmod(dir, mode))
			}
		}
		start(t, mine, sh("r", `echo up >`+up+`; read x <`+gate+`; exit 5`))
		hear(t, up)
		dirs := []string{m.root, m.root + "/own", m.root + "/own/r", m.root + "/run", m.root + "/run/r", m.root + "/run/r/ctl", m.root + "/v1"}
		for _, dir := range dirs {
			require.NoError(t, os.Chmod(dir, 0o500))
		}
		refusedWith(t, RefusedNoSpace, Start(t.Context(), mine, sh("next", "exit 0")))
		tell(t, gate, "go")
		r := done(t, mine, "r")
		assert.Equal(t, []any{"exit", 5}, []any{r.Cause, r.Code}, "the slot was there")
		for _, dir := range dirs {
			require.NoError(t, os.Chmod(dir, 0o700))
		}
		start(t, mine, sh("next", "exit 6"))
		assert.Equal(t, 6, done(t, mine, "next").Code)
		assert.Equal(t, r, done(t, mine, "r"))
	})
}

func TestWhenAllOfOursIsKilledTheRunIsLost(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		up := fifo(t)
		s := sh("r", "echo up >"+up+"; while :; do sleep 1000; done")
		start(t, m, s)
		hear(t, up)
		m.powerOff(t)
		look, err := Wait(t.Context(), m, "r", 30*time.Second) // an heir may look for what is left first
		require.NoError(t, err)
		if look.Receipt != nil { // init had not yet buried the job, and its status could be read
			assert.Equal(t, []any{"signal", 137}, []any{look.Receipt.Cause, look.Receipt.Code})
			return
		}
		assert.Equal(t, PhaseLost, look.Phase)
		assert.Contains(t, look.Evidence, "without a receipt")
		require.NoError(t, Start(t.Context(), m, s))
		assert.Equal(t, PhaseLost, phase(t, m, "r"), "and is not run again")
	})
}

func TestAStartThatFindsNoRoomNeverStarted(t *testing.T) {
	onEveryRoot(t, func(t *testing.T, plain *shellMachine) {
		for _, disk := range disks[:2] {
			t.Run(disk.name, func(t *testing.T) {
				t.Parallel()
				m := plain.another(t)
				disk.make(t, m)
				start(t, m, sh("first", "exit 2"))
				done(t, m, "first")
				fill := filepath.Join(m.root, "fill")
				f, err := os.Create(fill)
				require.NoError(t, err)
				for chunk := make([]byte, 4096); err == nil; _, err = f.Write(chunk) {
				}
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.NoError(t, f.Close())
				refusedWith(t, RefusedNoSpace, Start(t.Context(), m, sh("r", "exit 3")))
				s, err := Inspect(t.Context(), m, "r")
				require.NoError(t, err)
				assert.Equal(t, PhaseNone, s.Phase)
				assert.Equal(t, 2, done(t, m, "first").Code)
				require.NoError(t, os.Remove(fill))
				start(t, m, sh("r", "exit 3"))
				assert.Equal(t, 3, done(t, m, "r").Code)
			})
		}
	})
}

func TestAnUptimeThatGoesBackIsAnotherBoot(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		m, clock := withClock(t, plain)
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: 2 * time.Hour}))
		clock.jump(90 * time.Minute)
		<-time.After(3 * time.Second)
		clock.powerCut(m, 1) // a container that was moved: the same id, and an uptime of its own
		h, err := Greet(t.Context(), m)
		require.NoError(t, err)
		assert.LessOrEqual(t, h.Left, 32*time.Minute, "what was spent stays spent")
		assert.GreaterOrEqual(t, h.Left, 28*time.Minute)
		still(t, calls)
	})
}
