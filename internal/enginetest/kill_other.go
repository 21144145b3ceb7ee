//go:build !unix

package enginetest

import (
	"os"
	"os/exec"
)

func ownSession(*exec.Cmd) {}

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
