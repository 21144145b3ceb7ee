package job

import (
	"bytes"
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

func TestAContainersJobLeavesItsCodeAndItsLog(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for _, c := range []struct {
			name, script string
			code         int
			signal       string
			cause        string
		}{
			{"zero", "echo hello", 0, "", "exit"},
			{"one", "echo hello; exit 1", 1, "", "exit"},
			{"own-137", "echo hello; exit 137", 137, "", "exit"},
			{"killed", "echo hello; kill -9 $$", 137, "KILL", "signal"},
		} {
			own := m.another(t)
			v := vesselOf(t.TempDir(), sh(c.name, c.script))
			k := own.boot(t, scriptOf(t, v))
			r := k.receipt()
			assert.Equal(t, []any{c.name, c.code, c.signal, c.cause, int64(6)}, []any{r.Run, r.Code, r.Signal, r.Cause, r.LogBytes})
			assert.Equal(t, "hello\n", string(k.log))
			assert.True(t, k.journal.Whole())
			assert.True(t, strings.HasPrefix(k.lines[0], "RUNCTL_START v=1 nonce="+testNonce+" "), "first: %s", k.lines[0])
			k.until("self-end was tried", func() bool { return k.birth().Start.SelfEnd == "ok" })
			own.halt(k)
		}
	})
}

func TestTheSizeOfAContainersScript(t *testing.T) {
	v := vesselOf("/tmp", sh("r", "exit 0"))
	v.Durable = "/workspace/.runctl/label"
	s := scriptOf(t, v)
	t.Logf("%d bytes", len(s))
	assert.Less(t, len(s), 40<<10)
}

func TestAContainersFirstProcessSpeaksOfNothingElse(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		var log bytes.Buffer
		for i := range 3 {
			log.WriteString(strings.Repeat("x", 3999+i) + "\n")
		}
		log.WriteString("tab\t, caf\xc3\xa9\n\n\n  blanks  \nRUNCTL_EXIT v=1 nonce=0 boot=0 forged\n")
		log.WriteString("bar 1\rbar 2\r\nnul\x00nul\n\x1b[31mred\x1b[0m\n\xff\xfe not text\n")
		log.WriteString("no end")
		file := filepath.Join(t.TempDir(), "log")
		require.NoError(t, os.WriteFile(file, log.Bytes(), 0o644))
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), sh("r", "cat "+file+"; sleep 1; cat "+file))))
		assert.EqualValues(t, 2*log.Len(), k.receipt().LogBytes)
		assert.Equal(t, log.String()+log.String(), string(k.log))
	})
}

// counted is a job that writes a line to a file at each start, before what else it does.
func counted(t *testing.T, run, script string) (Spec, func() int) {
	file := filepath.Join(t.TempDir(), "starts")
	return sh(run, "echo start >>"+file+"; "+script), func() int {
		text, _ := os.ReadFile(file)
		return bytes.Count(text, []byte("\n"))
	}
}

// wipe makes the machine's disk new, as a host does with a container's between two starts.
func (m *shellMachine) wipe(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(m.root)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.RemoveAll(filepath.Join(m.root, e.Name())))
	}
}

func TestAContainerThatStartsAgainIsSeen(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s, starts := counted(t, "r", "echo log; sleep 1000")
		script := scriptOf(t, vesselOf(t.TempDir(), s))
		k := m.boot(t, script)
		k.until("log", func() bool { return string(k.log) == "log\n" })
		m.halt(k)
		m.wipe(t)
		again := m.boot(t, script)
		again.until("log", func() bool { return string(again.log) == "log\n" })
		assert.Equal(t, 2, starts(), "nothing on this disk tells it")

		j := NewJournal(testNonce)
		var lost []Piece
		for _, line := range append(k.lines, again.lines...) {
			for _, p := range j.Line(line) {
				if p.Lost != 0 {
					lost = append(lost, Piece{p.Offset, nil, p.Lost})
				}
			}
		}
		births := j.Births()
		require.Len(t, births, 2)
		assert.Equal(t, []any{true, true}, []any{births[0].Ran, births[1].Ran})
		assert.NotEqual(t, births[0].ID, births[1].ID)
		assert.Equal(t, []Piece{{4, nil, -1}}, lost, "the end of the first log is not known")
		assert.EqualValues(t, 8, j.Next())
	})
}

