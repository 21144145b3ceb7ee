package enginetest

import (
	"os/exec"
	"testing"
)

// Find is the path of a program that a test needs, by the first of its names that PATH has; name and how are for whoever
// lacks it.
func Find(t testing.TB, engine, name, how string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		absent(t, engine, how)
	}
	return path
}
