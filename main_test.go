package runctl_test

import (
	"fmt"
	"os"
	"testing"
)

// The examples must leave nothing in the state directory of whoever runs them.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "runctl-test")
	if err == nil {
		err = os.Setenv("RUNCTL_STATE_DIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
