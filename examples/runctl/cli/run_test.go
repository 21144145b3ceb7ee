package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// bytesOfAJob are such as no terminal should get, and every pipe must.
const bytesOfAJob = "step 1\n\x1b]52;c;eA==\a\x9b2J\x00\xff no newline at the end"

func TestRunGivesTheJobsBytesUnchangedAndLeavesNothing(t *testing.T) {
	for _, road := range []fake.Option{fake.ShellOnly(), fake.JobOnly()} {
		testRun(t, newWorld(t, road))
	}
}

func testRun(t *testing.T, w *world) {
	w.cloud.Script("", fake.Script{Log: bytesOfAJob, Outputs: map[string]string{"model/w.bin": "weights"}})
	r := w.run("run", "-p", "fake", "--name", "train", "--out", "model", "--", "train", "--steps", "3")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, bytesOfAJob, r.stdout)
	assert.Equal(t, bytesOfAJob, w.file("work", "runctl-out", "train", "log"))
	assert.Equal(t, "weights", w.file("work", "runctl-out", "train", "model", "w.bin"))
	w.golden("run", r.stderr)
	w.nothingLeft()

	rec := w.record("train")
	assert.Equal(t, phaseEnded, rec.Phase)
	assert.Equal(t, "succeeded", rec.Outcome)
	assert.Equal(t, 0, *rec.Exit)
	assert.Equal(t, []string{"train", "--steps", "3"}, rec.Args)
	assert.Equal(t, "fake", rec.Ref.Provider)
	assert.NotEmpty(t, rec.Ref.ID)
	assert.Equal(t, runctl.CauseExit, rec.Receipt.Cause)
	assert.Equal(t, seconds(24*time.Hour), rec.Lifetime)
}

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		script fake.Script
		code   int
		word   string
	}{
		"its own":        {fake.Script{ExitCode: 7}, 7, "failed after"},
		"its own 122":    {fake.Script{ExitCode: 122}, 122, "the job's own"},
		"a signal":       {fake.Script{Signal: "SEGV", ExitCode: 139}, 139, "signal SEGV"},
		"lifetime":       {fake.Script{ExitCode: 143, Cause: "lifetime"}, 124, "ended by lifetime"},
		"budget":         {fake.Script{ExitCode: 143, Cause: "budget"}, 124, "ended by budget"},
		"pre-empted":     {fake.Script{ExitCode: 143, Cause: "preempted"}, 123, "pre-empted"},
		"ran again":      {fake.Script{ExitCode: 255, Cause: "again"}, 123, "started more than once"},
		"not there":      {fake.Script{ExitCode: 127, Cause: "notfound"}, 127, "not found on the machine"},
		"not executable": {fake.Script{ExitCode: 126, Cause: "notexec"}, 126, "cannot be run"},
		"cancelled to 0": {fake.Script{Cause: "cancel"}, 130, "cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cloud.Script("", tc.script)
			r := w.run("run", "-p", "fake", "--name", "x", "prog")
			assert.Equal(t, tc.code, r.code, r.stderr)
			assert.Contains(t, r.stderr, tc.word)
			w.nothingLeft()
			assert.Equal(t, tc.code, w.run("wait", "x").code, "wait gives the same code afterwards")
			assert.Equal(t, tc.code, w.run("attach", "x").code, "and so does attach")
		})
	}
}

func TestALostMachineIsNotASuccess(t *testing.T) {
	w := newWorld(t, fake.Forgetful())
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true})
	s := w.start("run", "-p", "fake", "--name", "x", "prog")
	s.stdout.waitFor(t, "a\n")
	w.cloud.Kill(w.record("x").Ref.ID)
	assert.Equal(t, 123, s.wait(t), s.stderr.String())
	assert.Contains(t, s.stderr.String(), "lost")
	assert.Equal(t, "a\n", w.file("work", "runctl-out", "x", "log"), "what was seen of the log is kept")
	assert.Equal(t, "lost", w.record("x").Outcome)
}

func TestFlagsStandBeforeAndAfterTheCommandAndEndAtItsArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-p", "fake", "run", "prog", "-q", "--json", "-p", "x"},
		{"run", "-p", "fake", "--", "prog", "-q", "--json", "-p", "x"},
		{"--provider=fake", "--name", "n", "--spot=false", "run", "--", "prog", "-q", "--json", "-p", "x"},
		{"-vpfake", "run", "prog", "-q", "--json", "-p", "x"},
		{"-v", "-p", "fake", "run", "prog", "-q", "--json", "-p", "x"},
	} {
		w := newWorld(t)
		r := w.run(args...)
		require.Equal(t, 0, r.code, "%v: %s", args, r.stderr)
		assert.Equal(t, "fake: prog -q --json -p x\n", r.stdout, "%v", args)
		assert.Contains(t, r.stderr, "· ", "%v: -q was the job's", args)
	}
}

