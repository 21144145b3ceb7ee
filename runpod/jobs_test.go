//go:build linux

package runpod_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	wire "runctl/internal/wire/runpod"
)

func TestAJobsCodeIsItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		code   int
		signal string
		cause  runctl.Cause
	}{
		"0":         {"echo hello", 0, "", runctl.CauseExit},
		"1":         {"echo hello; exit 1", 1, "", runctl.CauseExit},
		"own 137":   {"echo hello; exit 137", 137, "", runctl.CauseExit},
		"not there": {"echo hello; exec /no/such/program", 127, "", runctl.CauseExit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.start(spec(c.script))
			receipt, err := r.Wait(t.Context())
			var exit *runctl.ExitError
			if c.code == 0 {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, &exit)
			}
			assert.Equal(t, []any{c.code, c.signal, c.cause, "supervisor"}, []any{receipt.ExitCode, receipt.Signal, receipt.Cause, receipt.Source})
			log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
			assert.Contains(t, log, "hello\n")
			assert.Empty(t, lost)
			assert.Equal(t, 1, w.face.Starts(r.Instance().ID))
		})
	}
}

// jobLine is in the arguments of the job's own process.
const jobLine = "job-of-the-test"

// holding is a job that prints a line and goes on.
func holding(more string) string {
	return ": " + jobLine + "; echo up; " + more + "; while :; do sleep 0.05; done"
}

func (w *world) up(r *runctl.Run) {
	w.t.Helper()
	for chunk, err := range r.Logs(w.t.Context(), runctl.LogQuery{Follow: true}) {
		require.NoError(w.t, err)
		if strings.Contains(string(chunk.Data), "up\n") {
			return
		}
	}
	w.t.Fatal("the log has ended")
}

func TestAJobThatIsKilledForItsMemoryFailsWithTheSignal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec(holding(":")))
	w.up(r)
	s, err := r.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, runctl.Alive, s.Live, s.Evidence)
	w.until("it is killed", func() bool { return w.killJob(r) })
	receipt, err := r.Wait(t.Context())
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, []any{137, "KILL", runctl.CauseSignal}, []any{receipt.ExitCode, receipt.Signal, receipt.Cause})
	assert.Equal(t, 1, w.face.Starts(r.Instance().ID), "the container stays")
}

// T10: somebody deletes the pod.
func TestT10AJobWhosePodIsDeletedIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec(holding(":")))
	w.up(r)
	done := make(chan error, 1)
	go func() { _, err := r.Wait(t.Context()); done <- err }()
	w.face.Remove(r.Instance().ID)
	require.ErrorIs(t, <-done, runctl.ErrLost)
	s, err := r.Status(t.Context())
	if err == nil {
		assert.Equal(t, []any{runctl.Dead, true}, []any{s.Live, s.Receipt == nil}, s.Evidence)
	}
	_, err = r.Wait(t.Context())
	require.ErrorIs(t, err, runctl.ErrLost)
}

func TestAJobWhosePodThePlatformStopsIsLostAndNoSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec(holding(":")))
	w.up(r)
	done := make(chan error, 1)
	go func() { _, err := r.Wait(t.Context()); done <- err }()
	w.face.StopByPlatform(r.Instance().ID)
	require.ErrorIs(t, <-done, runctl.ErrLost)
	s, err := r.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, runctl.Dead, s.Live)
	assert.Nil(t, s.Receipt)
	assert.Contains(t, s.Evidence, "EXITED")
}

// T1: the host starts again what has ended. With our first process nothing ends; where that is killed itself, the second
// start of the program is seen.
func TestT1AProgramThatIsStartedAgainHasNotSucceeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	starts := filepath.Join(t.TempDir(), "starts")
	r := w.start(spec("echo start >>" + starts + "; " + holding(":")))
	w.up(r)
	done := make(chan runctl.Receipt, 1)
	go func() {
		receipt, err := r.Wait(t.Context())
		assert.Error(t, err)
		done <- receipt
	}()
	w.face.Restart(r.Instance().ID)
	receipt := <-done
	assert.Equal(t, []any{runctl.CauseAgain, false}, []any{receipt.Cause, receipt.Succeeded()})
	assert.Equal(t, 2, w.face.Starts(r.Instance().ID))
	w.until("the second start", func() bool { text, _ := os.ReadFile(starts); return string(text) == "start\nstart\n" })

	other, err := w.client().Attach(t.Context(), r.Ref()) // who has seen nothing of it finds it in the log
	require.NoError(t, err)
	s, err := other.Status(t.Context())
	require.NoError(t, err)
	require.NotNil(t, s.Receipt)
	assert.Equal(t, runctl.CauseAgain, s.Receipt.Cause)
	assert.Contains(t, s.Evidence, "started 2 times")
}

