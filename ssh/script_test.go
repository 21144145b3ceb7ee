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
	return h.ask("claim", "rc1-me-"+token+"-x", token, "3600", "0", "-", "0")
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
				r, err := call(t.Context(), h, h.root, "claim", fmt.Sprintf("rc1-me-k%d-x", k), fmt.Sprint("token", k), "3600", "0", "-", "0")
				assert.NoError(t, err)
				got[k] = r
			})
		}
		all.Wait()
		winners := slices.DeleteFunc(slices.Clone(got), func(r report) bool { return r.held != 0 })
		require.Len(t, winners, 1)
		require.Len(t, winners[0].claims, 1)
		for _, r := range got {
			assert.Equal(t, winners[0].claims, r.claims, "everybody is told who has it")
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
			all.Go(func() { got[k], _ = call(t.Context(), h, h.root, "claim", "rc1-me-c-x", "c", "60", "0", "-", "0") })
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
