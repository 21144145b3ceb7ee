package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidateRefusesWhatAShellCannotCarry(t *testing.T) {
	good := Spec{Run: "r-1", Digest: "sha256:ab", Argv: []string{"x"}}
	require.NoError(t, good.Validate())
	for field, breaks := range map[string][]func(*Spec){
		"Run":    {func(s *Spec) { s.Run = "" }, func(s *Spec) { s.Run = "A" }, func(s *Spec) { s.Run = "../x" }, func(s *Spec) { s.Run = strings.Repeat("a", 65) }, func(s *Spec) { s.Run = "a\n" }},
		"Digest": {func(s *Spec) { s.Digest = "" }, func(s *Spec) { s.Digest = "a b" }, func(s *Spec) { s.Digest = "/x" }},
		"Argv":   {func(s *Spec) { s.Argv = nil }, func(s *Spec) { s.Argv[0] = "" }, func(s *Spec) { s.Argv = []string{"a", "\x00"} }, func(s *Spec) { s.Argv = []string{"a", strings.Repeat("x", 128<<10)} }},
		"Dir":    {func(s *Spec) { s.Dir = "../x" }, func(s *Spec) { s.Dir = "a/../../b" }, func(s *Spec) { s.Dir = "/a\nb" }},
		"Env": {func(s *Spec) { s.Env = map[string]string{"A=B": ""} }, func(s *Spec) { s.Env = map[string]string{"OPTIND": "abc"} },
			func(s *Spec) { s.Env = map[string]string{"RUNCTL_MARK": ""} }, func(s *Spec) { s.Env = map[string]string{"sp_exec": ""} },
			func(s *Spec) { s.Env = map[string]string{"A": "\x00"} }, func(s *Spec) { s.Env = map[string]string{"a.b": ""} }},
		"Grace": {func(s *Spec) { s.Grace = -1 }, func(s *Spec) { s.Grace = maxDuration + 1 }},
		"Limit": {func(s *Spec) { s.Limit = -1 }}, "Lease": {func(s *Spec) { s.Lease = -1 }}, "Attempt": {func(s *Spec) { s.Attempt = -1 }},
		"Resume": {func(s *Spec) { s.Resume = "x" }}, "CheckpointDir": {func(s *Spec) { s.CheckpointDir = "c" }}, "OutputDir": {func(s *Spec) { s.OutputDir = "/o\x7f" }},
	} {
		for i, change := range breaks {
			s := good
			s.Argv = []string{"x"}
			change(&s)
			var bad *FieldError
			if assert.ErrorAs(t, s.Validate(), &bad, "%s %d", field, i) {
				assert.Equal(t, field, bad.Field)
			}
		}
	}
}

func TestASpecReadsBackAsItWas(t *testing.T) {
	want := Spec{Run: "r", Digest: "d", Argv: []string{"a", "", "it's", "''", "\\'", "$x `y` \n}\nsp_exec"}, Dir: "/d'ir", Env: map[string]string{"A": "1\n}\n", "B": "'", "C": ""},
		Grace: 1500 * time.Millisecond, Limit: time.Hour, Lease: time.Minute, Shared: true, Attempt: 2, Resume: "/re sume", CheckpointDir: "/c", OutputDir: "/o"}
	got, err := parseSpec(formatSpec(want))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(want, got))
	got, err = parseSpec(formatSpec(Spec{Run: "r", Digest: "d", Argv: []string{"a"}, Limit: 1}))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(Spec{Run: "r", Digest: "d", Argv: []string{"a"}, Env: map[string]string{}, Attempt: 1, Grace: 30 * time.Second, Limit: time.Millisecond}, got))
}

func TestShellsReadASpecAsTheParserDoes(t *testing.T) {
	want := []string{"a'b", "\\", "\n\n", "$(id)", "*", "\x81\x82\x88\xff", "é"}
	text := formatSpec(Spec{Run: "r", Digest: "d", Argv: want, Env: map[string]string{"V": "x'\n\x81"}})
	for _, shell := range shells {
		program, err := exec.LookPath(shell.program)
		if err != nil {
			continue
		}
		argv := []string{program, "-c", string(text) + `sp_env; sp_exec printf '%s\0' "$V"`}
		if shell.program == "busybox" {
			argv = append([]string{program, "sh"}, argv[1:]...)
		}
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		require.NoError(t, err, shell.name)
		assert.Equal(t, append([]string{"x'\n\x81"}, want...), strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), shell.name)
	}
}

