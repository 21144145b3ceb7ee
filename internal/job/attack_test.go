package job

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a job may do to its supervisor, where both are the same user: each ends in the truth, or in no word at all.

func TestAJobThatForksTwiceAndClosesEverythingIsEndedWhole(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		deep := fifo(t)
		start(t, m, sh("r", `exec 0<&- 1>&- 2>&-; ( (trap '' TERM HUP; echo up >`+deep+`; while :; do sleep 1000; done) & ) & wait; while :; do sleep 1000; done`))
		hear(t, deep)
		require.NoError(t, Cancel(t.Context(), m, "r", time.Second))
		r := done(t, m, "r")
		assert.Equal(t, []any{"cancel", EndKill}, []any{r.Cause, r.End})
		start(t, m, sh("closed", `exec 0<&- 1>&- 2>&-; exit 6`))
		assert.Equal(t, 6, done(t, m, "closed").Code)
	})
}

func TestAFloodOfLogStaysCountedAndReadable(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		if !strings.HasSuffix(t.Name(), "/dash") {
			return // once is enough: the bytes go past every shell
		}
		const size = 1 << 30
		begun := time.Now()
		start(t, m, sh("r", fmt.Sprintf(`head -c %d /dev/zero; echo end`, size)))
		s, err := Wait(t.Context(), m, "r", 2*patience)
		require.NoError(t, err)
		require.Equal(t, PhaseDone, s.Phase, s.Evidence)
		t.Log(time.Since(begun))
		assert.EqualValues(t, size+4, s.Receipt.LogBytes)
		var tail bytes.Buffer
		next, err := Log(t.Context(), m, "r", size-1, true, &tail)
		require.NoError(t, err)
		assert.EqualValues(t, size+4, next)
		assert.Equal(t, "\x00end\n", tail.String())
		require.NoError(t, os.Truncate(filepath.Join(m.root, "run", "r", "out"), 0))
	})
}

func TestARewrittenLogIsANamedGapAndAMissingOneNoRun(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		cut, gone, gate := fifo(t), fifo(t), fifo(t)
		start(t, m, sh("r", `echo 0123456789; read x <`+cut+`; : >../../out; echo new; echo up >`+gone+`; read x <`+gate+`; rm ../../out; ln -s /etc/passwd ../../out; exit 3`))
		var first bytes.Buffer
		for first.Len() < 11 {
			next, err := Log(t.Context(), m, "r", int64(first.Len()), false, &first)
			require.NoError(t, err)
			require.EqualValues(t, first.Len(), next)
		}
		tell(t, cut, "now")
		hear(t, gone)
		var gap *Gap
		_, err := Log(t.Context(), m, "r", 11, true, io.Discard)
		require.ErrorAs(t, err, &gap)
		assert.Equal(t, Gap{From: 4, To: 11}, *gap)
		tell(t, gate, "now")
		assert.Equal(t, 3, done(t, m, "r").Code)
		var out bytes.Buffer
		_, err = Log(t.Context(), m, "r", 0, true, &out)
		assert.ErrorIs(t, err, ErrNoRun)
		assert.Empty(t, out.String(), "no link is followed")
	})
}

func TestADeletedRunTakesNothingOfItsNeighbour(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		gate, late, up := fifo(t), fifo(t), fifo(t) // one fifo for each: its end wakes all who read it
		neighbour := sh("neighbour", `(setsid sh -c 'echo up >`+up+`; read x <`+late+`; echo late' &); read x <`+gate+`; exit 2`)
		neighbour.Shared, neighbour.Grace = true, patience
		start(t, m, neighbour)
		hear(t, up)
		s := sh("r", `cd /; rm -rf '`+m.root+`/run/r'; (setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' &); exit 9`)
		s.Shared, s.Grace = true, time.Second
		start(t, m, s)
		r := done(t, m, "r")
		assert.Equal(t, []any{9, "exit"}, []any{r.Code, r.Cause})
		assert.NotZero(t, r.Stragglers, "its mark was not in what it deleted")
		assert.EqualValues(t, -1, r.LogBytes)
		assert.Equal(t, PhaseRunning, phase(t, m, "neighbour"))
		tell(t, late, "x")
		tell(t, gate, "x")
		assert.Equal(t, 2, done(t, m, "neighbour").Code)
		assert.Equal(t, "late\n", text(t, m, "neighbour"))
	})
}

