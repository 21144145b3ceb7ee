package enginetest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// absent skips a test whose engine is missing, or fails it where the engine is required: by name in RUNCTL_REQUIRE_ENGINES, or all of
// them where that is not set and CI is "true".
func absent(t testing.TB, engine, how string) {
	t.Helper()
	names, told := os.LookupEnv("RUNCTL_REQUIRE_ENGINES")
	switch {
	case slices.Contains(strings.Split(names, ","), engine):
		t.Fatalf("needs %s, and RUNCTL_REQUIRE_ENGINES asks for %s", how, engine)
	case !told && os.Getenv("CI") == "true":
		t.Fatalf("needs %s, since CI is true; RUNCTL_REQUIRE_ENGINES, with a list or empty, says otherwise", how)
	}
	t.Skip("needs " + how)
}