func someReceipt() Receipt {
	return Receipt{Run: "r", Source: "supervisor", Cause: "cancel", Signal: "KILL", Checkpoint: "a/b", Code: 137, Started: time.Unix(1e9, 0).UTC(),
		Ended: time.Unix(1e9+5, 0).UTC(), LogBytes: -1, Stragglers: 2, End: EndKill}
}

func TestAReceiptReadsBackOrIsRefused(t *testing.T) {
	want := someReceipt()
	line := want.Marshal()
	got, err := ParseReceipt(append(line, bytes.Repeat([]byte(" "), 4000)...))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(want, got))
	for i := range len(line) - 1 { // cut anywhere
		_, err := ParseReceipt(line[:i])
		assert.Error(t, err, "%q", line[:i])
	}
	for _, change := range []func(*Receipt){func(r *Receipt) { r.Code = 256 }, func(r *Receipt) { r.Code = -1 }, func(r *Receipt) { r.Cause = "luck" },
		func(r *Receipt) { r.Signal = "x y" }, func(r *Receipt) { r.Checkpoint = "../x" }, func(r *Receipt) { r.Run = "A" }, func(r *Receipt) { r.End = "" },
		func(r *Receipt) { r.LogBytes = -2 }, func(r *Receipt) { r.Signal = "KILL code=0" }} {
		r := want
		change(&r)
		_, err := ParseReceipt(r.Marshal())
		assert.Error(t, err, "%+v", r)
	}
}

func TestHalfAReplyIsNoReply(t *testing.T) {
	r := someReceipt()
	whole := "noise\n" + formatStatus(Status{Run: "r", Phase: PhaseDone, Evidence: "a=b c", Up: 1230 * time.Millisecond, Lease: time.Minute, LogBytes: 7, Receipt: &r}) +
		formatStatus(Status{Run: "s", Phase: PhaseRunning, LogBytes: -1}) + formatLine(kindEnd)
	read := func(b string) ([]Status, error) {
		lines, err := parseReply([]byte(b))
		if err != nil {
			return nil, err
		}
		return parseStatuses(lines)
	}
	got, err := read(whole)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff([]Status{{Run: "r", Phase: PhaseDone, Evidence: "a=b c", Up: 1230 * time.Millisecond, Lease: time.Minute, LogBytes: 7, Receipt: &r},
		{Run: "s", Phase: PhaseRunning, LogBytes: -1}}, got))
	for i := range len(whole) - 1 {
		_, err := read(whole[:i])
		assert.ErrorIs(t, err, errDamaged, "%q", whole[:i])
	}
	got, err = read(strings.Replace(whole, "code=137", "code=0", 1))
	require.NoError(t, err)
	assert.Equal(t, PhaseUnknown, got[0].Phase, "a receipt that does not add up is none")
	assert.Nil(t, got[0].Receipt)
	_, err = read(strings.Replace(whole, "phase=done", "phase=running", 1))
	assert.ErrorIs(t, err, errDamaged)
	_, err = parseReply(make([]byte, maxReply+1))
	assert.ErrorIs(t, err, errDamaged)
}

func TestErrorsCrossTheWire(t *testing.T) {
	for _, want := range []error{&Refused{Code: 75, Reason: "run x has the machine"}, &Used{Run: "r"}, &Gap{From: 1, To: 5}, ErrNoRun} {
		lines, err := parseReply([]byte(formatErr(want) + formatLine(kindEnd)))
		require.NoError(t, err)
		assert.Equal(t, want, lines[0].err())
		assert.NotEmpty(t, lines[0].err().Error())
	}
	assert.NoError(t, reply{Kind: kindStarted}.err())
	assert.ErrorIs(t, reply{Kind: kindGap, Fields: map[string]string{"from": "5", "to": "5"}}.err(), errDamaged)
}

