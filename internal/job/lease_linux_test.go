package job

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARenewalMovesTheEndByWhatTheRunAskedForAtMost(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		s := sh("r", `trap 'exit 5' TERM; echo up >`+ready+`; while :; do sleep 0.05; done`)
		s.Lease = 12 * time.Second
		start(t, m, s)
		hear(t, ready)
		first, err := Inspect(t.Context(), m, "r")
		require.NoError(t, err)
		assert.Equal(t, s.Lease, first.Lease)
		initial, err := Renew(t.Context(), m, "r", 0, time.Millisecond) // late: it says when the lease ends
		require.NoError(t, err)
		assert.LessOrEqual(t, initial, first.Up+s.Lease)
		end, err := Renew(t.Context(), m, "r", first.Up, s.Lease)
		require.NoError(t, err)
		assert.Equal(t, first.Up+s.Lease, end)
		for _, seen := range []time.Duration{first.Up, first.Up - 2*time.Second, 0} { // repeated, delayed
			same, err := Renew(t.Context(), m, "r", seen, s.Lease)
			require.NoError(t, err)
			assert.Equal(t, end, same)
		}
		_, err = Renew(t.Context(), m, "r", first.Up+time.Hour, s.Lease)
		refusedWith(t, RefusedLease, err)
		_, err = Renew(t.Context(), m, "r", first.Up, s.Lease+time.Millisecond)
		refusedWith(t, RefusedLease, err)
		for _, err := range atOnce(6, func(int) error { _, err := Renew(t.Context(), m, "r", first.Up, s.Lease); return err }) {
			require.NoError(t, err)
		}
		same, err := Renew(t.Context(), m, "r", 0, time.Millisecond)
		require.NoError(t, err)
		assert.Equal(t, end, same, "nothing of this moved it")
		r := done(t, m, "r")
		assert.Equal(t, []any{"lease", 5, EndTerm}, []any{r.Cause, r.Code, r.End})
		assert.GreaterOrEqual(t, up(t, m), end)
		_, err = Renew(t.Context(), m, "r", end, s.Lease)
		refusedWith(t, RefusedLease, err)
	})
}

func TestWhatIsEndingOrHasNoLeaseCannotBeRenewed(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ready, save := fifo(t), fifo(t)
		for _, run := range []string{"ending", "none"} {
			s := sh(run, `trap 'read x <`+save+`; exit 5' TERM; echo up >`+ready+`; while :; do sleep 0.05; done`)
			s.Shared = true
			if run == "ending" {
				s.Lease = time.Minute
			}
			start(t, m, s)
			hear(t, ready)
		}
		_, err := Renew(t.Context(), m, "none", 0, time.Second)
		refusedWith(t, RefusedLease, err)
		_, err = Renew(t.Context(), m, "nobody", 0, time.Second)
		assert.ErrorIs(t, err, ErrNoRun)
		require.NoError(t, Cancel(t.Context(), m, "ending", -1))
		now := up(t, m)
		_, err = Renew(t.Context(), m, "ending", now, time.Second)
		refusedWith(t, RefusedLease, err)
		tell(t, save, "x")
		done(t, m, "ending")
		require.NoError(t, Cancel(t.Context(), m, "none", 0))
		done(t, m, "none")
	})
}

func TestSilenceEndsOnlyWhatAskedForALease(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for name, silence := range map[string]func(t *testing.T, pid int, dir string){
			"killed":     func(t *testing.T, pid int, _ string) { require.NoError(t, syscall.Kill(pid, syscall.SIGKILL)) },
			"stopped":    func(t *testing.T, pid int, _ string) { require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP)) },
			"no network": func(t *testing.T, _ int, dir string) { require.NoError(t, os.WriteFile(dir+"/gone", nil, 0o600)) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m, plain := m.another(t), m.another(t)
				ready, gate := fifo(t), fifo(t)
				g := Guard{Lifetime: time.Hour, Keep: time.Hour}
				require.NoError(t, Arm(t.Context(), plain, g))
				start(t, plain, sh("r", `read x <`+gate+`; exit 4`)) // asks for none
				calls := m.withSteps(t, map[string]string{"10-off": ""})
				require.NoError(t, Arm(t.Context(), m, g))
				s := sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 0.05; done`)
				s.Lease, s.Grace = 8*time.Second, time.Second
				start(t, m, s)
				hear(t, ready)
				c, dir := controller(t, m)
				_, elsewhere := controller(t, plain)
				begun := up(t, m)
				until(t, m, begun+s.Lease*5/4)
				require.Equal(t, PhaseRunning, phase(t, m, "r"), "it is renewed")
				silence(t, c.Process.Pid, dir)
				require.NoError(t, os.WriteFile(elsewhere+"/gone", nil, 0o600))
				cut := up(t, m)
				r := done(t, m, "r")
				assert.Equal(t, []any{"lease", EndKill}, []any{r.Cause, r.End})
				end := off(t, calls, "10-off", 30*time.Second)[0]
				assert.Equal(t, "lease", end.cause, "at once, not after the keep time")
				assert.GreaterOrEqual(t, end.up, lastPromise(t, dir), "too early")
				assert.LessOrEqual(t, end.up, cut+s.Lease+tick+s.Grace+allowance, "too late")
				assert.Equal(t, PhaseRunning, phase(t, plain, "r"))
				tell(t, gate, "go")
				assert.Equal(t, 4, done(t, plain, "r").Code)
			})
		}
	})
}

// lastPromise is the latest end of a lease that a controller was told.
func lastPromise(t *testing.T, dir string) (until time.Duration) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "until"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		require.NoError(t, err)
		until = max(until, time.Duration(n))
	}
	require.NotZero(t, until, "nothing was renewed")
	return until
}
