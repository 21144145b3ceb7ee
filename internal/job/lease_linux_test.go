package job

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARenewalMovesTheEndByWhatTheRunAskedForAtMost(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		m, clock := withClock(t, plain)
		ready := fifo(t)
		s := sh("r", `trap 'exit 5' TERM; echo up >`+ready+`; while :; do sleep 1; done`)
		s.Lease = time.Hour
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
		_, err = Renew(t.Context(), m, "r", first.Up+10*time.Hour, s.Lease)
		refusedWith(t, RefusedLease, err)
		_, err = Renew(t.Context(), m, "r", first.Up, s.Lease+time.Millisecond)
		refusedWith(t, RefusedLease, err)
		for _, err := range atOnce(6, func(int) error { _, err := Renew(t.Context(), m, "r", first.Up, s.Lease); return err }) {
			require.NoError(t, err)
		}
		same, err := Renew(t.Context(), m, "r", 0, time.Millisecond)
		require.NoError(t, err)
		assert.Equal(t, end, same, "nothing of this moved it")
		clock.set(end - 2*time.Second)
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
			s := sh(run, `trap 'read x <`+save+`; exit 5' TERM; echo up >`+ready+`; while :; do sleep 1; done`)
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

// The machines have a clock of their own, so how slow this computer is decides nothing: a lease of an hour has minutes left
// whenever something must have come, and seconds when its end is waited for.
func TestSilenceEndsOnlyWhatAskedForALease(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, shell *shellMachine) {
		for name, silence := range map[string]func(t *testing.T, pid int, dir string){
			"killed":     func(t *testing.T, pid int, _ string) { require.NoError(t, syscall.Kill(pid, syscall.SIGKILL)) },
			"stopped":    func(t *testing.T, pid int, _ string) { require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP)) },
			"no network": func(t *testing.T, _ int, dir string) { require.NoError(t, os.WriteFile(dir+"/gone", nil, 0o600)) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m, clock := withClock(t, shell)
				plain := m.another(t)
				ready, gate := fifo(t), fifo(t)
				g := Guard{Lifetime: 1000 * time.Hour, Keep: 1000 * time.Hour}
				require.NoError(t, Arm(t.Context(), plain, g))
				start(t, plain, sh("r", `read x <`+gate+`; exit 4`)) // asks for none
				calls := m.withSteps(t, map[string]string{"10-off": ""})
				require.NoError(t, Arm(t.Context(), m, g))
				s := sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 1000; done`)
				s.Lease, s.Grace = time.Hour, time.Second
				start(t, m, s)
				hear(t, ready)
				c, dir := controller(t, m)
				_, elsewhere := controller(t, plain)
				for range 2 {
					clock.jump(s.Lease * 3 / 4)
					renewed(t, dir, clock.up()+s.Lease*3/4)
				}
				require.Equal(t, PhaseRunning, phase(t, m, "r"), "it is renewed")
				silence(t, c.Process.Pid, dir)
				require.NoError(t, os.WriteFile(elsewhere+"/gone", nil, 0o600))
				cut := up(t, m)
				clock.set(lastPromise(t, dir) - 3*time.Second)
				r := done(t, m, "r")
				assert.Equal(t, []any{"lease", EndKill}, []any{r.Cause, r.End})
				end := off(t, calls, "10-off", patience)[0]
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

// promises are the ends of a lease that a controller was told.
func promises(t *testing.T, dir string) (all []time.Duration) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "until"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if n, err := strconv.ParseInt(strings.TrimSuffix(line, "\n"), 10, 64); err == nil && strings.HasSuffix(line, "\n") {
			all = append(all, time.Duration(n))
		}
	}
	return all
}

// renewed waits for a promise of at least that.
func renewed(t *testing.T, dir string, until time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		all := promises(t, dir)
		return len(all) > 0 && slices.Max(all) >= until
	}, 5*time.Minute, 20*time.Millisecond, "nobody renews")
}

func lastPromise(t *testing.T, dir string) time.Duration {
	t.Helper()
	all := promises(t, dir)
	require.NotEmpty(t, all, "nothing was renewed")
	return slices.Max(all)
}
