package job

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

// plant writes an identity where the run's supervisor and its job are written down.
func (m *shellMachine) plant(t *testing.T, run, boot string, pid int, born string) {
	t.Helper()
	for _, link := range []string{"1", "j"} {
		name := filepath.Join(m.root, "own", run, link)
		require.NoError(t, os.Remove(name))
		require.NoError(t, os.Symlink(fmt.Sprintf("%s:%d:%s", boot, pid, born), name))
	}
}

func TestAPidThatIsSomebodyElsesNowIsNotTakenForTheRuns(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", "exit 0"))
		done(t, m, "r")
		own, err := os.Readlink(filepath.Join(m.root, "own", "r", "1"))
		require.NoError(t, err)
		boot, _, _ := strings.Cut(own, ":")
		require.NoError(t, os.Remove(filepath.Join(m.root, "run", "r", "ctl", "exit")))
		for name, leads := range map[string]bool{"another boot": false, "another birth": true} {
			c := exec.Command("sleep", "1000")
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: leads}
			require.NoError(t, c.Start())
			born := stat(t, c.Process.Pid)[19]
			if leads {
				m.plant(t, "r", boot, c.Process.Pid, born+"1")
			} else {
				m.plant(t, "r", "another-boot", c.Process.Pid, born)
			}
			got := phase(t, m, "r")
			_ = c.Process.Kill()
			_ = c.Wait()
			assert.Equal(t, PhaseLost, got, name)
		}
	})
}

func TestAProcessMayHaveAnyName(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		program := filepath.Join(t.TempDir(), "a\n) Z 1 1 (")
		require.NoError(t, execfile.Write(program, "#!/bin/sh\necho up >"+up+"; read x <"+gate+"; exit 4\n"))
		start(t, m, Spec{Run: "r", Digest: "d", Argv: []string{program}})
		hear(t, up)
		assert.Equal(t, PhaseRunning, phase(t, m, "r"))
		killSupervisor(t, m, "r")
		assert.Equal(t, PhaseOrphaned, phase(t, m, "r"))
		tell(t, gate, "go")
		assert.Equal(t, 4, done(t, m, "r").Code)
	})
}

func TestASupervisorStandsAlone(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		start(t, m, sh("r", "echo up >"+up+"; read x <"+gate+"; exit 3"))
		hear(t, up)
		pid, job := m.supervisor(t, "r"), m.pid("r", "j")
		known, err := os.Readlink(filepath.Join(m.root, "own", "r", "1"))
		require.NoError(t, err)
		assert.Equal(t, []string{fmt.Sprint(pid), stat(t, pid)[19]}, strings.Split(known, ":")[1:], "it is known by its pid and its birth")
		for who, pid := range map[string]int{"the supervisor": pid, "the job": job} {
			assert.Equal(t, fmt.Sprint(pid), stat(t, pid)[3], "%s leads a session: no hang-up of the caller's reaches it", who)
		}
		at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		require.NoError(t, err)
		assert.Equal(t, "/", at, "it holds no directory")
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
			require.NoError(t, syscall.Kill(pid, sig))
		}
		tell(t, gate, "go")
		assert.Equal(t, 3, done(t, m, "r").Code)
		assert.Equal(t, pid, m.supervisor(t, "r"), "no signal but KILL ends it")
	})
}
