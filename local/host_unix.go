//go:build linux || darwin

package local

import (
	"os"
	"os/exec"
	"syscall"
)

const supported = true

// noFollow makes opening a link an error, and opening a pipe return at once.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// ownGroup makes cmd the head of a process group of its own, so that nothing but its own processes ends
// with it: Ctrl-C at a terminal does not reach it, and killGroup reaches no supervisor, which has a
// session of its own.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if err == syscall.ESRCH {
			return os.ErrProcessDone
		}
		return err
	}
}

// exitCode is the code of a command that has ended, and whether it was killed: 128+N for signal N.
func exitCode(s *os.ProcessState) (code int, killed bool) {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), ws.Signal() == syscall.SIGKILL
	}
	return s.ExitCode(), false
}

// freeDisk is what the file system of dir has left for us, in MiB; 0: unknown.
func freeDisk(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil || s.Bsize <= 0 {
		return 0
	}
	return int64(s.Bavail / (1 << 20 / min(uint64(s.Bsize), 1<<20)))
}
