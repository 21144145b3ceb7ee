//go:build linux

package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

// shellHost runs argument lists on this computer, with the shell under test as its sh.
type shellHost struct {
	t    *testing.T
	root string
	env  []string

	mu     sync.Mutex
	faults int64 // page faults of all commands and their children, which grow with the processes they make
}

func (h *shellHost) Close() error { return nil }

func (h *shellHost) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	path, _, _ := strings.Cut(strings.TrimPrefix(h.env[0], "PATH="), ":")
	cmd := exec.CommandContext(ctx, filepath.Join(path, argv[0]), argv[1:]...)
	cmd.Args[0], cmd.Env = argv[0], h.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if cmd.ProcessState != nil {
		h.mu.Lock()
		h.faults += cmd.ProcessState.SysUsage().(*syscall.Rusage).Minflt
		h.mu.Unlock()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// ask calls a verb, which must work.
func (h *shellHost) ask(verb string, args ...string) report {
	h.t.Helper()
	r, err := call(h.t.Context(), h, h.root, verb, args...)
	require.NoError(h.t, err)
	return r
}

// claim claims the host for a token, with an hour.
func (h *shellHost) claim(token string) report {
	h.t.Helper()
	return h.ask("claim", "rc1-me-"+token+"-x", token, "3600", "0", "-", "-")
}

func (h *shellHost) link(name string) string {
	text, _ := os.Readlink(filepath.Join(h.root, name))
	return text
}

// eventually waits for processes.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); <-time.After(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "never: %s", what)
	}
}

// freed waits until a claim has ended.
func (h *shellHost) freed(n int64) claim {
	h.t.Helper()
	var c claim
	eventually(h.t, "the end of the claim", func() bool {
		c, _ = h.ask("look", strconv.FormatInt(n, 10)).the(n)
		return c.freed
	})
	return c
}

// onEveryShell runs the test on a host of each kind. The busybox host has nothing but busybox, the ps host no /proc.
func onEveryShell(t *testing.T, test func(t *testing.T, h *shellHost)) {
	t.Helper()
	t.Parallel()
	for _, shell := range []struct {
		name, program string
		only, noproc  bool
	}{{name: "dash", program: "dash"}, {name: "bash", program: "bash"}, {name: "busybox", program: "busybox", only: true}, {name: "ps", program: "bash", noproc: true}} {
		program, err := exec.LookPath(shell.program)
		if err != nil {
			continue
		}
		program, err = filepath.EvalSymlinks(program)
		require.NoError(t, err)
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			path, names := bin+":"+os.Getenv("PATH"), []string{"sh"}
			for _, tool := range []string{"env", "sleep"} {
				if full, err := exec.LookPath(tool); err == nil && !shell.only {
					require.NoError(t, os.Symlink(full, filepath.Join(bin, tool)))
				}
			}
			if shell.only {
				path = bin
				list, err := exec.Command(program, "--list").Output()
				require.NoError(t, err)
				names = strings.Fields(string(list))
			}
			for _, name := range names {
				require.NoError(t, os.Symlink(program, filepath.Join(bin, name)))
			}
			h := &shellHost{t: t, root: filepath.Join(t.TempDir(), "a root")}
			h.env = []string{"PATH=" + path, "HOME=" + t.TempDir()}
			if shell.noproc {
				h.env = append(h.env, "RUNCTL_PROC=/nonexistent")
			}
			t.Cleanup(h.nothingLeft)
			test(t, h)
		})
	}
}

