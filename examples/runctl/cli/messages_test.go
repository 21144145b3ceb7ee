package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// Every message says what happened, to which thing, and what to do next.
func TestMessagesOfRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
	}{
		"unknown-provider":     {[]string{"run", "-p", "fkae", "prog"}, 125},
		"default-provider":     {[]string{"run", "prog"}, 125},
		"gpu-spelling":         {[]string{"run", "-p", "fake", "--gpu", "8xH100", "prog"}, 125},
		"gpu-unknown":          {[]string{"run", "-p", "fake", "--gpu", "H10O:8", "prog"}, 125},
		"gpu-count":            {[]string{"run", "-p", "fake", "--gpu", "H100:0", "prog"}, 125},
		"no-lifetime":          {[]string{"run", "-p", "fake", "--gpu", "H100:1", "prog"}, 125},
		"empty-command":        {[]string{"run", "-p", "fake"}, 125},
		"empty-program":        {[]string{"run", "-p", "fake", "--", ""}, 125},
		"negative-lifetime":    {[]string{"run", "-p", "fake", "--lifetime", "-1h", "prog"}, 125},
		"lifetime-spelling":    {[]string{"run", "-p", "fake", "--lifetime", "tomorrow", "prog"}, 125},
		"max-price":            {[]string{"run", "-p", "fake", "--gpu", "H100:8", "--lifetime", "1h", "--max-price", "20", "prog"}, 125},
		"max-cost":             {[]string{"run", "-p", "fake", "--gpu", "H100:1", "--lifetime", "12h", "--max-cost", "20", "prog"}, 125},
		"max-price-currency":   {[]string{"run", "-p", "fake", "--gpu", "H100:1", "--lifetime", "12h", "--max-price", "20EUR", "prog"}, 125},
		"price-in-a-pipe":      {[]string{"run", "-p", "fake", "--gpu", "H100:1", "--lifetime", "12h", "prog"}, 125},
		"no-offer":             {[]string{"run", "-p", "fake", "--gpu", "B200:8", "prog"}, 125},
		"secret-value":         {[]string{"run", "-p", "fake", "--secret", "TOKEN=abc", "prog"}, 125},
		"secret-unset":         {[]string{"run", "-p", "fake", "--secret", "TOKEN", "prog"}, 125},
		"env-unset":            {[]string{"run", "-p", "fake", "--env", "TOKEN", "prog"}, 125},
		"env-reserved":         {[]string{"run", "-p", "fake", "--lifetime", "1h", "--env", "RUNCTL_X=1", "prog"}, 125},
		"out-outside":          {[]string{"run", "-p", "fake", "--lifetime", "1h", "--out", "../x", "prog"}, 125},
		"bad-name":             {[]string{"run", "-p", "fake", "--name", "Train_1", "prog"}, 125},
		"resume-unknown":       {[]string{"run", "-p", "fake", "--resume", "nobody", "prog"}, 125},
		"unknown-flag":         {[]string{"run", "-p", "fake", "--gpus", "1", "prog"}, 125},
		"unknown-command":      {[]string{"urn", "prog"}, 2},
		"attach-nothing":       {[]string{"attach"}, 125},
		"attach-unknown":       {[]string{"attach", "nobody"}, 125},
		"logs-nothing":         {[]string{"logs"}, 2},
		"cancel-without-run":   {[]string{"cancel"}, 2},
		"terminate-unknown":    {[]string{"terminate", "m-none", "-p", "fake"}, 1},
		"submit-without-job":   {[]string{"submit", "m-1"}, 2},
		"bad-reference":        {[]string{"attach", "rc1:nonsense"}, 125},
		"list-without-any":     {[]string{"offers"}, 1},
		"command-not-found":    {[]string{"run", "-p", "fake", "--name", "x", "--lifetime", "1h", "-y", "trian"}, 127},
		"lost-output":          {[]string{"run", "-p", "fake", "--name", "x", "--lifetime", "1h", "-y", "--out", "missing", "prog"}, 125},
		"detached-and-priced":  {[]string{"run", "-d", "-p", "fake", "--name", "x", "--lifetime", "1h", "--max-cost", "3", "prog"}, 0},
		"dry-run":              {[]string{"run", "--dry-run", "-p", "fake", "--name", "x", "--lifetime", "12h", "prog"}, 0},
		"launch-capacity-gone": {[]string{"run", "-p", "broke", "--name", "x", "--lifetime", "1h", "-y", "prog"}, 125},
		"launch-in-doubt":      {[]string{"run", "-p", "mute", "--name", "x", "--lifetime", "1h", "-y", "prog"}, 122},
		"unguarded-in-a-pipe":  {[]string{"run", "-p", "cheap", "--lifetime", "1h", "--max-cost", "3", "prog"}, 125},
		"forgetful-detached":   {[]string{"run", "-d", "-p", "short", "--lifetime", "1h", "--max-cost", "3", "--out", "o", "prog"}, 125},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fake.Offers(pricedOffers()...))
			w.cloud.Script("", fake.Script{})
			if name == "command-not-found" {
				w.cloud.Script("", fake.Script{ExitCode: 127, Cause: "notfound"})
			}
			offers := fake.Offers(pricedOffers()[:1]...)
			w.addCloud("broke", offers).Inject(fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity})
			w.addCloud("cheap", offers, fake.Unguarded())
			w.addCloud("short", offers, fake.Forgetful())
			mute := w.addCloud("mute", offers, fake.Settle(0))
			if name == "launch-in-doubt" {
				mute.Inject(fake.Fault{Op: fake.OpLaunch})
				w.deadlines.Doubt = 20 * time.Millisecond
			}
			r := w.run(tc.args...)
			assert.Equal(t, tc.code, r.code, r.stderr)
			w.golden("messages/"+name, r.stderr)
			if tc.code == 125 && r.code == 125 {
				w.nothingLeft()
			}
			for line := range strings.Lines(r.stderr) {
				assert.True(t, strings.HasPrefix(line, "· ") || strings.HasPrefix(line, "    "), "%q", line)
			}
		})
	}
}

