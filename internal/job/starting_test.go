package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

func TestOfTenStartsAtOnceOneRuns(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		errs := atOnce(10, func(i int) error { // also ten installations
			return Start(t.Context(), m, sh(fmt.Sprint("r", i), "read x <"+gate))
		})
		started := -1
		for i, err := range errs {
			var refused *Refused
			if errors.As(err, &refused) {
				assert.Equal(t, RefusedBusy, refused.Code, refused.Reason)
			} else if assert.NoError(t, err) {
				assert.Equal(t, -1, started, "two runs have the machine")
				started = i
			}
		}
		require.NotEqual(t, -1, started)
		tell(t, gate, "go")
		assert.Zero(t, done(t, m, fmt.Sprint("r", started)).Code)
		start(t, m, sh(fmt.Sprint("r", (started+1)%10), "exit 3")) // free at once, also for one that was refused
		assert.Equal(t, 3, done(t, m, fmt.Sprint("r", (started+1)%10)).Code)
		if len(otherSupervisor) == 0 {
			leftovers, err := filepath.Glob(filepath.Join(m.root, "v1", "*"))
			require.NoError(t, err)
			assert.Len(t, leftovers, 1, "one script, no temporary files")
		}
	})
}

func TestTheSameStartTenTimesIsOneJob(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		s := sh("r", "echo once")
		for _, err := range atOnce(10, func(int) error { return Start(t.Context(), m, s) }) {
			assert.NoError(t, err)
		}
		done(t, m, "r")
		start(t, m, s) // and after its end
		assert.Equal(t, "once\n", text(t, m, "r"))
		s.Digest = "another"
		var used *Used
		require.ErrorAs(t, Start(t.Context(), m, s), &used)
		assert.Equal(t, "r", used.Run)
	})
}

func TestTheMachineIsFreeWhenTheReceiptIsThere(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		for i := range 4 { // each start follows the receipt as fast as it can
			run := fmt.Sprint("r", i)
			start(t, m, sh(run, "exit 0"))
			done(t, m, run)
		}
	})
}

func TestTheJobSeesItsSpecAndNothingOfOurs(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		place := t.TempDir()
		m.env = append(m.env, "INHERITED=yes")
		s := Spec{Run: "r", Digest: "d", Argv: []string{"sh", "-c", `printf '%s\n' "$@"; pwd; env; umask; read x || echo no input`, "arg0", "it's", "a b\n*", "$HOME", "\x81é"},
			Dir: "sub/dir", Env: map[string]string{"QUOTE": `'"\$x`, "LINES2": "a\nb", "run": "mine", "root": "my root", "o": "o"},
			Attempt: 3, Resume: "/old/ckpt", CheckpointDir: filepath.Join(place, "c k"), Shared: true}
		start(t, m, s)
		require.Zero(t, done(t, m, "r").Code)
		got := text(t, m, "r")
		assert.True(t, strings.HasPrefix(got, "it's\na b\n*\n$HOME\n\x81é\n"+m.root+"/run/r/job/work/sub/dir\n"), got)
		for _, want := range []string{`QUOTE='"\$x`, "LINES2=a\nb", "run=mine", "root=my root", "o=o", "INHERITED=yes", "RUNCTL_RUN_ID=r", "RUNCTL_ATTEMPT=3",
			"RUNCTL_RESUME=/old/ckpt", "RUNCTL_CHECKPOINT_DIR=" + place + "/c k", "RUNCTL_OUTPUT_DIR=" + CheckpointDir(m.root, "r")[:len(m.root)+len("/run/r/job/")] + "outputs"} {
			assert.Contains(t, got, "\n"+want+"\n")
		}
		assert.NotContains(t, got, "RUNCTL_ROOT")
		assert.NotContains(t, got, "RUNCTL_UMASK")
		assert.NotContains(t, got, "sp_")
		assert.True(t, strings.HasSuffix(got, "0022\nno input\n"), got)

		require.NoError(t, execfile.Write(filepath.Join(place, "only-here"), "#!/bin/sh\nexit 6\n"))
		start(t, m, Spec{Run: "found", Digest: "d", Argv: []string{"only-here"}, Env: map[string]string{"PATH": place + ":" + strings.TrimPrefix(m.env[0], "PATH=")}})
		assert.Equal(t, 6, done(t, m, "found").Code, "a program is looked for where the job's PATH says")

		s = Spec{Run: "in-place", Digest: "d", Argv: []string{"pwd"}, Dir: place}
		start(t, m, s)
		done(t, m, "in-place")
		assert.Equal(t, place+"\n", text(t, m, "in-place"))
		s.Run, s.Dir = "nowhere", filepath.Join(place, "missing")
		var refused *Refused
		require.ErrorAs(t, Start(t.Context(), m, s), &refused)
		assert.Equal(t, RefusedDir, refused.Code)
		none, err := Inspect(t.Context(), m, "nowhere")
		require.NoError(t, err)
		assert.Equal(t, PhaseNone, none.Phase, "a refused run never started")
	})
}

