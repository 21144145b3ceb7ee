package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReceiptSaysHowTheProgramEnded(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		plain := filepath.Join(t.TempDir(), "plain")
		require.NoError(t, os.WriteFile(plain, []byte("text"), 0o644))
		signal := map[bool]string{false: "KILL", true: "?"}[hasNoProc(m)]
		for _, c := range []struct {
			run  string
			argv []string
			want Receipt
		}{
			{"zero", []string{"true"}, Receipt{Cause: "exit"}},
			{"seven", []string{"sh", "-c", "exit 7"}, Receipt{Cause: "exit", Code: 7}},
			{"self127", []string{"sh", "-c", "exit 127"}, Receipt{Cause: "exit", Code: 127}},
			{"high", []string{"sh", "-c", "exit 255"}, Receipt{Cause: "exit", Code: 255}},
			{"killed", []string{"sh", "-c", "kill -9 $$"}, Receipt{Cause: "signal", Code: 137, Signal: signal}},
			{"absent", []string{"no-such-program"}, Receipt{Cause: "notfound", Code: 127}},
			{"absent2", []string{"./no/such"}, Receipt{Cause: "notfound", Code: 127}},
			{"plain", []string{plain}, Receipt{Cause: "notexec", Code: 126}},
			{"dir", []string{"/"}, Receipt{Cause: "notexec", Code: 126}},
		} {
			before := time.Now().Truncate(time.Second)
			start(t, m, Spec{Run: c.run, Digest: "d", Argv: c.argv})
			got := done(t, m, c.run)
			assert.Equal(t, []any{c.want.Code, c.want.Cause, c.want.Signal, EndSelf, 0},
				[]any{got.Code, got.Cause, got.Signal, got.End, got.Stragglers}, c.run)
			assert.False(t, got.Started.Before(before) || got.Ended.Before(got.Started) || got.Ended.After(time.Now()), c.run)
		}
		assert.Empty(t, text(t, m, "absent"), "the log is the job's alone")
		all, err := List(t.Context(), m)
		require.NoError(t, err)
		assert.Len(t, all, 9)
	})
}

func TestReceiptNamesTheLastCheckpoint(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		for content, want := range map[string]string{
			`echo step-12 >latest`: "step-12", `printf a/b >latest`: "a/b", `echo ../x >latest`: "", `echo /etc >latest`: "",
			`printf "a\nb\n" >latest`: "", `printf "a\000b" >latest`: "", `mkfifo latest`: "", `echo a >b; ln -s b latest`: "", `:`: "",
			`echo "a b" >latest`: "", `printf %256s | tr " " a >latest`: strings.Repeat("a", 256), `printf %257s | tr " " a >latest`: "",
		} {
			run := "c" + hexOf(content)
			start(t, m, sh(run, `cd "$RUNCTL_CHECKPOINT_DIR"; `+content))
			assert.Equal(t, want, done(t, m, run).Checkpoint, content)
		}
	})
}

func TestCancelReachesTheChildOfAWrapperThatDiesFirst(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ready, save := fifo(t), fifo(t)
		child := `trap 'read x <` + save + `; echo saved $x; exit 0' TERM; echo up >` + ready + `; while :; do sleep 1; done`
		start(t, m, sh("r", `(`+child+`) & wait`)) // the wrapper has no trap
		hear(t, ready)
		require.NoError(t, Cancel(t.Context(), m, "r", 20*time.Second))
		s, err := Inspect(t.Context(), m, "r")
		require.NoError(t, err)
		assert.Equal(t, PhaseRunning, s.Phase, "no receipt while the child saves")
		tell(t, save, "it")
		r := done(t, m, "r")
		assert.Equal(t, []any{"cancel", EndTerm, 143}, []any{r.Cause, r.End, r.Code})
		assert.Equal(t, "saved it\n", strings.TrimPrefix(text(t, m, "r"), "Terminated\n"), "the shell may name its child")
		require.NoError(t, Cancel(t.Context(), m, "r", 0), "ended already")
	})
}

func TestWhoIgnoresTermIsKilledAfterTheGraceAndNotBefore(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		start(t, m, sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 1000; done`))
		hear(t, ready)
		begun := time.Now()
		require.NoError(t, Cancel(t.Context(), m, "r", 1200*time.Millisecond))
		r := done(t, m, "r")
		assert.GreaterOrEqual(t, time.Since(begun), 1100*time.Millisecond)
		assert.Equal(t, []any{"cancel", EndKill, 137}, []any{r.Cause, r.End, r.Code})
		assert.Zero(t, r.Stragglers, "who is in the group is no straggler")
	})
}

func TestOfSeveralCancelsTheShortestGraceHolds(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		s := sh("r", `trap '' TERM; echo up >`+ready+`; while :; do sleep 1000; done`)
		s.Grace = 10 * time.Minute
		start(t, m, s)
		hear(t, ready)
		require.NoError(t, Cancel(t.Context(), m, "r", -1))
		require.NoError(t, Cancel(t.Context(), m, "r", 0))
		begun := time.Now()
		assert.Equal(t, EndKill, done(t, m, "r").End)
		assert.Less(t, time.Since(begun), s.Grace/5)
	})
}

func TestWhoLeavesTheGroupIsFoundByItsMark(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		if hasNoProc(m) {
			return // stragglers are found in /proc only
		}
		out := fifo(t)
		start(t, m, sh("neighbour", `read x <`+out))
		s := sh("r", `(setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' &) ; sleep 0.2`)
		s.Shared = true
		start(t, m, s)
		r := done(t, m, "r")
		assert.Equal(t, 0, r.Code)
		assert.NotZero(t, r.Stragglers)
		n, err := Inspect(t.Context(), m, "neighbour")
		require.NoError(t, err)
		assert.Equal(t, PhaseRunning, n.Phase, "another run's processes are not ours")
		tell(t, out, "go")
		assert.Zero(t, done(t, m, "neighbour").Code)
	})
}

func TestLimitEndsTheRun(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		s := sh("r", `trap 'exit 3' TERM; while :; do sleep 1; done`)
		s.Limit = time.Second
		begun := time.Now()
		start(t, m, s)
		r := done(t, m, "r")
		assert.Equal(t, []any{"lifetime", 3, EndTerm}, []any{r.Cause, r.Code, r.End})
		if !hasNoProc(m) {
			assert.GreaterOrEqual(t, time.Since(begun), time.Second)
		}
	})
}

func TestWhatTheLeaderLeavesBehindHasTheGraceToFinish(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		ready, save := fifo(t), fifo(t)
		start(t, m, sh("r", `(echo up >`+ready+`; read x <`+save+`; echo late) & exit 4`))
		hear(t, ready)
		s, err := Wait(t.Context(), m, "r", 300*time.Millisecond)
		require.NoError(t, err)
		require.Equal(t, PhaseRunning, s.Phase)
		killSupervisor(t, m, "r")
		assert.Equal(t, PhaseOrphaned, phase(t, m, "r"), "it is still the run's")
		tell(t, save, "x")
		r := done(t, m, "r")
		assert.Equal(t, []any{"exit", 4, EndSelf}, []any{r.Cause, r.Code, r.End})
		assert.Equal(t, "late\n", text(t, m, "r"))
	})
}
