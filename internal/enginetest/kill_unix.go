//go:build unix

package enginetest

import (
	"os/exec"
	"syscall"
)

// ownSession keeps signals of the test's terminal from cmd.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