func TestErrorsInJSON(t *testing.T) {
	w := newWorld(t)
	w.cloud.Inject(fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity})
	for _, args := range [][]string{
		{"run", "--json", "-p", "fake", "--name", "x", "prog"},
		{"run", "--json", "-p", "fkae", "prog"},
		{"--json", "attach", "nobody"},
	} {
		r := w.run(args...)
		assert.Equal(t, 125, r.code)
		var e struct {
			Error struct {
				Kind    string `json:"kind"`
				Message string `json:"message"`
				MayBill *bool  `json:"may_bill"`
			} `json:"error"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.stderr), &e), r.stderr)
		assert.NotEmpty(t, e.Error.Kind)
		assert.NotEmpty(t, e.Error.Message)
		require.NotNil(t, e.Error.MayBill)
		assert.False(t, *e.Error.MayBill)
	}
}

func TestATerminalIsAskedForThePrice(t *testing.T) {
	for answer, code := range map[string]int{"y\n": 0, "n\n": 125, "\n": 125, "": 125} {
		w := newWorld(t, fake.Offers(pricedOffers()...))
		w.tty, w.stdin = true, strings.NewReader(answer)
		r := w.run("run", "-p", "fake", "--name", "x", "--lifetime", "12h", "--gpu", "H100:1", "prog")
		assert.Equal(t, code, r.code, "%q: %s", answer, r.stderr)
		assert.Contains(t, r.stderr, "at $2.99/h, at most $35.88 until")
		assert.Contains(t, r.stderr, "Launch? [y/N]")
		assert.Equal(t, code == 0, w.cloud.Launched() == 1)
	}
}

func TestThePriceShownIsTheCeiling(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...))
	w.cloud.Inject(fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity})
	r := w.run("run", "-p", "fake", "--lifetime", "1h", "-y", "prog")
	assert.Equal(t, 125, r.code)
	assert.Equal(t, 1, w.cloud.Calls(fake.OpLaunch), "the dearer offer was not agreed to")
}

// stateFiles are the files of state, and the commands that need them.
func TestFilesOfStateThatCannotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct{ file, content string }{
		"owner-torn":        {"owner.json", `{"runctl":"owner","version":1,"own`},
		"owner-zeroed":      {"owner.json", "\x00\x00\x00\x00"},
		"owner-newer":       {"owner.json", `{"runctl":"owner","version":2,"owner":"tester"}`},
		"owner-foreign":     {"owner.json", `{"runctl":"owner","version":1,"owner":"other","secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`},
		"owner-short":       {"owner.json", `{"runctl":"owner","version":1,"owner":"tester","secret":"AAAA"}`},
		"owner-other-kind":  {"owner.json", `{"runctl":"run","version":1,"owner":"tester"}`},
		"owner-no-object":   {"owner.json", `[1]`},
		"controller-torn":   {"controller.json", `{`},
		"intents-no-log":    {"intents.log", "hello\n"},
		"intents-newer":     {"intents.log", `{"runctl":"intents","version":2}` + "\n"},
		"run-torn":          {"runs/x.json", `{"runctl":"run","version":1,`},
		"run-newer":         {"runs/x.json", `{"runctl":"run","version":7,"owner":"tester"}`},
		"run-foreign":       {"runs/x.json", `{"runctl":"run","version":1,"owner":"other"}`},
		"run-other-name":    {"runs/x.json", `{"runctl":"run","version":1,"owner":"tester","name":"y"}`},
		"run-bad-reference": {"runs/x.json", `{"runctl":"run","version":1,"owner":"tester","name":"x","ref":"nonsense"}`},
		"run-wrong-type":    {"runs/x.json", `{"runctl":"run","version":1,"owner":"tester","name":5}`},
		"run-empty":         {"runs/x.json", ``},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(w.dir, "state", tc.file)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))
			r := w.run("run", "-p", "fake", "--name", "z", "prog")
			assert.Equal(t, 125, r.code)
			assert.Contains(t, r.stderr, filepath.Base(tc.file))
			assert.Zero(t, w.cloud.Launched())
			w.golden("state/"+name, r.stderr)
			for _, args := range [][]string{{"ps", "-p", "fake"}, {"attach", "x"}, {"logs"}, {"wait"}} {
				assert.NotZero(t, w.run(args...).code, "%v", args)
			}
		})
	}
}