// nothingLeft fails a test that left a process which works for the host, and ends it.
func (h *shellHost) nothingLeft() {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range procs {
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		for deadline := time.Now().Add(3 * time.Second); ; <-time.After(20 * time.Millisecond) {
			line, _ := os.ReadFile(file)
			env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if !bytes.Contains(line, []byte(h.root+"/")) && !bytes.Contains(env, []byte("="+h.root+"/")) {
				break
			}
			if time.Now().After(deadline) {
				if !h.t.Failed() {
					h.t.Errorf("left behind: %d %q", pid, line)
				}
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

func TestOfTwentyLaunchesAtOnceOneGetsTheHost(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.ask("probe") // installs
		const many = 20
		got := make([]report, many)
		var all sync.WaitGroup
		for k := range many {
			all.Go(func() {
				r, err := call(t.Context(), h, h.root, "claim", fmt.Sprintf("rc1-me-k%d-x", k), fmt.Sprint("token", k), "3600", "0", "-", "-")
				assert.NoError(t, err)
				got[k] = r
			})
		}
		all.Wait()
		winners := slices.DeleteFunc(slices.Clone(got), func(r report) bool { return r.held != 0 })
		require.Len(t, winners, 1)
		require.Len(t, winners[0].claims, 1)
		for _, r := range got {
			require.Len(t, r.claims, 1)
			assert.Equal(t, winners[0].claims[0].text, r.claims[0].text, "everybody is told who has it")
			assert.EqualValues(t, 1, r.claims[0].n)
		}
		links, _ := filepath.Glob(filepath.Join(h.root, "claim.*"))
		assert.Len(t, links, 1)
	})
}

func TestATokenIsOneClaimForEver(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		first := h.claim("a")
		require.Len(t, first.claims, 1)
		assert.Equal(t, first.claims, h.claim("a").claims, "at once")
		h.ask("release", "1")
		h.freed(1)
		second := h.claim("b")
		require.EqualValues(t, 2, second.claims[0].n)
		again := h.claim("a")
		require.Len(t, again.claims, 1)
		assert.EqualValues(t, 1, again.claims[0].n, "after its end, while another one has the host")
		assert.True(t, again.claims[0].freed)
		assert.Zero(t, again.held)
		got := make([]report, 8)
		h.ask("release", "2")
		h.freed(2)
		var all sync.WaitGroup
		for k := range got {
			all.Go(func() { got[k], _ = call(t.Context(), h, h.root, "claim", "rc1-me-c-x", "c", "60", "0", "-", "-") })
		}
		all.Wait()
		for _, r := range got {
			require.Len(t, r.claims, 1)
			assert.EqualValues(t, 3, r.claims[0].n, "by several at once")
		}
		assert.Empty(t, h.link("claim.4"))
	})
}

func TestTheEndOfAnOldClaimLeavesTheNewOneAlone(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		h.ask("release", "1")
		h.freed(1)
		h.claim("b")
		r := h.ask("release", "1")
		assert.True(t, r.claims[0].freed)
		r = h.ask("look")
		require.Len(t, r.claims, 1)
		assert.EqualValues(t, 2, r.claims[0].n)
		assert.False(t, r.claims[0].over)
		assert.True(t, r.claims[0].kept)
		assert.True(t, h.ask("release", "3").none, "nobody has claimed it yet")
		assert.Empty(t, h.link("ending.3"))
	})
}

func TestNothingCanStartWhereAClaimWasRemoved(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		dir := filepath.Join(h.root, "1")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
		h.ask("release", "1")
		assert.False(t, h.freed(1).kept)
		assert.Error(t, os.MkdirAll(filepath.Join(dir, "v1"), 0o700), "by a supervisor that is installed late")
		eventually(t, "the files are gone", func() bool {
			left, _ := filepath.Glob(filepath.Join(h.root, "gone.*"))
			return len(left) == 0
		})
	})
}

func TestAThousandClaimsCostNoProcessEach(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		r := h.claim("first")
		h.ask("release", "1")
		h.freed(1)
		text, free := r.claims[0].text, h.link("free.1")
		grow := func(from, to int) {
			for n := from; n <= to; n++ {
				require.NoError(t, os.Symlink(strings.Replace(text, "tok=first", fmt.Sprint("tok=", n), 1), filepath.Join(h.root, fmt.Sprint("claim.", n))))
				require.NoError(t, os.Symlink(free, filepath.Join(h.root, fmt.Sprint("free.", n))))
			}
		}
		cost := func(last int64) (faults int64) {
			h.faults = 0
			require.EqualValues(t, last+1, h.claim(fmt.Sprint("new", last)).claims[0].n)
			require.EqualValues(t, 5, h.claim("5").claims[0].n)
			require.Len(t, h.ask("look", "7").claims, 1)
			require.Len(t, h.ask("look").claims, 1)
			faults = h.faults
			h.ask("release", strconv.FormatInt(last+1, 10))
			h.freed(last + 1)
			return faults
		}
		grow(2, 10)
		few := cost(10)
		grow(12, 1000)
		many := cost(1000)
		t.Logf("page faults of two launches and two looks: %d after 10 claims, %d after 1000", few, many)
		assert.Less(t, many-few, few, "a process for each claim would cost some 50 each")
	})
}