func TestQuietSaysNothing(t *testing.T) {
	w := newWorld(t)
	r := w.run("-q", "run", "-p", "fake", "prog")
	assert.Equal(t, outcomeOf{0, "fake: prog\n", ""}, r)
}

func TestJSONGivesEventsAlone(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "text\n\xff\xfe"})
	r := w.run("run", "--json", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code)
	assert.Empty(t, r.stderr)
	var log []byte
	var last map[string]any
	for line := range strings.Lines(r.stdout) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		last = e
		if e["event"] != "log" {
			continue
		}
		assert.EqualValues(t, len(log), e["offset"])
		if text, ok := e["data"].(string); ok {
			log = append(log, text...)
		} else {
			b, err := base64.StdEncoding.DecodeString(e["data_base64"].(string))
			require.NoError(t, err)
			log = append(log, b...)
		}
	}
	assert.Equal(t, "text\n\xff\xfe", string(log))
	assert.Equal(t, "result", last["event"])
	assert.Equal(t, "succeeded", last["outcome"])
	assert.EqualValues(t, 0, last["exit_code"])
	assert.EqualValues(t, 7, last["receipt"].(map[string]any)["log_bytes"])
}

func TestDetachPrintsTheNameAndAttachGoesOn(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "a\nb\n", Hold: true, Outputs: map[string]string{"o": "1"}})
	r := w.run("run", "-d", "-p", "fake", "--name", "x", "--out", "o", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Equal(t, "x\n", r.stdout)
	w.golden("detached", r.stderr)
	assert.Len(t, w.cloud.Billing(), 1)

	assert.Equal(t, "a\nb\n", w.run("logs").stdout, "the only live run")
	assert.Equal(t, "b\n", w.run("logs", "x", "--tail", "1").stdout)
	assert.Equal(t, "\nb\n", w.run("logs", "x", "--from", "1").stdout)
	assert.Contains(t, w.run("ps").stdout, "running")
	timedOut := w.run("wait", "--timeout", "1ms")
	assert.Equal(t, 122, timedOut.code)

	s := w.start("attach", "x")
	s.stdout.waitFor(t, "b\n")
	w.cloud.Finish("x", 5)
	assert.Equal(t, 5, s.wait(t), s.stderr.String())
	assert.Equal(t, "a\nb\n", s.stdout.String(), "the whole log from its beginning")
	assert.Equal(t, "1", w.file("work", "runctl-out", "x", "o"))
	w.nothingLeft()

	assert.Equal(t, "a\nb\n", w.run("logs", "x").stdout, "also after the machine is gone")
	assert.Equal(t, "b\n", w.run("logs", "x", "--tail", "1").stdout)
	assert.Equal(t, "\n", w.run("logs", "x", "--from", "3").stdout)
	assert.Equal(t, outcomeOf{code: 5}, w.run("wait", "x"))
	again := w.run("attach", "x")
	assert.Equal(t, 5, again.code)
	assert.Equal(t, "a\nb\n", again.stdout)
}

func TestTwoWhoFollowCollectOnce(t *testing.T) {
	w := newWorld(t, fake.ShellOnly(), fake.Unguarded())
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true})
	first := w.start("run", "-y", "-p", "fake", "--name", "x", "prog")
	first.stdout.waitFor(t, "a\n")
	second := w.start("attach", "x")
	second.stdout.waitFor(t, "a\n")
	assert.Contains(t, second.stderr.String(), "another runctl follows it")
	w.cloud.Finish("x", 3)
	assert.Equal(t, 3, second.wait(t))
	assert.Equal(t, 3, first.wait(t))
	assert.Equal(t, 1, w.cloud.Calls(fake.OpTerminate))
	w.nothingLeft()
}

func TestAnOutputThatCannotBeCollectedKeepsTheMachine(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...), fake.ShellOnly())
	r := w.run("run", "-p", "fake", "--name", "x", "--lifetime", "1h", "-y", "--out", "missing", "prog")
	assert.Equal(t, 122, r.code, r.stderr)
	assert.Contains(t, r.stderr, "its machine is kept")
	assert.Contains(t, r.stderr, "runctl attach x")
	assert.Len(t, w.cloud.Billing(), 1)
	assert.True(t, w.record("x").live())
}

func TestAFailedJobThatLeftNothingEndsItsMachine(t *testing.T) {
	w := newWorld(t, fake.Offers(pricedOffers()...), fake.ShellOnly())
	w.cloud.Script("", fake.Script{ExitCode: 3})
	r := w.run("run", "-p", "fake", "--name", "x", "--lifetime", "1h", "-y", "--out", "missing", "prog")
	assert.Equal(t, 3, r.code, r.stderr)
	assert.Contains(t, r.stderr, "missing could not be fetched")
	w.nothingLeft()
	assert.False(t, w.record("x").live())
}

