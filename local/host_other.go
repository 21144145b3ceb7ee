//go:build !linux && !darwin

package local

import (
	"context"
	"os"
	"os/exec"
)

// New fails here with errors.ErrUnsupported, so that nothing below is ever called.
const (
	supported = false
	noFollow  = 0
)

func ownGroup(*exec.Cmd) {}

func exitCode(s *os.ProcessState) (code int, killed bool) { return s.ExitCode(), false }

func freeDisk(string) int64 { return 0 }

func memory(context.Context) int64 { return 0 }
