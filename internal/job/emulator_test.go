package job

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// emulated makes a machine whose jobs are looked up by run id; an unknown one holds.
func emulated(scripts map[string]Script) *Emulator {
	return NewEmulator(func(s Spec) Script {
		if sc, ok := scripts[s.Run]; ok {
			return sc
		}
		return Script{Hold: true}
	})
}

// job1 is a spec of a job that nothing is special about.
func emuSpec(run string) Spec {
	return Spec{Run: run, Digest: "d-" + run, Argv: []string{"train"}, Grace: 30 * time.Second}
}

// started starts the runs, all of them sharing the machine.
func startAll(t *testing.T, e *Emulator, specs ...Spec) {
	t.Helper()
	for _, s := range specs {
		s.Shared = true
		require.NoError(t, e.Start(s))
	}
}

// after lets d pass on virtual time.
func after(d time.Duration) { <-time.After(d) }

func look(t *testing.T, e *Emulator, run string) Status {
	t.Helper()
	s, err := e.Status(run)
	require.NoError(t, err)
	return s
}

// receipt demands one.
func emuReceipt(t *testing.T, e *Emulator, run string) Receipt {
	t.Helper()
	s := look(t, e, run)
	require.NotNil(t, s.Receipt, "%+v", s)
	require.Equal(t, PhaseDone, s.Phase)
	return *s.Receipt
}

func TestScriptedJobEndsAtItsInstantWithAReceipt(t *testing.T) {
	for name, c := range map[string]struct {
		script        Script
		code          int
		signal, cause string
	}{
		"by its exit":       {Script{ExitCode: 3}, 3, "", "exit"},
		"well":              {Script{}, 0, "", "exit"},
		"by a signal":       {Script{Signal: "KILL"}, 137, "KILL", "signal"},
		"by a SIG name":     {Script{Signal: "SIGSEGV"}, 139, "SEGV", "signal"},
		"for a named cause": {Script{ExitCode: 127, Cause: "notfound"}, 127, "", "notfound"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.script.Duration, c.script.Log = time.Hour, "one\ntwo\n"
				c.script.Checkpoints = []Checkpoint{{time.Minute, "step-1"}, {time.Hour, "step-2"}, {2 * time.Hour, "never"}}
				e := emulated(map[string]Script{"r": c.script})
				t0 := time.Now()
				require.NoError(t, e.Start(emuSpec("r")))
				after(time.Hour - time.Nanosecond)
				assert.Equal(t, PhaseRunning, look(t, e, "r").Phase)
				assert.Nil(t, look(t, e, "r").Receipt)
				after(24 * time.Hour)
				assert.Equal(t, Receipt{Run: "r", Source: "supervisor", Cause: c.cause, Signal: c.signal, Code: c.code,
					Checkpoint: "step-2", Started: t0, Ended: t0.Add(time.Hour), LogBytes: 8, End: EndSelf}, emuReceipt(t, e, "r"))
			})
		})
	}
}

func TestJobOfNoDurationEndsAtOnceWithItsWholeLog(t *testing.T) {
	e := NewEmulator(nil)
	require.NoError(t, e.Start(emuSpec("r")))
	r := emuReceipt(t, e, "r")
	assert.Equal(t, r.Started, r.Ended)
	_, ended, err := e.ReadLog("r", 0)
	require.NoError(t, err)
	assert.True(t, ended)

	e = emulated(map[string]Script{"r": {Log: "all\nof it"}})
	require.NoError(t, e.Start(emuSpec("r")))
	data, ended, err := e.ReadLog("r", 4)
	require.NoError(t, err)
	assert.True(t, ended)
	assert.Equal(t, "of it", string(data))
}

func TestLinesAppearEvenlyAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := "a\nbb\n\nlast without newline"
		e := emulated(map[string]Script{"r": {Log: log, Duration: 8 * time.Second, Hold: true}})
		require.NoError(t, e.Start(emuSpec("r")))
		for _, want := range []string{"", "a\n", "a\nbb\n", "a\nbb\n\n"} {
			read := func() string {
				data, ended, err := e.ReadLog("r", 0)
				require.NoError(t, err)
				require.False(t, ended)
				require.EqualValues(t, len(data), look(t, e, "r").LogBytes)
				return string(data)
			}
			assert.Equal(t, want, read())
			after(2*time.Second - time.Nanosecond)
			assert.Equal(t, want, read())
			after(time.Nanosecond)
		}
		data, ended, _ := e.ReadLog("r", 2)
		assert.Equal(t, log[2:], string(data))
		assert.False(t, ended, "it holds")
		data, _, _ = e.ReadLog("r", 1000)
		assert.Empty(t, data)
	})
}