func TestWithStorageThatLastsAJobIsStartedAtMostOnce(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for name, end := range map[string]string{"ended": "exit 4", "cut": "sleep 1000"} {
			own := m.another(t)
			s, starts := counted(t, name, "echo log; echo saved >$RUNCTL_CHECKPOINT_DIR/latest; "+end)
			v := vesselOf(t.TempDir(), s)
			v.Durable = filepath.Join(t.TempDir(), ".runctl", "label")
			script := scriptOf(t, v)
			k := own.boot(t, script)
			var first Receipt
			if name == "ended" {
				first = k.receipt()
			} else {
				k.until("log", func() bool { return string(k.log) == "log\n" })
			}
			for range 2 {
				own.halt(k)
				own.wipe(t)
				k = own.boot(t, script)
				if name == "ended" {
					k.role(RoleDone)
					assert.Equal(t, first, k.receipt(), "from the record")
				} else {
					k.role(RoleBegun)
					assert.Nil(t, k.birth().Receipt)
				}
				assert.False(t, k.birth().Ran)
			}
			assert.Equal(t, 1, starts())
			if name == "ended" {
				assert.Equal(t, "saved", first.Checkpoint)
				kept, err := os.ReadFile(v.Durable + "/log")
				require.NoError(t, err)
				assert.Equal(t, "log\n", string(kept))
			}
			assert.FileExists(t, v.Durable+"/checkpoints/latest")
		}
	})
}

func TestOfContainersOnOneStorageOneRunsTheJob(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s, starts := counted(t, "r", "sleep 1000")
		v := vesselOf(t.TempDir(), s)
		v.Durable = filepath.Join(t.TempDir(), "label")
		script := scriptOf(t, v)
		var all []*container
		for range 4 {
			all = append(all, m.another(t).boot(t, script))
		}
		ran := 0
		for _, k := range all {
			k.until("a role", func() bool { return k.birth().Start.Role != "" })
			k.until("a start", func() bool { return k.birth().Start.Role == RoleBegun || starts() == 1 })
			if k.birth().Ran {
				ran++
			}
		}
		assert.Equal(t, []int{1, 1}, []int{ran, starts()})
	})
}

func TestStorageThatCannotBeWrittenLetsNothingBegin(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s, starts := counted(t, "r", "exit 0")
		v := vesselOf(t.TempDir(), s)
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o644))
		v.Durable = file + "/label"
		k := m.boot(t, scriptOf(t, v))
		k.role(RoleRefused)
		assert.Contains(t, k.birth().Start.Text, "cannot be written")
		assert.Zero(t, starts())
	})
}

func TestAContainerThatStartsTooLateDoesNotRunTheJob(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s, starts := counted(t, "r", "exit 0")
		v := vesselOf(t.TempDir(), s)
		v.StartBy = time.Now().Add(-2 * time.Second)
		v.Linger = 0
		dir := t.TempDir()
		v.End = "end_ask() { return 1; }\nend_now() { echo end >>" + dir + "/ended; }\n"
		k := m.boot(t, scriptOf(t, v))
		k.role(RoleLate)
		k.until("its end", func() bool { _, err := os.Stat(dir + "/ended"); return err == nil })
		assert.Zero(t, starts())
		assert.False(t, k.birth().Ran)
		assert.Nil(t, k.birth().Receipt)
	})
}

func TestTermToAContainerEndsItsJobWithTheJobsOwnGrace(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for name, c := range map[string]struct {
			trap, end string
			code      int
		}{"saves": {"echo saved; exit 3", EndTerm, 3}, "deaf": {"", EndKill, 137}} {
			own := m.another(t)
			s := sh(name, `trap '`+c.trap+`' TERM; echo up; while :; do sleep 1; done`)
			s.Grace = 2 * time.Second
			k := own.boot(t, scriptOf(t, vesselOf(t.TempDir(), s)))
			k.until("up", func() bool { return strings.HasPrefix(string(k.log), "up\n") })
			require.NoError(t, k.cmd.Process.Signal(syscall.SIGTERM))
			r := k.receipt()
			assert.Equal(t, []any{"cancel", c.end, c.code}, []any{r.Cause, r.End, r.Code})
			assert.Equal(t, name == "saves", strings.HasSuffix(string(k.log), "saved\n"))
			assert.True(t, k.journal.Whole())
			require.NoError(t, k.cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, k.cmd.Process.Signal(syscall.SIGHUP))
			n := len(k.lines)
			k.until("it goes on", func() bool { return len(k.lines) > n })
		}
	})
}

func TestAContainersLifetimeEndsItsJobAndThenItself(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for name, change := range map[string]func(*Vessel){
			"lifetime":          func(v *Vessel) { v.Lifetime = 3 * time.Second },
			"started-again":     func(v *Vessel) { v.EndBy = time.Now().Add(4 * time.Second) },
			"limit-of-the-job":  func(v *Vessel) { v.Spec.Limit = 2 * time.Second },
			"lifetime-is-ended": func(v *Vessel) { v.EndBy = time.Now().Add(-time.Minute) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				own := m.another(t)
				dir := t.TempDir()
				v := vesselOf(dir, sh(name, "while :; do sleep 1000; done"))
				v.Linger = time.Second
				change(&v)
				k := own.boot(t, scriptOf(t, v))
				r := k.receipt()
				assert.Equal(t, []any{"lifetime", EndTerm}, []any{r.Cause, r.End})
				k.until("its end", func() bool { _, err := os.Stat(dir + "/ended"); return err == nil })
				select {
				case <-k.gone:
					t.Fatal("the host would start it again")
				default:
				}
			})
		}
	})
}

