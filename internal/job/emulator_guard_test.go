package job

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func leased(run string, lease time.Duration) Spec {
	s := emuSpec(run)
	s.Lease, s.Shared = lease, true
	return s
}

// refusedWith demands a refusal with the code.
func refusedWith(t *testing.T, code int, err error) {
	t.Helper()
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, code, refused.Code, refused.Reason)
}

func TestEmulatedLeaseEndsARunThatNobodyRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, e, t0 := t.Context(), emulated(nil), time.Now()
		after(time.Second)
		for _, s := range []Spec{leased("silent", time.Minute), leased("renewed", time.Minute), emuSpec("none")} {
			require.NoError(t, Start(ctx, e, s))
		}
		after(50 * time.Second)
		s, err := Inspect(ctx, e, "renewed")
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{51 * time.Second, time.Minute}, []time.Duration{s.Up, s.Lease})
		for range 2 { // repeated
			until, err := Renew(ctx, e, "renewed", s.Up, s.Lease)
			require.NoError(t, err)
			assert.Equal(t, 111*time.Second, until)
		}
		until, err := Renew(ctx, e, "renewed", 20*time.Second, 10*time.Second)
		require.NoError(t, err, "late")
		assert.Equal(t, 111*time.Second, until)
		for what, args := range map[string][2]time.Duration{"the future": {52 * time.Second, time.Minute}, "too long": {51 * time.Second, time.Minute + time.Millisecond}} {
			_, err = Renew(ctx, e, "renewed", args[0], args[1])
			require.Error(t, err, what)
			refusedWith(t, RefusedLease, err)
		}
		_, err = Renew(ctx, e, "none", s.Up, time.Minute)
		refusedWith(t, RefusedLease, err)
		_, err = Renew(ctx, e, "nobody", s.Up, time.Minute)
		assert.ErrorIs(t, err, ErrNoRun)
		next, _ := e.NextChange()
		assert.Equal(t, 61*time.Second, next.Sub(t0))
		after(time.Hour)
		for run, want := range map[string]time.Duration{"silent": 61 * time.Second, "renewed": 111 * time.Second} {
			r := emuReceipt(t, e, run)
			assert.Equal(t, []any{"lease", want, EndTerm}, []any{r.Cause, r.Ended.Sub(t0), r.End}, run)
		}
		_, err = Renew(ctx, e, "renewed", 0, time.Minute)
		refusedWith(t, RefusedLease, err)
		assert.Equal(t, PhaseRunning, look(t, e, "none").Phase, "silence touches only who asked for a lease")
	})
}

func TestEmulatedGuardEndsTheMachine(t *testing.T) {
	deaf := map[string]Script{"deaf": {Hold: true, IgnoreTerm: true}, "short": {Duration: time.Minute}}
	for name, c := range map[string]struct {
		guard  Guard
		start  Spec // its run id is empty: none
		at     time.Duration
		ending string
		end    time.Duration // of the run, and its cause; 0: it goes on
		cause  string
	}{
		"lifetime":            {Guard{Lifetime: time.Hour}, Spec{}, time.Hour, "lifetime", 0, ""},
		"lifetime with a run": {Guard{Lifetime: time.Hour, Keep: time.Minute, Grace: 5 * time.Second}, emuSpec("deaf"), time.Hour, "lifetime", time.Hour + 5*time.Second, "lifetime"},
		"its own grace":       {Guard{Lifetime: time.Hour, Grace: time.Minute}, emuSpec("deaf"), time.Hour, "lifetime", time.Hour + 30*time.Second, "lifetime"},
		"never used":          {Guard{Lifetime: time.Hour, Keep: time.Minute}, Spec{}, time.Minute, "idle", 0, ""},
		"idle":                {Guard{Lifetime: time.Hour, Keep: time.Minute}, emuSpec("short"), 2 * time.Minute, "idle", time.Minute, "exit"},
		"a lease":             {Guard{Lifetime: time.Hour, Keep: time.Minute}, leased("deaf", 10*time.Minute), 10*time.Minute + 30*time.Second, "lease", 10*time.Minute + 30*time.Second, "lease"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, e, t0 := t.Context(), emulated(deaf), time.Now()
				hello, err := Greet(ctx, e)
				require.NoError(t, err)
				assert.False(t, hello.Guard)
				require.NoError(t, Arm(ctx, e, c.guard))
				if c.start.Run != "" {
					require.NoError(t, Start(ctx, e, c.start))
				}
				require.NoError(t, Arm(ctx, e, c.guard), "again")
				other := c.guard
				other.Lifetime++
				refusedWith(t, RefusedGuard, Arm(ctx, e, other))
				after(c.at - 1)
				hello, err = Greet(ctx, e)
				require.NoError(t, err)
				assert.Empty(t, hello.Ending)
				after(1)
				hello, err = Greet(ctx, e)
				require.NoError(t, err)
				assert.Equal(t, c.ending, hello.Ending)
				assert.Equal(t, Hello{Up: c.at, Boot: "emulated", Guard: true, Left: c.guard.Lifetime - c.at, Ending: c.ending}, hello)
				refusedWith(t, RefusedBusy, Start(ctx, e, emuSpec("late")))
				refusedWith(t, RefusedBusy, Start(ctx, e, leased("late", 0)))
				after(2 * time.Hour)
				if c.cause != "" {
					r := emuReceipt(t, e, c.start.Run)
					assert.Equal(t, []any{c.cause, c.end}, []any{r.Cause, r.Ended.Sub(t0)})
					require.NoError(t, Start(ctx, e, c.start), "what ran is found, also now")
				}
				hello, err = Greet(ctx, e)
				require.NoError(t, err)
				assert.Equal(t, c.ending, hello.Ending, "for ever")
			})
		})
	}
}

