package job

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineHasOneRunAtATimeUnlessShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		e := NewEmulator(func(s Spec) Script { asked[s.Run]++; return Script{Duration: time.Minute, Hold: s.Run == "c"} })
		require.NoError(t, e.Start(emuSpec("a")))
		require.NoError(t, e.Start(emuSpec("a")), "repeated: the same run")
		var refused *Refused
		require.ErrorAs(t, e.Start(emuSpec("b")), &refused)
		other := emuSpec("b")
		other.Digest = "another"
		var used *Used
		require.ErrorAs(t, e.Start(other), &used, "its id is taken for its digest")
		assert.Equal(t, Refused{Code: 75, Reason: "run a has the machine"}, *refused)
		startAll(t, e, emuSpec("c"))
		after(time.Minute)
		require.NoError(t, e.Start(emuSpec("b")), "a refused start may be tried again, and a shared run is no hindrance")
		require.NoError(t, e.Start(emuSpec("a")), "an ended run is not run again")

		other = emuSpec("a")
		other.Digest = "another"
		require.ErrorAs(t, e.Start(other), &used)
		assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, asked)
		var order []string
		for _, s := range e.Statuses() {
			order = append(order, s.Run)
		}
		assert.Equal(t, []string{"a", "c", "b"}, order)
		_, err := e.Status("d")
		assert.ErrorIs(t, err, ErrNoRun)
		_, _, err = e.ReadLog("d", 0)
		assert.ErrorIs(t, err, ErrNoRun)
	})
}

func TestScriptIsAskedWithoutTheLock(t *testing.T) {
	var e *Emulator
	asked := 0
	e = NewEmulator(func(s Spec) Script {
		if asked++; asked == 1 { // as a concurrent repetition would, between the two looks
			assert.NoError(t, e.Start(s))
		}
		return Script{Hold: true, ExitCode: asked}
	})
	require.NoError(t, e.Start(emuSpec("r")))
	assert.Len(t, e.Statuses(), 1)
}

func TestDeadMachineAnswersNothingAndLosesWhatHadNoReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulated(map[string]Script{
			"done": {Duration: time.Second},
			"edge": {Duration: 10 * time.Second, ExitCode: 5},
			"lost": {Duration: 20 * time.Second, Log: "a\nb\nc\nd\n"},
		})
		t0 := time.Now()
		startAll(t, e, emuSpec("done"), emuSpec("edge"), emuSpec("lost"))
		after(10 * time.Second)
		e.Die()
		after(time.Hour)
		e.Die()
		e.Finish("lost", 0)
		assert.Equal(t, PhaseDone, look(t, e, "done").Phase)
		assert.Equal(t, 5, emuReceipt(t, e, "edge").Code)
		lost := look(t, e, "lost")
		assert.Equal(t, PhaseLost, lost.Phase)
		assert.Nil(t, lost.Receipt)
		data, ended, err := e.ReadLog("lost", 0)
		require.NoError(t, err)
		assert.True(t, ended)
		assert.Equal(t, "a\nb\n", string(data), "as far as it had come")
		assert.ErrorIs(t, e.Start(emuSpec("new")), ErrGone)
		assert.ErrorIs(t, e.Cancel("lost", 0), ErrGone)
		_, err = e.Exec(t.Context(), []string{"true"}, nil, nil, nil)
		assert.ErrorIs(t, err, ErrGone)
		at, running, ok := e.LastEnd()
		assert.True(t, ok)
		assert.Zero(t, running)
		assert.Equal(t, t0.Add(10*time.Second), at)
		_, ok = e.NextChange()
		assert.False(t, ok)
	})
}

func TestLastEndAndNextChangeFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulated(map[string]Script{"long": {Duration: time.Hour}, "short": {Duration: time.Minute}})
		t0 := time.Now()
		_, running, ok := e.LastEnd()
		assert.False(t, ok)
		assert.Zero(t, running)
		_, ok = e.NextChange()
		assert.False(t, ok, "nothing runs")

		limited := emuSpec("limited")
		limited.Limit = 2 * time.Minute
		startAll(t, e, emuSpec("long"), emuSpec("short"), limited, emuSpec("holds"))
		expect := func(next, last time.Duration, running int) {
			t.Helper()
			at, ok := e.NextChange()
			assert.Equal(t, next != 0, ok)
			if ok {
				assert.Equal(t, next, at.Sub(t0))
			}
			ended, n, ok := e.LastEnd()
			assert.Equal(t, last != 0, ok)
			if ok {
				assert.Equal(t, last, ended.Sub(t0))
			}
			assert.Equal(t, running, n)
		}
		expect(time.Minute, 0, 4)
		after(time.Minute)
		expect(2*time.Minute, time.Minute, 3)
		after(time.Minute)
		expect(time.Hour, 2*time.Minute, 2)
		require.NoError(t, e.Cancel("long", 0))
		expect(0, 2*time.Minute, 1)
		e.Finish("holds", 0)
		after(time.Hour)
		expect(0, 2*time.Minute, 0)
	})
}

func TestChangedIsClosedByWhatCallsDo(t *testing.T) {
	e := emulated(nil) // made outside the bubble, used inside
	synctest.Test(t, func(t *testing.T) {
		select {
		case <-e.Changed():
			t.Error("nothing changed")
		case <-time.After(time.Second):
		}
		startAll(t, e, emuSpec("a"), emuSpec("b"))
		closed := func(c <-chan struct{}) bool {
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		for name, act := range map[string]func(){
			"start":  func() { startAll(t, e, emuSpec("c")) },
			"finish": func() { e.Finish("a", 0) },
			"cancel": func() { require.NoError(t, e.Cancel("b", time.Minute)) },
			"die":    nil, // last, below
		} {
			c := e.Changed()
			assert.False(t, closed(c), name)
			if act == nil {
				continue
			}
			act()
			assert.True(t, closed(c), name)
			again := e.Changed()
			act()
			assert.False(t, closed(again), "%s again changes nothing", name)
		}
		c := e.Changed()
		e.Die()
		assert.True(t, closed(c))
	})
}

func TestPlainCommandsHaveATinyAnswer(t *testing.T) {
	e := NewEmulator(nil)
	for _, c := range []struct {
		argv           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"true"}, 0, "", ""},
		{[]string{"false"}, 1, "", ""},
		{[]string{"echo", "a", "b c"}, 0, "a b c\n", ""},
		{[]string{"cat"}, 0, "stdin\x00", ""},
		{[]string{"sh", "-c", "exit 42"}, 42, "", ""},
		{[]string{"sh", "-c", "exit 256"}, 127, "", "emulator: no such command: sh -c exit 256\n"},
		{[]string{"sh", "-c", "42"}, 127, "", "emulator: no such command: sh -c 42\n"},
		{[]string{"cat", "/etc/passwd"}, 127, "", "emulator: no such command: cat /etc/passwd\n"},
		{[]string{"nvidia-smi"}, 127, "", "emulator: no such command: nvidia-smi\n"},
	} {
		var stdout, stderr bytes.Buffer
		code, err := e.Exec(t.Context(), c.argv, strings.NewReader("stdin\x00"), &stdout, &stderr)
		require.NoError(t, err)
		assert.Equal(t, c.code, code, c.argv)
		assert.Equal(t, c.stdout, stdout.String(), c.argv)
		assert.Equal(t, c.stderr, stderr.String(), c.argv)
		_, err = e.Exec(t.Context(), c.argv, nil, nil, nil)
		require.NoError(t, err, "no streams")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Exec(ctx, []string{"true"}, nil, nil, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestThousandsOfRunsAreCheapAndConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := strings.Repeat("step loss=0.1\n", 10_000)
		e := NewEmulator(func(Spec) Script { return Script{Log: log, Duration: time.Hour} })
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() {
				s := emuSpec(fmt.Sprintf("r%d", i))
				s.Shared = true
				assert.NoError(t, e.Start(s))
			})
		}
		wg.Wait()
		after(30 * time.Minute)
		for _, s := range e.Statuses() {
			require.EqualValues(t, len(log)/2, s.LogBytes)
		}
		at, _ := e.NextChange()
		after(time.Until(at))
		_, running, _ := e.LastEnd()
		assert.Zero(t, running)
	})
}