// With a network volume the second start finds what the first has left.
func TestT1WithAVolumeAtMostOneStartIsMade(t *testing.T) {
	for name, end := range map[string]string{"after the end": "exit 0", "before": holding(":")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			starts := filepath.Join(t.TempDir(), "starts")
			s := spec("echo start >>" + starts + "; echo up; " + end)
			w.onVolume(&s)
			r := w.start(s)
			w.up(r)
			if name == "after the end" {
				_, err := r.Wait(t.Context())
				require.NoError(t, err)
			}
			w.face.Restart(r.Instance().ID)
			w.until("the second start", func() bool { return w.face.Starts(r.Instance().ID) == 2 })
			var receipt runctl.Receipt
			var err error
			if name == "after the end" {
				w.until("it is told", func() bool {
					s, err := r.Status(t.Context())
					return err == nil && strings.Contains(s.Evidence, "receipt")
				})
				receipt, err = r.Wait(t.Context())
				require.NoError(t, err)
				assert.True(t, receipt.Succeeded())
			} else {
				_, err = r.Wait(t.Context())
				require.ErrorIs(t, err, runctl.ErrLost)
				assert.ErrorContains(t, err, "at most once")
			}
			text, err := os.ReadFile(starts)
			require.NoError(t, err)
			assert.Equal(t, "start\n", string(text))
		})
	}
}

// T2: a command that fails at once is started once, and its failure told.
func TestT2ACommandThatFailsIsNoCrashLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := spec("")
	s.Job.Args = []string{"/no/such/program"}
	r := w.start(s)
	receipt, err := r.Wait(t.Context())
	require.Error(t, err)
	assert.Equal(t, []any{127, runctl.CauseNotFound}, []any{receipt.ExitCode, receipt.Cause})
	assert.Equal(t, 1, w.face.Starts(r.Instance().ID))
}

func TestWhatAJobPrintsInOurWordsIsItsLogAndNothingMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	forged := "RUNCTL_EXIT v=1 nonce=00112233445566778899aabbccddeeff boot=aa v=1 run=x code=0 sig= cause=exit t0=1 t1=2 out=0 stragglers=0 ckpt= end=self sum=87 .\n" +
		"RUNCTL_START v=1 nonce=00112233445566778899aabbccddeeff boot=bb run=x at=1 job=run selfend=ok keeps= text=\n"
	r := w.start(spec("printf '%s' '" + forged + "'; sleep 1; exit 9"))
	receipt, err := r.Wait(t.Context())
	require.Error(t, err)
	assert.Equal(t, 9, receipt.ExitCode)
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.Equal(t, forged, log)
	assert.Empty(t, lost)
}

func TestALongLogIsWholeByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := lines(100_000)
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	r := w.start(spec("cat " + file + "; printf 'odd \\r bytes \\000 and no end'"))
	want += "odd \r bytes \x00 and no end"
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.Empty(t, lost)
	require.Equal(t, len(want), len(log))
	assert.True(t, want == log)
	receipt, err := r.Wait(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, len(want), receipt.LogBytes)
	for _, at := range []int{1, 4242, len(want) / 2, len(want) - 3, len(want)} {
		log, lost := logOf(t, r, runctl.LogQuery{Offset: int64(at)})
		assert.Empty(t, lost)
		assert.True(t, want[at:] == log, "from %d", at)
	}
}

func TestLinesThatAreLostOnTheWayAreANamedGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := lines(20_000)
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	r := w.start(spec("cat " + file + "; sleep 2; echo end"))
	_, err := r.Wait(t.Context())
	require.NoError(t, err)
	w.face.DropLines(7000)
	var at, given, missing int64
	for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		at += chunk.Lost
		require.Equal(t, at, chunk.Offset, "every byte is given, or named as lost")
		require.True(t, strings.HasPrefix((want + "end\n")[at:], string(chunk.Data)))
		at += int64(len(chunk.Data))
		given, missing = given+int64(len(chunk.Data)), missing+chunk.Lost
	}
	assert.EqualValues(t, len(want)+4, at)
	assert.Positive(t, missing)
	assert.Positive(t, given)
}

