package enginetest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// absent skips a test whose engine is missing, or fails it where the engine is required.
func absent(t testing.TB, engine, how string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("RUNCTL_REQUIRE_ENGINES"), ","), engine) {
		t.Fatalf("needs %s, and RUNCTL_REQUIRE_ENGINES asks for %s", how, engine)
	}
	t.Skip("needs " + how)
}
