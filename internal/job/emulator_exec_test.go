package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raw calls a verb as the wire does and returns its reply's lines.
func raw(t *testing.T, e *Emulator, stdin string, verb ...string) []reply {
	t.Helper()
	var out bytes.Buffer
	code, err := e.Exec(t.Context(), append([]string{"sh", "-c", "any stub", protocolTag}, verb...), strings.NewReader(stdin), &out, nil)
	require.NoError(t, err)
	require.Zero(t, code)
	lines, err := parseReply(out.Bytes())
	require.NoError(t, err, out.String())
	return lines
}

func TestVerbsOverTheWireSayWhatTheMethodsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := emulated(map[string]Script{"aa": {IgnoreTerm: true, Hold: true}, "zz": {Log: "a\nb\n", Duration: 10 * time.Second, ExitCode: 3, Checkpoints: []Checkpoint{{0, "step-1"}}}})
		require.NoError(t, Start(ctx, e, emuSpec("zz")))
		require.NoError(t, Start(ctx, e, emuSpec("zz")), "again")
		other := emuSpec("zz")
		other.Digest = "another"
		var used *Used
		require.ErrorAs(t, Start(ctx, e, other), &used)
		var refused *Refused
		require.ErrorAs(t, Start(ctx, e, emuSpec("aa")), &refused)
		assert.Equal(t, RefusedBusy, refused.Code)
		shared := emuSpec("aa")
		shared.Shared = true
		require.NoError(t, Start(ctx, e, shared))
		t0 := time.Now()

		after(5 * time.Second)
		for _, run := range []string{"zz", "aa"} {
			got, err := Inspect(ctx, e, run)
			require.NoError(t, err)
			assert.Equal(t, look(t, e, run), got)
		}
		none, err := Inspect(ctx, e, "nobody")
		require.NoError(t, err)
		assert.Equal(t, PhaseNone, none.Phase)
		assert.ErrorIs(t, Cancel(ctx, e, "nobody", 0), ErrNoRun)
		assert.EqualValues(t, -1, none.LogBytes)
		require.NoError(t, Cancel(ctx, e, "aa", -1))
		after(time.Hour)
		all, err := List(ctx, e)
		require.NoError(t, err)
		require.Len(t, all, 2)
		assert.Equal(t, []string{"aa", "zz"}, []string{all[0].Run, all[1].Run}, "by id")
		for _, s := range all {
			want := emuReceipt(t, e, s.Run)
			want.Started, want.Ended = want.Started.UTC(), want.Ended.UTC()
			assert.Equal(t, want, *s.Receipt)
		}
		assert.True(t, t0.Add(35*time.Second).Equal(all[0].Receipt.Ended), "the spec's own grace")
	})
}

func TestSpecArrivesWholeOrNotAtAll(t *testing.T) {
	var got []Spec
	e := NewEmulator(func(s Spec) Script { got = append(got, s); return Script{Hold: true} })
	want := Spec{Run: "r", Digest: "d", Argv: []string{"a b", "it's"}, Dir: "x/y", Env: map[string]string{"K": "v\n'"}, Grace: time.Minute,
		Limit: time.Hour, Lease: time.Minute, Shared: true, Attempt: 3, Resume: "/r", CheckpointDir: "/c", OutputDir: "/o"}
	text := string(formatSpec(want))
	for name, args := range map[string][]string{
		"cut":         {text[:len(text)-1], "r", "d", fmt.Sprint(len(text))},
		"cut, agreed": {text[:len(text)-1], "r", "d", fmt.Sprint(len(text) - 1)},
		"short":       {text, "r", "d", fmt.Sprint(len(text) + 1)},
		"other run":   {text, "q", "d", fmt.Sprint(len(text))},
		"other job":   {text, "r", "e", fmt.Sprint(len(text))},
		"no length":   {text, "r", "d", "x"},
	} {
		var refused *Refused
		require.ErrorAs(t, raw(t, e, args[0], "start", args[1], args[2], args[3])[0].err(), &refused, name)
		assert.Equal(t, RefusedSpec, refused.Code, name)
	}
	require.Empty(t, e.Statuses())
	require.NoError(t, Start(t.Context(), e, want))
	assert.Equal(t, []Spec{want}, got)
	assert.Equal(t, "1", raw(t, e, text, "start", "r", "d", fmt.Sprint(len(text)))[0].Fields["already"])
}