func TestEveryLineComesAtTheInstantThatNextNamed(t *testing.T) {
	for _, over := range []time.Duration{1, 7, time.Second, 3*time.Second + 1, 1000 * time.Hour} {
		for _, n := range []int{1, 2, 3, 7, 1000, 99991} {
			l := newEmuLog(strings.Repeat("x\n", n), over)
			age, lines := time.Duration(0), 0
			for {
				next, ok := l.next(age)
				if !ok {
					break
				}
				require.Greater(t, next, age)
				require.Len(t, l.produced(next-1), 2*(len(l.produced(age))/2), "over %v, %d lines: early at %v", over, n, next)
				require.Greater(t, len(l.produced(next)), lines)
				age, lines = next, len(l.produced(next))
				if n > 1000 && lines > 200 {
					break
				}
			}
			require.LessOrEqual(t, age, over)
			if over > time.Hour && n > 2000 {
				require.Len(t, l.produced(over-over/4), 2*(n*3/4), "no overflow")
			}
			require.Len(t, l.produced(over), 2*n)
		}
	}
}

func TestLimitEndsARunForItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulated(map[string]Script{
			"meek":  {Hold: true},
			"deaf":  {Hold: true, IgnoreTerm: true},
			"saves": {Hold: true, SaveTime: 10 * time.Second, SaveCode: 4},
			"slow":  {Hold: true, SaveTime: 31 * time.Second},
			"quick": {Duration: time.Minute, ExitCode: 2},
			"late":  {Duration: time.Minute + 5*time.Second, ExitCode: 6, IgnoreTerm: true},
		})
		t0 := time.Now()
		for _, run := range []string{"meek", "deaf", "saves", "slow", "quick", "late"} {
			s := emuSpec(run)
			s.Limit = time.Minute
			startAll(t, e, s)
		}
		after(time.Hour)
		for run, want := range map[string]Receipt{
			"meek":  {Cause: "lifetime", Signal: "TERM", Code: 143, Ended: t0.Add(time.Minute), End: EndTerm},
			"deaf":  {Cause: "lifetime", Signal: "KILL", Code: 137, Ended: t0.Add(90 * time.Second), End: EndKill},
			"saves": {Cause: "lifetime", Code: 4, Ended: t0.Add(70 * time.Second), End: EndTerm},
			"slow":  {Cause: "lifetime", Signal: "KILL", Code: 137, Ended: t0.Add(90 * time.Second), End: EndKill},
			"quick": {Cause: "exit", Code: 2, Ended: t0.Add(time.Minute), End: EndSelf},
			"late":  {Cause: "lifetime", Code: 6, Ended: t0.Add(65 * time.Second), End: EndTerm},
		} {
			want.Run, want.Source, want.Started = run, "supervisor", t0
			assert.Equal(t, want, emuReceipt(t, e, run), run)
		}
	})
}

