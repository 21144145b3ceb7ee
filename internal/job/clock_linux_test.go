package job

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

// clock is a machine's own uptime and boot id: a second /proc, over which lie two files of the test's. It goes on by
// itself, and jumps.
type clock struct {
	t    *testing.T
	dir  string
	mu   sync.Mutex
	base time.Time
}

// withClock is another machine of the kind, with a clock. It needs root.
func withClock(t *testing.T, plain *shellMachine) (*shellMachine, *clock) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a /proc of its own")
	}
	c := &clock{t: t, dir: t.TempDir()}
	proc := filepath.Join(c.dir, "proc")
	require.NoError(t, os.Mkdir(proc, 0o755))
	mount := func(args ...string) {
		t.Helper()
		out, err := exec.Command("mount", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	mount("-t", "proc", "proc", proc)
	t.Cleanup(func() { _ = exec.Command("umount", "-R", "-l", proc).Run() })
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "uptime"), []byte(fmt.Sprintf("%010.2f 0.00\n", 0.0)), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "boot"), []byte("00000000-0000-0000-0000-000000000001\n"), 0o644))
	mount("--bind", filepath.Join(c.dir, "uptime"), filepath.Join(proc, "uptime"))
	mount("--bind", filepath.Join(c.dir, "boot"), filepath.Join(proc, "sys/kernel/random/boot_id"))
	c.set(time.Hour)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				c.show()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	m := plain.another(t) // ends before its clock does
	m.env = append(m.env, "RUNCTL_PROC="+proc)
	return m, c
}

// up is the uptime.
func (c *clock) up() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.base)
}

func (c *clock) set(up time.Duration) {
	c.mu.Lock()
	c.base = time.Now().Add(-up)
	c.mu.Unlock()
	c.show()
}

func (c *clock) jump(d time.Duration) { c.set(c.up() + d) }

// show writes in place and always the same number of bytes: a reader sees the old or the new.
func (c *clock) show() {
	c.overwrite("uptime", fmt.Sprintf("%010.2f 0.00\n", c.up().Seconds()))
}

func (c *clock) overwrite(name, text string) {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_WRONLY, 0)
	if assert.NoError(c.t, err) {
		_, err = f.WriteAt([]byte(text), 0)
		assert.NoError(c.t, err)
		assert.NoError(c.t, f.Close())
	}
}

// powerCut ends every process of the machine, and boots it again.
func (c *clock) powerCut(m *shellMachine, boot int) {
	c.t.Helper()
	m.powerOff(c.t)
	c.overwrite("boot", fmt.Sprintf("00000000-0000-0000-0000-%012d\n", boot))
	c.set(20 * time.Second)
}

// still waits for some ticks of the guard, in which nothing may happen.
func still(t *testing.T, calls string) {
	t.Helper()
	<-time.After(3 * time.Second)
	require.NoFileExists(t, calls)
}

func TestAfterARebootTheMachineWaitsAQuarterOfAnHourForItsController(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		for name, c := range map[string]struct {
			guard Guard
			greet bool
			wait  time.Duration
		}{
			"nobody comes":                    {Guard{Lifetime: 100 * time.Hour}, false, 15 * time.Minute},
			"nobody comes, shorter keep time": {Guard{Lifetime: 100 * time.Hour, Keep: 5 * time.Minute}, false, 5 * time.Minute},
			"nobody comes, longer keep time":  {Guard{Lifetime: 100 * time.Hour, Keep: 5 * time.Hour}, false, 15 * time.Minute},
			"it comes":                        {Guard{Lifetime: 100 * time.Hour}, true, 0},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m, clock := withClock(t, plain)
				calls := m.withSteps(t, map[string]string{"10-off": ""})
				ready := fifo(t)
				require.NoError(t, Arm(t.Context(), m, c.guard))
				start(t, m, sh("r", `echo up >`+ready+`; while :; do sleep 1000; done`))
				hear(t, ready)
				clock.powerCut(m, 2)
				require.NoError(t, Arm(t.Context(), m, c.guard), "as the boot script does")
				s, err := Wait(t.Context(), m, "r", time.Minute)
				require.NoError(t, err)
				assert.Equal(t, PhaseLost, s.Phase)
				assert.Contains(t, s.Evidence, "started again")
				if c.greet {
					h, err := Greet(t.Context(), m)
					require.NoError(t, err)
					assert.Equal(t, "00000000-0000-0000-0000-000000000002", h.Boot)
					clock.jump(10 * time.Hour)
					still(t, calls)
					return
				}
				clock.jump(c.wait - 2*time.Minute)
				still(t, calls)
				clock.jump(2 * time.Minute)
				assert.Equal(t, "reboot", off(t, calls, "10-off", patience)[0].cause)
			})
		}
	})
}