func TestRequestWithoutSenseIsRefused(t *testing.T) {
	e := emulated(nil)
	startAll(t, e, emuSpec("r"))
	for _, verb := range [][]string{{"renew", "r"}, {"renew", "r", "x", "1"}, {"guard", "0", "0", "0", "-"}, {"guard", "1", "0", "0", "A b"}, {"hello", "r"}, {"status"}, {"status", "R!"}, {"status", "r", "r"}, {"wait", "r", "soon"},
		{"log", "r", "-1", "once"}, {"log", "r", "0", "for ever"}, {"cancel", "r", "-5"}, {"cancel", "r", "999999999999999"}} {
		var refused *Refused
		require.ErrorAs(t, raw(t, e, "", verb...)[0].err(), &refused, verb)
		assert.Equal(t, RefusedRequest, refused.Code, verb)
	}
	assert.Equal(t, kindInstalled, raw(t, e, "script", "install", "digest", "6")[0].Kind)
	assert.Equal(t, kindRefused, raw(t, e, "scr", "install", "digest", "6")[0].Kind)
}

func TestWaitWakesAtTheInstantOfTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(e *Emulator)
		want time.Duration
		end  Phase
	}{
		"script":        {func(*Emulator) {}, time.Hour, PhaseDone},
		"finish":        {func(e *Emulator) { e.Finish("r", 3) }, time.Minute, PhaseDone},
		"cancel":        {func(e *Emulator) { _ = e.Cancel("r", 10*time.Second) }, time.Minute + 10*time.Second, PhaseDone},
		"time is over":  {func(e *Emulator) { startAll(t, e, emuSpec("other")) }, 2 * time.Minute, PhaseRunning},
		"never started": {nil, 0, PhaseNone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := emulated(map[string]Script{"r": {Duration: time.Hour, IgnoreTerm: true}})
				t0, run, upTo := time.Now(), "r", 24*time.Hour
				switch {
				case c.act == nil:
					run = "nobody"
				case c.end == PhaseRunning:
					upTo = c.want
				}
				startAll(t, e, emuSpec("r"))
				if c.act != nil {
					go func() { after(time.Minute); c.act(e) }()
				}
				s := raw(t, e, "", "wait", run, fmt.Sprint(int(upTo.Seconds())))
				assert.Equal(t, c.want, time.Since(t0))
				assert.Equal(t, string(c.end), s[0].Fields["phase"])
				after(time.Hour)
			})
		})
	}
}

func TestWaitAndFollowEndWithTheirContextAndWithTheMachine(t *testing.T) {
	verbs := map[string]func(context.Context, *Emulator) error{
		"wait": func(ctx context.Context, e *Emulator) error { _, err := Wait(ctx, e, "r", time.Hour); return err },
		"log": func(ctx context.Context, e *Emulator) error {
			_, err := Log(ctx, e, "r", 0, true, io.Discard)
			return err
		},
	}
	why := errors.New("the caller's reason")
	for name, verb := range verbs {
		synctest.Test(t, func(t *testing.T) {
			e := emulated(nil)
			startAll(t, e, emuSpec("r"))
			ctx, cancel := context.WithCancelCause(t.Context())
			t0 := time.Now()
			go func() { after(time.Second); cancel(why) }()
			assert.ErrorIs(t, verb(ctx, e), why, name)
			assert.Equal(t, time.Second, time.Since(t0), name)
			assert.ErrorIs(t, verb(ctx, e), why, "%s: asked before anything is done", name)

			go func() { after(time.Second); e.Die() }()
			assert.ErrorIs(t, verb(t.Context(), e), ErrGone, name)
			assert.Equal(t, 2*time.Second, time.Since(t0), name)
			assert.ErrorIs(t, verb(t.Context(), e), ErrGone, name)
		})
	}
}

// stamped notes when each write came.
type stamped struct {
	t0 time.Time
	at []string
}

func (s *stamped) Write(p []byte) (int, error) {
	s.at = append(s.at, fmt.Sprintf("%v %q", time.Since(s.t0), p))
	return len(p), nil
}