func TestASpecThatArrivesCutStartsNothing(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		spec := sh("r", "echo no")
		err := Start(t.Context(), cutStdin{m, 1}, spec)
		var refused *Refused
		require.ErrorAs(t, err, &refused)
		s, err := Inspect(t.Context(), m, "r")
		require.NoError(t, err)
		assert.Equal(t, PhaseNone, s.Phase)
		dead := filepath.Join(m.root, "own", "r", "in.999999999") // another's, which died with its caller
		require.NoError(t, os.WriteFile(dead, []byte(canary), 0o600))
		start(t, m, spec) // the id is not spent
		assert.NoFileExists(t, dead)
		done(t, m, "r")
	})
}

func TestACutInstallationInstallsNothing(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ofTheScript(t)
		var refused *Refused
		require.ErrorAs(t, Start(t.Context(), cutStdin{m, 5000}, sh("r", "echo no")), &refused)
		files, err := os.ReadDir(filepath.Join(m.root, "v1"))
		require.NoError(t, err)
		assert.Empty(t, files)
	})
}

func TestNoiseBeforeTheReplyMeansNothing(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		n := noisy{m, "Welcome!\nphase=done\nRUNCTL_ is here\nlast login: never"}
		start(t, n, sh("r", `printf 'a\000b\nRUNCTL1 end\nunfinished'; touch ../outputs/f`))
		done(t, n, "r")
		assert.Equal(t, "a\x00b\nRUNCTL1 end\nunfinished", text(t, n, "r"))
		all, err := List(t.Context(), n)
		require.NoError(t, err)
		assert.Len(t, all, 1)
		tree, _ := listed(t, n, "r", PlaceAny, "f")
		assert.Equal(t, []string{"f 0 644"}, tree)
		assert.Equal(t, map[string]string{"./f": ""}, fetched(t, n, "r", PlaceOutputs, false, "f"))
	})
}

// atOnce calls f n times at the same moment.
func atOnce(n int, f func(i int) error) []error {
	errs, gate := make([]error, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { <-gate; errs[i] = f(i) })
	}
	close(gate)
	all.Wait()
	return errs
}

// cutStdin loses the connection's upward half so many bytes before the end.
type cutStdin struct {
	Machine
	lost int
}

func (c cutStdin) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	all, err := io.ReadAll(stdin)
	if err != nil {
		return 0, err
	}
	if len(all) > c.lost && (c.lost == 1) == (argv[4] == "start") {
		all = all[:len(all)-c.lost]
	}
	return c.Machine.Exec(ctx, argv, bytes.NewReader(all), stdout, stderr)
}

// noisy prints something before every command, without a newline at its end.
type noisy struct {
	Machine
	noise string
}

func (n noisy) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if _, err := io.WriteString(stdout, n.noise); err != nil {
		return 0, err
	}
	return n.Machine.Exec(ctx, argv, stdin, stdout, stderr)
}