func TestCancelIsOneWayAndTheFirstReasonStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := Script{Hold: true, IgnoreTerm: true}
		e := emulated(map[string]Script{
			"deaf": {Hold: true, IgnoreTerm: true, Log: strings.Repeat("x\n", 100), Duration: 100 * time.Second},
			"both": deaf, "over": deaf, "spec": deaf, "done": {},
		})
		t0 := time.Now()
		both, over, spec := emuSpec("both"), emuSpec("over"), emuSpec("spec")
		both.Limit, over.Limit, spec.Grace = 15*time.Second, 5*time.Second, 0
		startAll(t, e, emuSpec("deaf"), both, over, spec, emuSpec("done"))
		after(10 * time.Second)
		for run, grace := range map[string]time.Duration{"deaf": 20 * time.Second, "both": 20 * time.Second, "over": time.Minute,
			"spec": -1, "done": 0} {
			require.NoError(t, e.Cancel(run, grace), run)
		}
		assert.Equal(t, PhaseRunning, look(t, e, "deaf").Phase)
		after(time.Hour)
		assert.EqualValues(t, 2*30, emuReceipt(t, e, "deaf").LogBytes, "the log goes on until the end, and no further")
		for run, want := range map[string]Receipt{
			"deaf": {Cause: "cancel", Ended: t0.Add(30 * time.Second)},
			"both": {Cause: "cancel", Ended: t0.Add(30 * time.Second)},
			"over": {Cause: "lifetime", Ended: t0.Add(35 * time.Second)}, // it was ending when the cancel came
			"spec": {Cause: "cancel", Ended: t0.Add(10*time.Second + defaultGrace)},
			"done": {Cause: "exit", Ended: t0},
		} {
			got := emuReceipt(t, e, run)
			assert.Equal(t, want, Receipt{Cause: got.Cause, Ended: got.Ended}, run)
		}
		assert.ErrorIs(t, e.Cancel("nobody", 0), ErrNoRun)
	})
}

func TestEarliestKillHolds(t *testing.T) {
	for name, c := range map[string]struct {
		limit  time.Duration // TERM comes by it, else by a first cancel; the grace is a minute
		second time.Duration // grace of a cancel 10 s after TERM
		end    time.Duration // after TERM
		how    string
	}{
		"shorter":       {0, 5 * time.Second, 15 * time.Second, EndKill},
		"none":          {0, 0, 10 * time.Second, EndKill},
		"longer":        {0, time.Hour, 40 * time.Second, EndTerm},
		"long enough":   {0, 30 * time.Second, 40 * time.Second, EndTerm},
		"too short":     {0, 30*time.Second - 1, 40*time.Second - 1, EndKill},
		"in a lifetime": {time.Nanosecond, 5 * time.Second, 15 * time.Second, EndKill},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := emulated(map[string]Script{"r": {Hold: true, SaveTime: 40 * time.Second}})
			s := emuSpec("r")
			s.Grace, s.Limit = time.Minute, c.limit
			startAll(t, e, s)
			after(c.limit)
			t0 := time.Now()
			if c.limit == 0 {
				require.NoError(t, e.Cancel("r", time.Minute))
			}
			after(10 * time.Second)
			changed := e.Changed()
			require.NoError(t, e.Cancel("r", c.second))
			require.NoError(t, e.Cancel("r", time.Hour))
			select {
			case <-changed:
				assert.Equal(t, EndKill, c.how, name)
			default:
				assert.Equal(t, EndTerm, c.how, name)
			}
			after(time.Hour)
			require.NoError(t, e.Cancel("r", 0), "it has ended")
			got := emuReceipt(t, e, "r")
			assert.Equal(t, c.end, got.Ended.Sub(t0), name)
			assert.Equal(t, c.how, got.End, name)
		})
	}
}

func TestFinishReturnsTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulated(map[string]Script{
			"early":  {Log: "a\nb\nc\nd\n", Duration: 40 * time.Second},
			"saving": {Hold: true, SaveTime: 20 * time.Second, SaveCode: 4},
			"done":   {ExitCode: 1},
		})
		t0 := time.Now()
		startAll(t, e, emuSpec("early"), emuSpec("saving"), emuSpec("done"), emuSpec("holds"))
		after(15 * time.Second)
		require.NoError(t, e.Cancel("saving", time.Minute))
		after(10 * time.Second)
		for _, run := range []string{"early", "saving", "done", "nobody"} {
			e.Finish(run, 9)
			e.Finish(run, 8)
		}
		after(time.Hour)
		assert.Equal(t, Receipt{Run: "early", Source: "supervisor", Cause: "exit", Code: 9, Started: t0,
			Ended: t0.Add(25 * time.Second), LogBytes: 4, End: EndSelf}, emuReceipt(t, e, "early"))
		assert.Equal(t, Receipt{Run: "saving", Source: "supervisor", Cause: "cancel", Code: 9, Started: t0,
			Ended: t0.Add(25 * time.Second), End: EndTerm}, emuReceipt(t, e, "saving"))
		assert.Equal(t, 1, emuReceipt(t, e, "done").Code)
		assert.Equal(t, PhaseRunning, look(t, e, "holds").Phase)
	})
}
