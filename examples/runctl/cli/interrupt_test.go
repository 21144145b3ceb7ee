package cli

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/fake"
)

func TestInterruptWithoutATerminalCancelsWithGrace(t *testing.T) {
	for sig, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		w := newWorld(t)
		w.cloud.Script("", fake.Script{Log: "a\n", Hold: true, SaveTime: time.Millisecond, SaveCode: 9})
		s := w.start("run", "-p", "fake", "--name", "x", "prog")
		s.stdout.waitFor(t, "a\n")
		w.signals <- sig
		assert.Equal(t, code, s.wait(t), s.stderr.String())
		assert.Contains(t, s.stderr.String(), "cancelled after")
		assert.Contains(t, s.stderr.String(), "the job left with 9")
		assert.Equal(t, "cancelled", w.record("x").Outcome)
		w.nothingLeft()
	}
}

func TestASecondInterruptLeavesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true, IgnoreTerm: true})
	s := w.start("run", "-p", "fake", "--name", "x", "prog")
	s.stdout.waitFor(t, "a\n")
	w.signals <- os.Interrupt
	s.stderr.waitFor(t, "cancelling")
	w.signals <- os.Interrupt
	assert.Equal(t, 122, s.wait(t))
	assert.Contains(t, s.stderr.String(), "runctl attach x")
	assert.Contains(t, s.stderr.String(), "runctl cancel x")
	assert.Len(t, w.cloud.Billing(), 1)
}

func TestAHangUpDetaches(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true})
	s := w.start("run", "-p", "fake", "--name", "x", "prog")
	s.stdout.waitFor(t, "a\n")
	w.signals <- syscall.SIGHUP
	assert.Equal(t, 122, s.wait(t))
	assert.Len(t, w.cloud.Billing(), 1)
	assert.True(t, w.record("x").live())
}

func TestCtrlCOnATerminalAsks(t *testing.T) {
	for _, tc := range []struct {
		answers string
		code    int
		left    int
	}{
		{"c\n", 130, 0},
		{"d\n", 0, 1},
		{"\n", 4, 0}, // keeps watching until the job ends
	} {
		w := newWorld(t)
		w.tty = true
		in, keys := io.Pipe()
		w.stdin = in
		w.cloud.Script("", fake.Script{Log: "a\n", Hold: true})
		s := w.start("run", "-p", "fake", "--name", "x", "prog")
		s.stdout.waitFor(t, "a\n")
		w.signals <- os.Interrupt
		s.stderr.waitFor(t, "Enter: keep watching")
		_, err := io.WriteString(keys, tc.answers)
		require.NoError(t, err)
		if tc.answers == "\n" {
			w.cloud.Finish("x", 4)
		}
		assert.Equal(t, tc.code, s.wait(t), s.stderr.String())
		assert.Len(t, w.cloud.Billing(), tc.left)
		require.NoError(t, keys.Close())
	}
}

func TestCtrlCTwiceAtTheQuestionLeaves(t *testing.T) {
	w := newWorld(t)
	w.tty = true
	in, keys := io.Pipe()
	defer keys.Close()
	w.stdin = in
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true})
	s := w.start("run", "-p", "fake", "--name", "x", "prog")
	s.stdout.waitFor(t, "a\n")
	w.signals <- os.Interrupt
	s.stderr.waitFor(t, "Enter: keep watching")
	w.signals <- os.Interrupt
	assert.Equal(t, 122, s.wait(t))
	assert.Contains(t, s.stderr.String(), "runctl attach x")
}

func TestCancelEndsCollectsAndTerminates(t *testing.T) {
	w := newWorld(t)
	w.cloud.Script("", fake.Script{Log: "a\n", Hold: true, Outputs: map[string]string{"o": "1"}})
	require.Equal(t, 0, w.run("run", "-d", "-p", "fake", "--name", "x", "--out", "o", "prog").code)
	r := w.run("cancel", "x")
	assert.Equal(t, 0, r.code, r.stderr)
	assert.Empty(t, r.stdout)
	assert.Equal(t, "1", w.file("work", "runctl-out", "x", "o"))
	assert.Equal(t, "cancelled", w.record("x").Outcome)
	w.nothingLeft()
	assert.Equal(t, 0, w.run("cancel", "x").code, "cancelling twice is fine")
}
