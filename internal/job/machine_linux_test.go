package job

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheReceiptHasItsPlaceOnAFullDisk(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		if err := syscall.Mount("tmpfs", m.root, "tmpfs", 0, "size=400k,mode=700"); err != nil {
			t.Skip("needs the right to mount: ", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(m.root, syscall.MNT_DETACH) })
		start(t, m, sh("r", "cat /dev/zero >../outputs/fill; exit 5"))
		assert.Equal(t, 5, done(t, m, "r").Code)
		var refused *Refused
		require.ErrorAs(t, Start(t.Context(), m, sh("next", "exit 0")), &refused)
		assert.Equal(t, RefusedNoSpace, refused.Code)
		assert.Equal(t, PhaseNone, phase(t, m, "next"))
		require.NoError(t, os.Remove(m.root+"/run/r/job/outputs/fill"))
		start(t, m, sh("next", "exit 6"))
		assert.Equal(t, 6, done(t, m, "next").Code)
	})
}

func TestAStatusThatTheKernelHidesIsNoSuccess(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		if hasNoProc(m) {
			return // nothing can be hidden there
		}
		setpriv, err := exec.LookPath("setpriv")
		if err != nil || os.Getuid() != 0 {
			t.Skip("needs setpriv and root")
		}
		job := Spec{Run: "r", Digest: "d", Argv: []string{setpriv, "--reuid=65534", "sh", "-c", "exit 9"}, Shared: true}
		start(t, m, job)
		assert.Equal(t, 9, done(t, m, "r").Code, "whoever may trace it may read it")
		for _, run := range []string{"hidden", "seen"} { // a container's root may not trace
			spec := job
			spec.Run = run
			if run == "seen" {
				spec.Argv = []string{"sh", "-c", "exit 9"}
			}
			start(t, prefixed{m, []string{setpriv, "--bounding-set=-sys_ptrace"}}, spec)
		}
		hidden := done(t, m, "hidden")
		assert.Equal(t, []any{255, "?"}, []any{hidden.Code, hidden.Signal})
		assert.Equal(t, 9, done(t, m, "seen").Code)
	})
}