func TestTheLifetimeIsTheSumOfAllUptimes(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		m, clock := withClock(t, plain)
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		g := Guard{Lifetime: time.Hour}
		left := func() time.Duration {
			h, err := Greet(t.Context(), m)
			require.NoError(t, err)
			require.True(t, h.Guard)
			return h.Left
		}
		require.NoError(t, Arm(t.Context(), m, g))
		armed := clock.up()
		clock.jump(20 * time.Minute)
		spent := filepath.Join(m.root, "guard", "s.*")
		require.Eventually(t, func() bool {
			names, _ := filepath.Glob(spent)
			if len(names) != 1 {
				return false
			}
			n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(names[0]), "s."))
			return err == nil && n >= 120000
		}, patience, 20*time.Millisecond, "written down at least each minute")
		assert.InDelta(t, (g.Lifetime - (clock.up() - armed)).Seconds(), left().Seconds(), 2)
		clock.powerCut(m, 2)
		require.NoError(t, Arm(t.Context(), m, g))
		assert.InDelta(t, (39*time.Minute + 40*time.Second).Seconds(), left().Seconds(), 61, "at most a minute of the last boot is forgotten")
		end := clock.up() + left()
		clock.set(end - 10*time.Second)
		still(t, calls)
		clock.set(end)
		assert.Equal(t, "lifetime", off(t, calls, "10-off", patience)[0].cause)
		clock.powerCut(m, 3) // power-off did not work, and somebody booted it again
		require.NoError(t, os.Remove(calls))
		require.NoError(t, Arm(t.Context(), m, g))
		assert.Equal(t, "lifetime", off(t, calls, "10-off", patience)[0].cause, "what ends stays ended")
	})
}

func TestAMachineThatEndedForIdlenessDoesNotBeginAnewWhenItIsBootedAgain(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		m, clock := withClock(t, plain)
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		g := Guard{Lifetime: 100 * time.Hour, Keep: time.Second}
		require.NoError(t, Arm(t.Context(), m, g))
		off(t, calls, "10-off", patience)
		clock.powerCut(m, 2)
		require.NoError(t, os.Remove(calls))
		require.NoError(t, Arm(t.Context(), m, g))
		assert.Equal(t, "idle", off(t, calls, "10-off", patience)[0].cause)
	})
}

func TestASleepingMachineLosesALeaseAndNothingElse(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, plain *shellMachine) {
		m, clock := withClock(t, plain)
		ready := fifo(t)
		for _, run := range []string{"leased", "plain"} {
			s := sh(run, `trap 'exit 3' TERM; echo up >`+ready+`; while :; do sleep 1; done`)
			s.Shared = true
			if run == "leased" {
				s.Lease = time.Hour
			}
			start(t, m, s)
			hear(t, ready)
		}
		before := clock.up()
		clock.jump(30 * time.Minute) // uptime counts the sleep
		_, err := Renew(t.Context(), m, "leased", before, time.Hour)
		require.NoError(t, err)
		clock.jump(29 * time.Minute)
		<-time.After(2 * time.Second)
		assert.Equal(t, PhaseRunning, phase(t, m, "leased"))
		clock.jump(2 * time.Minute)
		assert.Equal(t, "lease", done(t, m, "leased").Cause)
		clock.jump(10000 * time.Hour)
		<-time.After(2 * time.Second)
		assert.Equal(t, PhaseRunning, phase(t, m, "plain"))
		require.NoError(t, Cancel(t.Context(), m, "plain", -1))
		assert.Equal(t, 3, done(t, m, "plain").Code)
	})
}

func TestTheWallClockDecidesNothing(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		bin, count := t.TempDir(), filepath.Join(t.TempDir(), "n")
		date := "#!/bin/sh\necho x >>" + count + "\ncase $(wc -l <" + count + ") in *[13579]) echo 4102444800 ;; *) echo 5 ;; esac\n" // 2100, 1970
		require.NoError(t, execfile.Write(filepath.Join(bin, "date"), date))
		m.env[0] = "PATH=" + bin + ":" + strings.TrimPrefix(m.env[0], "PATH=")
		sh0, err := os.Readlink(filepath.Join(strings.Split(m.env[0], ":")[1], "sh"))
		require.NoError(t, err)
		require.NoError(t, os.Symlink(sh0, filepath.Join(bin, "sh")))
		calls := m.withSteps(t, map[string]string{"10-off": ""})
		begun := time.Now()
		require.NoError(t, Arm(t.Context(), m, Guard{Lifetime: 20 * time.Second}))
		s := sh("r", `while :; do sleep 1000; done`)
		s.Limit = 3 * time.Second
		start(t, m, s)
		r := done(t, m, "r")
		assert.Equal(t, "lifetime", r.Cause)
		assert.GreaterOrEqual(t, time.Since(begun), s.Limit)
		assert.Equal(t, []int64{4102444800, 5}, []int64{r.Started.Unix(), r.Ended.Unix()}, "it is text")
		assert.NoFileExists(t, calls)
		off(t, calls, "10-off", patience)
		assert.GreaterOrEqual(t, time.Since(begun), 20*time.Second)
	})
}