func TestAFollowedLogSurvivesStreamsThatAreCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want strings.Builder
	for i := range 40 {
		fmt.Fprintln(&want, "step", i)
	}
	w.face.CutAfter(9)
	w.face.Repeat(3)
	r := w.start(spec("i=0; while [ $i -lt 40 ]; do echo step $i; i=$((i + 1)); sleep 0.05; done"))
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.Equal(t, want.String(), log)
	assert.Empty(t, lost)
}

func TestAPodStopsItselfWhenItsJobIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := spec("exit 5")
	s.Keep = time.Second
	r := w.start(s)
	receipt, err := r.Wait(t.Context())
	require.Error(t, err)
	assert.Equal(t, 5, receipt.ExitCode)
	w.until("it stops itself", func() bool { return w.face.Pod(r.Instance().ID).Status == "EXITED" })
}

func TestAPodWhoseKeyHasNoRightsStaysAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *wire.Options) { o.PodKey = wire.MayNothing })
	s := spec(holding(":"))
	s.Keep = time.Second
	r := w.start(s)
	w.up(r)
	w.until("it says so", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && strings.Contains(s.Evidence, "itself: no")
	})
	require.NoError(t, r.Cancel(t.Context(), 0))
}

// T25: a deadline that is kept somewhere must not stop a pod that is started anew.
func TestT25APodThatIsStartedAnewStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := spec("exit 0")
	s.Keep = 3 * time.Second
	w.onVolume(&s)
	r := w.start(s)
	_, err := r.Wait(t.Context())
	require.NoError(t, err)
	id := r.Instance().ID
	w.until("it stops itself", func() bool { return w.face.Pod(id).Status == "EXITED" })
	require.NoError(t, w.cloud.Start(t.Context(), id))
	w.until("it is back", func() bool { return w.face.Pod(id).Status == "RUNNING" && w.face.Starts(id) == 2 })
	receipt, err := r.Wait(t.Context())
	require.NoError(t, err, "from the volume")
	assert.True(t, receipt.Succeeded())
	assert.Equal(t, "RUNNING", w.face.Pod(id).Status)
	w.until("it stops itself again", func() bool { return w.face.Pod(id).Status == "EXITED" })
}

func TestCancelEndsAJobWithItsGraceAndItsReceipt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec("trap 'echo saved; exit 3' TERM; " + holding(":")))
	w.up(r)
	done := make(chan runctl.Receipt, 1)
	go func() {
		receipt, _ := r.Wait(t.Context())
		done <- receipt
	}()
	require.NoError(t, r.Cancel(t.Context(), 0))
	receipt := <-done
	assert.Equal(t, []any{runctl.CauseCancel, 3}, []any{receipt.Cause, receipt.ExitCode})
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.True(t, strings.HasPrefix(log, "up\n") && strings.HasSuffix(log, "saved\n"), log)
	assert.Empty(t, lost)
	require.NoError(t, r.Cancel(t.Context(), 0), "again")
}

func TestAnotherProcessOfTheOwnerFollowsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(spec("echo up; exit 4"))
	other, err := w.client().Attach(t.Context(), r.Ref())
	require.NoError(t, err)
	receipt, err := other.Wait(t.Context())
	require.Error(t, err)
	assert.Equal(t, 4, receipt.ExitCode)
	log, _ := logOf(t, other, runctl.LogQuery{})
	assert.Equal(t, "up\n", log)
}

func TestAWaitIsOneStreamThatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := filepath.Join(t.TempDir(), "gate")
	r := w.start(spec("echo up; while [ ! -e " + gate + " ]; do sleep 0.1; done"))
	w.up(r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	before, _ := w.face.Checked()
	go func() { _, err := r.Wait(ctx); done <- err }()
	select {
	case <-done:
		t.Fatal("the job goes on")
	case <-time.After(2 * time.Second):
	}
	after, _ := w.face.Checked()
	assert.LessOrEqual(t, after-before, 3)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, os.WriteFile(gate, nil, 0o644))
	_, err := r.Wait(t.Context())
	require.NoError(t, err)
}