func TestAHoldMadeByHandIsNotOurs(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.ask("probe")
		require.NoError(t, os.Symlink("Kim's box (do not touch)", filepath.Join(h.root, "claim.1")))
		r := h.claim("a")
		assert.EqualValues(t, 1, r.held)
		assert.Equal(t, "Kim's box (do not touch)", r.claims[0].text)
		_, err := call(t.Context(), h, h.root, "release", "1")
		assert.ErrorContains(t, err, "made by hand")
		assert.Empty(t, h.link("ending.1"))
		require.NoError(t, os.Symlink("free", filepath.Join(h.root, "free.1")))
		assert.EqualValues(t, 2, h.claim("a").claims[0].n)
	})
}

// rewrite changes words of a claim, as if it had been made at another time.
func (h *shellHost) rewrite(n int, change ...string) {
	name := fmt.Sprint("claim.", n)
	text := h.link(name)
	for k := 0; k < len(change); k += 2 {
		f := fields(strings.TrimPrefix(text, madeBy))
		text = strings.Replace(text, change[k]+"="+f.words[change[k]], change[k]+"="+change[k+1], 1)
	}
	require.NoError(h.t, os.Remove(filepath.Join(h.root, name)))
	require.NoError(h.t, os.Symlink(text, filepath.Join(h.root, name)))
}

func TestAClaimWhoseGuardWasNeverArmedEndsAtALookAfterItsLifetime(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		h.rewrite(1, "life", "0")
		r := h.claim("b") // whoever wants the host is enough
		assert.EqualValues(t, 1, r.held)
		c := h.freed(1)
		assert.Contains(t, c.free, "its lifetime is over")
		assert.True(t, c.kept, "its files stay")
		assert.EqualValues(t, 2, h.claim("b").claims[0].n)

		h.rewrite(2, "boot", "another", "at", strconv.FormatInt(time.Now().Unix()-3500, 10))
		h.ask("look")
		assert.Empty(t, h.link("ending.2"), "within its lifetime, by the wall clock after a reboot")
		h.rewrite(2, "at", strconv.FormatInt(time.Now().Unix()-3601, 10))
		h.ask("look")
		h.freed(2)
	})
}

func TestWhatEndsAClaimMayDieAndAnotherGoesOn(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		// one that died after it was asked, and one whose pid is another process's now
		require.NoError(t, os.Symlink("up=1 at=1 boot=b drop=1 why=terminated", filepath.Join(h.root, "ending.1")))
		require.NoError(t, os.Symlink(fmt.Sprintf("%s:%d:1", "b", os.Getpid()), filepath.Join(h.root, "ender.1.1")))
		h.ask("look")
		c := h.freed(1)
		assert.False(t, c.kept)
		assert.Equal(t, "terminated", reason(c.free))
		eventually(t, "no ender is left", func() bool {
			left, _ := filepath.Glob(filepath.Join(h.root, "ender.*"))
			return len(left) == 0
		})
	})
}

func TestADiskThatHostsShareIsRefused(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		bin := strings.TrimPrefix(strings.Split(h.env[0], ":")[0], "PATH=")
		_ = os.Remove(filepath.Join(bin, "stat"))
		require.NoError(t, execfile.Write(filepath.Join(bin, "stat"), "#!"+filepath.Join(bin, "sh")+"\necho nfs\n"))
		for _, verb := range [][]string{{"probe"}, {"claim", "rc1-me-a-x", "a", "60", "0", "-", "-"}} {
			_, err := call(t.Context(), h, h.root, verb[0], verb[1:]...)
			var no *refusal
			require.ErrorAs(t, err, &no)
			assert.Contains(t, no.text, "a disk that other hosts may share")
		}
		assert.Empty(t, h.link("claim.1"))
	})
}

func TestCommandsOfAClaimEndWithIt(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		noproc := slices.Contains(h.env, "RUNCTL_PROC=/nonexistent") // where nobody can tell whose a command is
		h.claim("a")
		mine, other := h.command("1"), h.command("10")
		h.ask("release", "1")
		h.freed(1)
		assert.Equal(t, noproc, alive(mine), "a command that was left there")
		assert.True(t, alive(other), "one of a claim whose number begins alike")
		_ = syscall.Kill(mine, syscall.SIGKILL)
		_ = syscall.Kill(other, syscall.SIGKILL)
	})
}