func TestGuardMayBeArmedWhileRunsAreActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, t0 := emulated(nil), time.Now()
		startAll(t, e, emuSpec("r"))
		after(time.Minute)
		require.NoError(t, Arm(t.Context(), e, Guard{Lifetime: time.Minute}))
		after(time.Hour)
		r := emuReceipt(t, e, "r")
		assert.Equal(t, []any{"lifetime", 2 * time.Minute}, []any{r.Cause, r.Ended.Sub(t0)})
	})
}

func TestGuardAndLeaseAreChecked(t *testing.T) {
	e := NewEmulator(nil)
	for field, g := range map[string]Guard{"Lifetime": {}, "Keep": {Lifetime: 1, Keep: -1}, "Grace": {Lifetime: 1, Grace: -1}, "User": {Lifetime: 1, User: "a b"}} {
		var bad *FieldError
		require.ErrorAs(t, Arm(t.Context(), e, g), &bad)
		assert.Equal(t, field, bad.Field)
	}
	for field, args := range map[string][2]time.Duration{"seen": {-1, 1}, "n": {0, 0}} {
		var bad *FieldError
		_, err := Renew(t.Context(), e, "r", args[0], args[1])
		require.ErrorAs(t, err, &bad)
		assert.Equal(t, field, bad.Field)
	}
}

func TestAHelloReadsBackOrIsRefused(t *testing.T) {
	want := Hello{Up: 1230 * time.Millisecond, Boot: "a-b", Guard: true, Left: time.Hour, Ending: "idle", Steps: []string{"10-a", "20"}}
	l, ok := parseLine(formatHello(want)[:len(formatHello(want))-1])
	require.True(t, ok)
	got, err := parseHello(l)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	for _, change := range []func(*Hello){func(h *Hello) { h.Up = -time.Second }, func(h *Hello) { h.Boot = "" }, func(h *Hello) { h.Boot = "a/b" },
		func(h *Hello) { h.Left = -time.Second }, func(h *Hello) { h.Ending = "boredom" }, func(h *Hello) { h.Steps = []string{"../x"} }} {
		h := want
		change(&h)
		line := formatHello(h)
		l, _ := parseLine(line[:len(line)-1])
		_, err := parseHello(l)
		assert.ErrorIs(t, err, errDamaged, line)
	}
}

func FuzzHello(f *testing.F) {
	f.Add("up=1 boot=a guard=1 left=2 ending=idle notice=deaf steps=10-a,20")
	f.Fuzz(func(t *testing.T, s string) {
		l, ok := parseLine(sentinel + kindHello + " " + s)
		if !ok {
			return
		}
		h, err := parseHello(l)
		if err != nil {
			return
		}
		line := formatHello(h)
		l, _ = parseLine(line[:len(line)-1])
		again, err := parseHello(l)
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}