func TestAFrameIsDeliveredWholeOrNotAtAll(t *testing.T) {
	whole := "noise" + "\n" + formatLine(kindData, "from=0", "n=3") + "a\n\x00" + frameEnd + formatLine(kindTick) +
		formatLine(kindData, "from=3", "n=11") + "RUNCTL1 end" + frameEnd + formatLine(kindLog, "next=14", "live=0") + formatLine(kindEnd)
	for size := 1; size < len(whole); size += 3 { // in pieces of any size
		var out bytes.Buffer
		s := &stream{log: &out}
		for chunk := []byte(whole); len(chunk) > 0; {
			n := min(size, len(chunk))
			_, err := s.Write(chunk[:n])
			require.NoError(t, err)
			assert.EqualValues(t, out.Len(), s.next)
			chunk = chunk[n:]
		}
		assert.Equal(t, "a\n\x00RUNCTL1 end", out.String())
		assert.True(t, s.ended)
	}
	for name, broken := range map[string]string{"short frame": strings.Replace(whole, "n=3", "n=4", 1), "hole": strings.Replace(whole, "from=3", "from=4", 1),
		"huge": strings.Replace(whole, "n=11", "n=99999999", 1), "negative": strings.Replace(whole, "n=3", "n=-1", 1), "end": strings.Replace(whole, "next=14", "next=15", 1)} {
		s := &stream{log: io.Discard}
		_, err := s.Write([]byte(broken))
		assert.ErrorIs(t, err, errDamaged, name)
		_, again := s.Write([]byte("x"))
		assert.True(t, errors.Is(again, err), name)
	}
	s := &stream{log: io.Discard}
	for range 100 {
		_, err := s.Write(bytes.Repeat([]byte("x"), maxLine))
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, cap(s.buf), 8*maxLine, "a line without an end takes no memory")
}

func TestLatestNamesACheckpointInside(t *testing.T) {
	for content, want := range map[string]bool{"step-1\n": true, "a/b_c.d": true, "": false, "\n": false, "a\n\n": false, "a b": false, "/a": false, "..": false,
		"a/../b": false, "a/..": false, "..a": true, "é": false, "a\x00": false, strings.Repeat("a", 257): false, "a//b": true} {
		_, ok := parseLatest([]byte(content))
		assert.Equal(t, want, ok, "%q", content)
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(someReceipt().Marshal())
	f.Add([]byte("v=1 run=r code=0 sig= cause=exit t0=0 t1=0 out=0 stragglers=0 ckpt= end=self sum=71 .\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			return
		}
		again, err := ParseReceipt(r.Marshal())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func FuzzReply(f *testing.F) {
	r := someReceipt()
	f.Add([]byte(formatStatus(Status{Run: "r", Phase: PhaseDone, Receipt: &r}) + formatLine(kindEnd)))
	f.Add([]byte("RUNCTL1 data from=0 n=1\nx" + frameEnd + "RUNCTL1 log next=1\nRUNCTL1 end\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if lines, err := parseReply(b); err == nil {
			all, err := parseStatuses(lines)
			for _, s := range all {
				require.NoError(t, err)
				require.Equal(t, s.Phase == PhaseDone, s.Receipt != nil)
			}
		}
		var out bytes.Buffer
		s := &stream{log: &out}
		_, _ = s.Write(b)
		require.EqualValues(t, out.Len(), s.next)
	})
}

func FuzzLatest(f *testing.F) {
	f.Add([]byte("step-1\n"))
	f.Add([]byte("../x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, ok := parseLatest(b); ok {
			require.True(t, inside(name) && name != "" && !strings.ContainsAny(name, " \n\x00"), fmt.Sprintf("%q", name))
		}
	})
}

func FuzzSpec(f *testing.F) {
	f.Add("a'b", "x\ny", "v")
	f.Fuzz(func(t *testing.T, a, b, v string) {
		s := Spec{Run: "r", Digest: "d", Argv: []string{"x", a, b}, Env: map[string]string{"V": v}, Grace: time.Second, Attempt: 1}
		if s.Validate() != nil {
			return
		}
		got, err := parseSpec(formatSpec(s))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(s, got))
	})
}