// command starts one that belongs to a claim, and does not end.
func (h *shellHost) command(n string) (pid int) {
	cmd := exec.Command("sleep", "1000")
	cmd.Env = append(slices.Clone(h.env), rootEnv+"="+h.root+"/"+n)
	require.NoError(h.t, cmd.Start())
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func TestAHostTellsWhatItHas(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		r := h.ask("probe")
		assert.Positive(t, r.cores)
		assert.Positive(t, r.disk)
		assert.NotEmpty(t, r.boot)
		assert.Len(t, r.id, 16)
		assert.Equal(t, h.root, r.root)
		assert.WithinDuration(t, time.Now(), r.time(), time.Minute)
		assert.Equal(t, r.id, h.ask("look").id)
		if !slices.Contains(h.env, "RUNCTL_PROC=/nonexistent") {
			assert.Positive(t, r.mem)
		}
		bin := strings.TrimPrefix(strings.Split(h.env[0], ":")[0], "PATH=")
		require.NoError(t, execfile.Write(filepath.Join(bin, "nvidia-smi"), "#!"+filepath.Join(bin, "sh")+"\necho 'NVIDIA H100 80GB HBM3, 81559'\necho 'NVIDIA H100 80GB HBM3, 81559'\n"))
		assert.Equal(t, strings.Repeat("NVIDIA H100 80GB HBM3, 81559\n", 2), h.ask("probe").gpus)
	})
}

func TestArgumentsAreNumbersWhereTheyMustBe(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		for _, verb := range [][]string{{"release", "x"}, {"release", ""}, {"look", "1/../2"}, {"look", "-1"}, {"release", "07"}, {"claim", "l", "t", "1e3", "0", "-", "-"}, {"rm"}} {
			_, err := call(t.Context(), h, h.root, verb[0], verb[1:]...)
			var no *refusal
			assert.ErrorAs(t, err, &no, verb)
		}
	})
}

func TestALaunchThatWasCutOffIsFinishedByTheNext(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		step := filepath.Join(h.root, "1", "guard", "end.d", "50-free")
		whole, err := os.ReadFile(step)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(filepath.Join(h.root, "1")))
		h.claim("a")
		again, err := os.ReadFile(step)
		require.NoError(t, err)
		assert.Equal(t, whole, again)
		h.ask("release", "1")
		h.freed(1)
		h.claim("a")
		assert.NoFileExists(t, step, "not once it has ended")
	})
}

func TestAGuardThatEndedWithoutOurStepFreesTheHostAtTheNextLook(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		h.claim("a")
		guard := filepath.Join(h.root, "1", "guard")
		require.NoError(t, os.Symlink("3600000:0:30000:-", filepath.Join(guard, "arm")))
		require.NoError(t, os.Symlink("idle", filepath.Join(guard, "ending")))
		require.NoError(t, os.Symlink(".", filepath.Join(guard, "over")))
		h.ask("look")
		c := h.freed(1)
		assert.Equal(t, "nothing ran on it for its keep time", reason(c.free))
		assert.True(t, c.kept)
	})
}

func TestFilesGoAWeekAfterTheEnd(t *testing.T) {
	onEveryShell(t, func(t *testing.T, h *shellHost) {
		for n := 1; n <= 2; n++ {
			h.claim(fmt.Sprint("a", n))
			h.rewrite(n, "life", "0")
			h.ask("look")
			assert.True(t, h.freed(int64(n)).kept)
		}
		age := func(name string, d time.Duration) {
			cmd := exec.Command("touch", "-h", "-d", time.Now().Add(-d).Format(time.RFC3339), filepath.Join(h.root, name))
			require.NoError(t, cmd.Run())
		}
		age("free.1", 7*24*time.Hour+time.Minute)
		age("free.2", 7*24*time.Hour-time.Hour)
		h.claim("b")
		eventually(t, "the old files are gone", func() bool { return h.link("1") != "" })
		r := h.ask("look")
		require.Len(t, r.claims, 2)
		assert.EqualValues(t, 3, r.claims[0].n)
		assert.EqualValues(t, 2, r.claims[1].n, "what still has files is listed, and only that")
		c, err := h.ask("look", "1").the(1)
		require.NoError(t, err)
		assert.True(t, c.freed && !c.kept)
	})
}
