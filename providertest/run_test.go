package providertest

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"runctl"
)

// TestFailureIsReadable looks at what a provider author sees. The failing test is run in a process of its
// own, because it must fail.
func TestFailureIsReadable(t *testing.T) {
	out := child(t, "TestChildLostReply")
	require.Contains(t, out, `
    --- FAIL: TestChildLostReply/Launch/LostReply (`)
	require.Contains(t, out, `
        rule: after the request was sent, an error means in doubt, unless the cloud's reply proves that nothing started
        seen: reply of the launch request dropped; Launch returned "unavailable: Post \"http://cloud`)
	require.Contains(t, out, `, kind unavailable, NotStarted; the cloud holds 1 machine
        do:   put only replies that you can read into the error table; leave the rest unclassified
`)
	require.Contains(t, out, "rows: ")
	require.Contains(t, out, " ok, 1 failed, ")
}

func TestChildLostReply(t *testing.T) {
	if !inChild() {
		return // it fails on purpose, in a process of its own
	}
	for _, m := range mutants() {
		if m.row == "Launch/LostReply" {
			Run(t, m.harness(nil))
		}
	}
}

// TestSkipNeedsAReasonAndARow checks that a harness cannot leave out rows in silence, or by a wrong name.
func TestSkipNeedsAReasonAndARow(t *testing.T) {
	out := child(t, "TestChildSkip")
	require.Contains(t, out, `Harness.Skip: there is no row "Launch/Lost"`)
	require.Contains(t, out, "Harness.Skip: Launch/LostReply needs a reason")
	require.NotContains(t, out, "Get/Unknown needs")
	require.Contains(t, out, ", 1 skipped, ")
}

func TestChildSkip(t *testing.T) {
	if !inChild() {
		return // it fails on purpose, in a process of its own
	}
	h := toy(nil)
	h.Skip = map[string]string{"Launch/Lost": "a reason", "Launch/LostReply": " ", "Get/Unknown": "the mock knows everything"}
	Run(t, h)
}

func inChild() bool { return os.Getenv("PROVIDERTEST_CHILD") != "" }

func child(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), "PROVIDERTEST_CHILD=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "the child must fail")
	return string(out)
}

func TestSummaryNamesWhatIsNotOffered(t *testing.T) {
	var all []result
	for range 40 {
		all = append(all, result{outcome: passed})
	}
	all = append(all, result{outcome: failed}, result{outcome: notOffered, lacks: []string{needStop}}, result{outcome: notOffered, lacks: []string{needJob}})
	require.Equal(t, "43 rows: 40 ok, 1 failed, 2 not offered (Stop, JobRunner)", summary(all))
}

func TestRowsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rows() {
		require.Regexp(t, `^[A-Z][A-Za-z]+/[A-Z][A-Za-z]+$`, r.Name)
		require.False(t, seen[r.Name], "two rows are named %s", r.Name)
		seen[r.Name] = true
		for _, text := range []string{r.Rule, r.Do} {
			require.NotEmpty(t, text, r.Name)
			require.False(t, strings.HasSuffix(text, "."), "%s: rules and hints are phrases", r.Name)
		}
	}
	require.GreaterOrEqual(t, len(seen), 40)
}

// TestPanicIsARowThatFails checks that a provider that panics does not end the test of the others.
func TestPanicIsARowThatFails(t *testing.T) {
	h := Harness{New: func(*testing.T, http.RoundTripper) runctl.Provider { return struct{ runctl.Provider }{} }}
	r := run(t, h, probe(t, h), Row{Name: "X/Y", check: func(c *check) { c.launch() }})
	require.Equal(t, failed, r.outcome)
	require.Contains(t, r.seen, "panic in Offers: ")
}