func TestAContainerThatCannotEndItselfStaysAndGoesOnTrying(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		dir := t.TempDir()
		v := vesselOf(dir, sh("r", "exit 0"))
		v.Linger = 0
		v.End = "end_ask() { return 1; }\nend_now() { echo try >>" + dir + "/tries; return 1; }\n"
		k := m.boot(t, scriptOf(t, v))
		k.until("it says so", func() bool { return k.birth().Start.SelfEnd == "no" })
		k.until("the second try", func() bool {
			text, _ := os.ReadFile(dir + "/tries")
			return bytes.Count(text, []byte("\n")) >= 2
		})
		assert.Equal(t, 0, k.receipt().Code)
	})
}

func TestAContainersJobSeesTheImageAndNothingOfOurs(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s := sh("r", "env | sort; echo dir=$PWD; umask; echo \"own=$OWN\"")
		s.Env = map[string]string{"OWN": "it's \"x\"\n$HOME # y", "HOME": "/nowhere"}
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), s)), "OF_IMAGE=yes", "RUNCTL_RUN=r")
		k.receipt()
		log := string(k.log)
		assert.Contains(t, log, "own=it's \"x\"\n$HOME # y\n")
		assert.Contains(t, log, "HOME=/nowhere\n")
		assert.Contains(t, log, "OF_IMAGE=yes\n")
		assert.Contains(t, log, "\ndir="+k.cmd.Dir+"\n", "the image's own working directory")
		assert.Contains(t, log, "\n0022\n")
		assert.Contains(t, log, "RUNCTL_RUN_ID=r\n")
		for _, line := range strings.Split(log, "\n") {
			name, _, _ := strings.Cut(line, "=")
			if strings.HasPrefix(name, "RUNCTL_") {
				assert.Contains(t, []string{"RUNCTL_RUN_ID", "RUNCTL_ATTEMPT", "RUNCTL_CHECKPOINT_DIR", "RUNCTL_OUTPUT_DIR", "RUNCTL_MARK"}, name)
			}
		}
		assert.NotContains(t, log, testNonce)
	})
}

func TestAContainersLineWithoutAnEndComesWithinSeconds(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), sh("r", "printf 'epoch 1: 10%%'; read x <"+gate+"; echo ' done'"))))
		k.until("the bar", func() bool { return string(k.log) == "epoch 1: 10%" })
		tell(t, gate, "go")
		k.receipt()
		assert.Equal(t, "epoch 1: 10% done\n", string(k.log))
	})
}

func TestAContainersLogIsWholeHoweverLong(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		s := sh("r", "i=0; while [ $i -lt 100000 ]; do echo \"line $i of the log\"; i=$((i + 1)); done")
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), s)))
		k.until("its end", k.journal.Whole)
		var want bytes.Buffer
		for i := range 100000 {
			fmt.Fprintf(&want, "line %d of the log\n", i)
		}
		assert.True(t, bytes.Equal(want.Bytes(), k.log), "%d bytes of %d", len(k.log), want.Len())
		for _, p := range k.pieces {
			require.Zero(t, p.Lost)
		}
	})
}

func TestALogThatItsJobHasCutGoesOn(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), sh("r", "echo before; read x <"+gate+"; : >"+m.root+"/run/r/out; echo after"))))
		k.until("before", func() bool { return string(k.log) == "before\n" })
		tell(t, gate, "go")
		k.receipt()
		k.until("after", func() bool { return strings.HasSuffix(string(k.log), "after\n") })
	})
}

func TestAContainersJobOutlivesItsSupervisor(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), sh("r", "echo up; read x <"+gate+"; exit 6"))))
		k.until("up", func() bool { return string(k.log) == "up\n" })
		killSupervisor(t, m, "r")
		tell(t, gate, "go")
		assert.Equal(t, 6, k.receipt().Code)
	})
}

func TestAContainerWithoutItsDiskStays(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		dir := t.TempDir()
		v := vesselOf(dir, sh("r", "rm -rf "+m.root))
		v.Linger = 0
		k := m.boot(t, scriptOf(t, v))
		k.role(RoleLost)
		k.until("its end", func() bool { _, err := os.Stat(dir + "/ended"); return err == nil })
		select {
		case <-k.gone:
			t.Fatal("the host would start it again")
		default:
		}
	})
}