func TestFollowedLogComesLineByLineAndEndsWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := Script{Log: "a\nbb\nccc", Duration: 3 * time.Second}
		e := emulated(map[string]Script{"r": script, "cut": script, "held": {Log: "x\n", Hold: true}})
		cut := emuSpec("cut")
		cut.Limit = 1250 * time.Millisecond
		startAll(t, e, emuSpec("r"), cut, emuSpec("held"))
		w := &stamped{t0: time.Now()}
		next, err := Log(t.Context(), e, "cut", 0, true, w)
		require.NoError(t, err)
		assert.EqualValues(t, 2, next)
		assert.Equal(t, 1250*time.Millisecond, time.Since(w.t0), "until the run has ended, not until a line that never comes")
		after(250 * time.Millisecond)
		w = &stamped{t0: time.Now()}
		next, err = Log(t.Context(), e, "r", 1, true, w)
		require.NoError(t, err)
		assert.EqualValues(t, 8, next)
		assert.Equal(t, []string{`0s "\n"`, `500ms "bb\n"`, `1.5s "ccc"`}, w.at)

		go func() { after(time.Minute); e.Finish("held", 0) }()
		w = &stamped{t0: time.Now()}
		_, err = Log(t.Context(), e, "held", 0, true, w)
		require.NoError(t, err)
		assert.Equal(t, []string{`0s "x\n"`}, w.at)
		assert.Equal(t, time.Minute, time.Since(w.t0), "until the run has ended")
	})
}

func TestLogOnceGivesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("0123456789abcde\n", 3*maxFrame/16)
		e := emulated(map[string]Script{"r": {Log: "a\nb\n", Duration: 2 * time.Second}, "big": {Log: big}})
		startAll(t, e, emuSpec("r"), emuSpec("big"))
		after(time.Second)
		var got bytes.Buffer
		next, err := Log(t.Context(), e, "r", 0, false, &got)
		require.NoError(t, err)
		assert.EqualValues(t, 2, next)
		assert.Equal(t, "a\n", got.String())
		assert.Equal(t, "1", raw(t, e, "", "log", "r", "2", "once")[0].Fields["live"])
		after(time.Second)
		assert.Equal(t, "0", raw(t, e, "", "log", "r", "4", "once")[0].Fields["live"])

		got.Reset()
		_, err = Log(t.Context(), e, "big", 5, false, &got)
		require.NoError(t, err)
		assert.True(t, got.String() == big[5:], "several frames")

		var gap *Gap
		_, err = Log(t.Context(), e, "r", 9, true, &got)
		require.ErrorAs(t, err, &gap)
		assert.Equal(t, Gap{From: 4, To: 9}, *gap)
		_, err = Log(t.Context(), e, "nobody", 0, false, &got)
		assert.ErrorIs(t, err, ErrNoRun)
	})
}

func TestReaderThatGoesAwayEndsTheCall(t *testing.T) {
	e := emulated(map[string]Script{"r": {Log: "a\n", Hold: true, Duration: 0}})
	startAll(t, e, emuSpec("r"))
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	_, err := Log(t.Context(), e, "r", 0, true, w)
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = e.Exec(t.Context(), []string{"sh", "-c", "", protocolTag, "list"}, nil, w, nil)
	assert.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestAnEmulatedRunHasItsOutputsAsFiles(t *testing.T) {
	e := emulated(map[string]Script{"r": {Outputs: map[string]string{"out/b/c.bin": "ccc", "./out//a.txt": "a", "/outer": "o", ".": "no file"}}, "bare": {}})
	startAll(t, e, emuSpec("r"), emuSpec("bare"))
	for path, want := range map[string][]string{"out": {"out/", "out/a.txt 1 644", "out/b/", "out/b/c.bin 3 644"}, "out/a.txt": {"out/a.txt 1 644"},
		"out/b/": {"out/b/", "out/b/c.bin 3 644"}, ".": {"./", "out/", "out/a.txt 1 644", "out/b/", "out/b/c.bin 3 644", "outer 1 644"}} {
		all, info := listed(t, e, "r", PlaceAny, path)
		assert.Equal(t, want, all)
		assert.Equal(t, PlaceOutputs, info.Place)
	}
	all, _ := listed(t, e, "bare", PlaceAny, ".")
	assert.Equal(t, []string{"./"}, all)
	for _, path := range []string{"ou", "out/a.txt/x", "b"} {
		var refused *Refused
		_, err := Tree(t.Context(), e, "r", PlaceAny, path, nil)
		require.ErrorAs(t, err, &refused, path)
		assert.Equal(t, RefusedNotFound, refused.Code)
	}
	_, err := Tree(t.Context(), e, "nobody", PlaceAny, ".", nil)
	assert.ErrorIs(t, err, ErrNoRun)
}