func TestASecretThatOthersCanReadIsRefused(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, 0, w.run("run", "-p", "fake", "prog").code)
	require.NoError(t, os.Chmod(filepath.Join(w.dir, "state", "owner.json"), 0o644))
	r := w.run("ps", "-p", "fake")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "chmod 600")
}

func TestOthersTextIsShownSafely(t *testing.T) {
	w := newWorld(t)
	evil := "x\x1b]52;c;eA==\a\u009b2J\u202egpj.exe\r\nline"
	w.cloud.Inject(fake.Fault{Op: fake.OpLaunch, Err: &runctl.Error{Kind: runctl.ErrCapacity, NotStarted: true, Msg: evil}})
	r := w.run("run", "-p", "fake", "prog")
	assert.Equal(t, 125, r.code)
	for _, bad := range []string{"\x1b", "\a", "\u009b", "\u202e", "\r"} {
		assert.NotContains(t, r.stderr, bad)
	}
	w.cloud.Add(runctl.Instance{Label: "rc1-evil-k-x", Type: evil, Region: evil})
	for _, args := range [][]string{{"ps", "--all-owners", "-p", "fake"}, {"offers", "-p", "fake"}, {"ps", "--all-owners", "-p", "fake", "--json"}} {
		r := w.run(args...)
		for _, bad := range []string{"\x1b", "\a", "\u009b"} {
			assert.NotContains(t, r.stdout+r.stderr, bad, "%v", args)
		}
	}
}

func TestAJobsBytesOnATerminalAreSafeUnlessRaw(t *testing.T) {
	for raw, want := range map[bool]string{false: "step 1\n" + `\x1b]52;c;eA==\a\x9b2J\x00\xff no newline at the end`, true: bytesOfAJob} {
		w := newWorld(t)
		w.cloud.Script("", fake.Script{Log: bytesOfAJob})
		var stdout syncBuffer
		a := w.app(&stdout, io.Discard)
		a.outTTY = true
		args := []string{"run", "-p", "fake", "--name", "x", "prog"}
		if raw {
			args = append([]string{"--raw"}, args...)
		}
		require.Zero(t, a.run(t.Context(), args))
		assert.Equal(t, want, stdout.String())
		assert.Equal(t, bytesOfAJob, w.file("work", "runctl-out", "x", "log"), "the saved log is unchanged")
	}
}

func TestPrintedCommandsAreQuoted(t *testing.T) {
	assert.Equal(t, "runctl attach 'x;rm -rf ~'", command("runctl", "attach", "x;rm -rf ~"))
	assert.Equal(t, `'it'\''s' '' '$(x)' a-b_c./:@%+=,1`, command("it's", "", "$(x)", "a-b_c./:@%+=,1"))
	w := newWorld(t)
	r := w.run("run", "-p", "fake", "--name", "x;rm", "prog")
	assert.Equal(t, 125, r.code)
}

// FuzzRecord holds the reading of records to one clear error, and the showing of what was read to no panic.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"runctl":"run","version":1,"owner":"tester","name":"x","job":"x","attempt":1,"ref":"rc1:fake/tester/x/m-1/x","command":["p"],` +
		`"out_dir":"/nowhere","phase":"ended","ended":"2026-01-02T03:04:05Z","outcome":"failed","exit":3,"offer":{"price":{"amount":"1"}},"cost":{}}`))
	f.Add([]byte(`{"runctl":"run","version":1,"owner":"tester","name":"x","job":"x","attempt":1,"ref":"rc1:fake/tester/x//x","out_dir":"/n","phase":"running"}`))
	f.Add([]byte(`{"runctl":"run","version":9}`))
	f.Add([]byte(`null`))
	dir := f.TempDir()
	path := filepath.Join(dir, "runs", "x.json")
	require.NoError(f, os.MkdirAll(filepath.Dir(path), 0o700))
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		s := &state{dir: dir, owner: "tester"}
		all, err := s.records()
		if len(all) == 0 {
			require.ErrorContains(t, err, "x.json")
		}
		for _, r := range all {
			a := &app{dir: dir, now: time.Now, getenv: func(string) (string, bool) { return "", false }, say: &speaker{w: io.Discard}}
			x := &session{app: a, state: s}
			row := &psRow{rec: r}
			_, err := json.Marshal(row.json())
			require.NoError(t, err)
			require.NotEmpty(t, row.cells(a))
			require.NotEmpty(t, x.inFull(row))
			require.NotEmpty(t, followUp(r))
			_ = x.resultOf(r).exit()
			found, err := a.findRun(s, []string{"x"})
			require.NoError(t, err)
			require.Equal(t, "x", found.Name)
		}
	})
}