func TestAnOfferThatDoesNotLastDecidesNothing(t *testing.T) {
	offers := pricedOffers()
	offers[0].ID, offers[0].MaxLifetime, offers[0].Roads = "short", 10*time.Minute, runctl.RoadJob // it is cheaper, and ends itself
	offers[1].EndsItself, offers[1].Roads = false, runctl.RoadShell
	w := newWorld(t, fake.Offers(offers...))
	r := w.run("run", "-p", "fake", "--name", "x", "--lifetime", "1h", "-y", "prog")
	assert.Equal(t, 0, r.code, r.stderr)
	w.nothingLeft()
}

func TestACertainRefusalLeavesNoRecord(t *testing.T) {
	w := newWorld(t)
	w.cloud.Inject(fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity})
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	assert.Equal(t, 125, r.code)
	assert.NoFileExists(t, filepath.Join(w.dir, "state", "runs", "x.json"))
	w.nothingLeft()
}

func TestNamesAreReusedAsAttempts(t *testing.T) {
	w := newWorld(t)
	for n, want := range []string{"train", "train-2", "train-3"} {
		r := w.run("run", "-p", "fake", "--name", "train", "prog")
		require.Equal(t, 0, r.code, r.stderr)
		assert.Equal(t, n+1, w.record(want).Attempt)
	}
	assert.Contains(t, w.run("ps", "train").stdout, "3 of train", "a job's name means its last attempt")
	assert.Contains(t, w.run("ps", "train-1").stdout, "1 of train")
	assert.Contains(t, w.run("ps", "train-2").stdout, "2 of train")

	w.cloud.Script("", fake.Script{Hold: true})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "train", "prog").code)
	r := w.run("run", "-p", "fake", "--name", "train", "prog")
	assert.Equal(t, 125, r.code)
	w.golden("name-in-use", r.stderr)
	assert.Len(t, w.cloud.Billing(), 1)
}

func TestSecretsAndEnvironmentReachTheJobAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.env["TOKEN"], w.env["PASSED"] = "s3cret-canary", "on"
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "work", "env"), []byte("# comment\nA=1\n\nB=two words\n"), 0o600))
	r := w.run("run", "-v", "-p", "fake", "--name", "x", "--env", "A=2", "--env", "PASSED", "--env-file", "env", "--secret", "TOKEN", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.NotContains(t, r.stderr, "canary")
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.NotContains(t, string(data), "canary", path)
		}
		return err
	}))
}

func TestAnInterruptDuringTheLaunchEndsWhatWasLaunched(t *testing.T) {
	for sig, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		w := newWorld(t, fake.ShellOnly())
		w.cloud.Inject(fake.Fault{Op: fake.OpConnect})
		s := w.start("run", "-v", "-p", "fake", "--name", "x", "prog")
		s.stderr.waitFor(t, "call connect")
		w.signals <- sig
		assert.Equal(t, code, s.wait(t), s.stderr.String())
		w.nothingLeft()
		assert.Equal(t, "cancelled", w.record("x").Outcome)
	}
}

func TestALaunchThatWasLeftCanBeEndedLater(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.cloud.Inject(fake.Fault{Op: fake.OpConnect}, fake.Fault{Op: fake.OpTerminate, Hang: true})
	s := w.start("run", "-v", "-p", "fake", "--name", "x", "prog")
	s.stderr.waitFor(t, "call connect")
	w.signals <- os.Interrupt
	s.stderr.waitFor(t, "giving up the launch")
	require.Eventually(t, func() bool { return strings.Contains(w.cloud.Log(), "by hanging") }, 30*time.Second, time.Millisecond)
	w.signals <- os.Interrupt
	assert.Equal(t, 122, s.wait(t), s.stderr.String())
	assert.Len(t, w.cloud.Billing(), 1)
	w.cloud.Heal()
	r := w.run("attach", "x")
	assert.Equal(t, 122, r.code, r.stderr)
	assert.Contains(t, r.stderr, "but not its job")
	assert.Contains(t, r.stderr, "runctl terminate x")
	assert.Equal(t, 0, w.run("terminate", "x").code)
	w.nothingLeft()
}

func TestATerminalShowsProgressOnOneLine(t *testing.T) {
	w := newWorld(t, fake.ShellOnly())
	w.tty = true
	r := w.run("run", "-p", "fake", "--name", "x", "prog")
	require.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stderr, "\r\x1b[K· x  launching")
	assert.Contains(t, r.stderr, "submitting")
	assert.Contains(t, r.stderr, "running\n", "the line stays when it is done")
}