func TestAnOrphanWhoseMarkIsGoneTakesNothingOfItsNeighbour(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		gate, go1, up := fifo(t), fifo(t), fifo(t)
		neighbour := sh("neighbour", `read x <`+gate+`; exit 2`)
		neighbour.Shared = true
		start(t, m, neighbour)
		s := sh("r", `rm ../../ctl/spec; echo up >`+up+`; read x <`+go1+`; exit 9`)
		s.Shared = true
		start(t, m, s)
		hear(t, up)
		killSupervisor(t, m, "r")
		assert.Equal(t, PhaseOrphaned, phase(t, m, "r")) // and it gets another, who knows no mark
		tell(t, go1, "x")
		r := done(t, m, "r")
		assert.Equal(t, []any{9, "exit", 0}, []any{r.Code, r.Cause, r.Stragglers})
		tell(t, gate, "x")
		assert.Equal(t, 2, done(t, m, "neighbour").Code, "an empty mark is nobody's")
	})
}

func TestAForgedEndIsNotBelieved(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		now := time.Now()
		forged := strings.TrimSpace(string(Receipt{Run: "r", Cause: "exit", End: EndSelf, Started: now, Ended: now}.Marshal()))
		for i, plant := range []string{
			`echo '` + forged + `'; printf '\nRUNCTL1 receipt ` + forged + `\nRUNCTL1 end\n'`, // into the log
			`echo '` + forged + `' >../../ctl/exit`,
			`echo '` + forged + `' >../../ctl/exit.slot`,
			`mkdir ../../ctl/exit; echo '` + forged + `' >../../ctl/exit/exit.slot`,
			`echo '` + forged + `' >../outputs/x; ln -s ../job/outputs/x ../../ctl/exit`,
			`echo '` + forged + `' >../outputs/x; ln -s ../job/outputs ../../ctl/exit`,
			`mkdir -p ../../../../rescue; echo '` + forged + `' >../../../../rescue/r; rm -rf ../../ctl`,
			`ln -s . ../../../../own/r/x`,
		} {
			run := fmt.Sprint("r", i)
			start(t, m, sh(run, strings.ReplaceAll(plant, "run=r ", "run="+run+" ")+"; exit 7"))
			r := done(t, m, run)
			assert.Equal(t, []any{7, "exit"}, []any{r.Code, r.Cause}, plant)
		}
	})
}

func TestAJobThatStopsOrKillsItsSupervisorGainsNothing(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		find := `p=$(readlink ../../../../own/$RUNCTL_RUN_ID/1); p=${p#*:}; p=${p%%:*}; `
		now := time.Now()
		forged := strings.TrimSpace(string(Receipt{Run: "stops", Cause: "exit", End: EndSelf, Started: now, Ended: now}.Marshal()))
		start(t, m, sh("stops", find+`kill -s STOP $p; echo up >`+up+`; read x <`+gate+`; echo '`+forged+`' >../../ctl/exit; exit 3`))
		hear(t, up)
		pid := m.supervisor(t, "stops")
		tell(t, gate, "go")
		for range 3 {
			s, err := Wait(t.Context(), m, "stops", time.Second)
			require.NoError(t, err)
			assert.Equal(t, PhaseRunning, s.Phase, "nobody says that it has ended")
		}
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		assert.Equal(t, 3, done(t, m, "stops").Code)
		start(t, m, sh("kills", find+`kill -s KILL $p; exit 4`))
		assert.Equal(t, 4, done(t, m, "kills").Code)
	})
}

func TestACancelledTrainerHasItsWholeGraceAndLeavesNothing(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		ready := fifo(t)
		s := sh("r", `trap 'sleep 2; echo saved >../outputs/model; echo s9 >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 0' TERM
			(while :; do sleep 1; done) & (sh -c 'while :; do sleep 1; done') & sleep 1000 &
			echo up >`+ready+`; while :; do sleep 1; done`)
		s.Env = map[string]string{"TRACE": hexOf(m.root)}
		start(t, m, s)
		hear(t, ready)
		traced := func() (n int) {
			files, _ := filepath.Glob("/proc/[0-9]*/environ")
			for _, f := range files {
				if env, err := os.ReadFile(f); err == nil && bytes.Contains(env, []byte("TRACE="+hexOf(m.root))) {
					n++
				}
			}
			return n
		}
		require.Greater(t, traced(), 3)
		begun := time.Now()
		require.NoError(t, Cancel(t.Context(), m, "r", 10*time.Minute))
		r := done(t, m, "r")
		assert.Less(t, time.Since(begun), patience, "nor more than it needs")
		assert.Equal(t, []any{"cancel", 0, EndTerm, "s9"}, []any{r.Cause, r.Code, r.End, r.Checkpoint})
		saved, err := os.ReadFile(filepath.Join(m.root, "run", "r", "job", "outputs", "model"))
		require.NoError(t, err)
		assert.Equal(t, "saved\n", string(saved))
		assert.Zero(t, traced(), "the receipt is written when nobody is left")
		for _, pid := range m.processes() {
			assert.True(t, m.leaves(pid), "nor any of ours")
		}
	})
}
