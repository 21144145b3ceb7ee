package lyceum

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// TestAJobWithoutAnImageIsAPythonProgramThatRunsIt runs what is sent, as Lyceum's environment would.
func TestAJobWithoutAnImageIsAPythonProgramThatRunsIt(t *testing.T) {
	python, err := exec.LookPath("python3")
	require.NoError(t, err, "python3 is needed: apt-get install python3")
	for name, x := range map[string]struct {
		job  runctl.Job
		out  string
		code int
	}{
		"its output and its code": {runctl.Job{Args: []string{"sh", "-c", "echo one; echo two >&2; exit 3"}}, "one\ntwo\n", 3},
		"well":                    {runctl.Job{Args: []string{"sh", "-c", "printf end"}}, "end", 0},
		"arguments as they are": {runctl.Job{Args: []string{"printf", "<%s>", "", " a\tb ", `"'\$(id)\n`, "é✓😀", "</x>&", "\u2028", "{}", `"{}"`}},
			"<>< a\tb ><\"'\\$(id)\\n><é✓😀><</x>&><\u2028><{}><\"{}\">", 0},
		"variables":           {runctl.Job{Args: []string{"sh", "-c", `printf '%s|' "$A" "$RUNCTL_RUN_ID" "$RUNCTL_ATTEMPT"`}, Env: map[string]string{"A": "1\n2"}}, "1\n2|k1|1|", 0},
		"a directory":         {runctl.Job{Args: []string{"sh", "-c", `basename "$PWD"`}, Dir: "deep/er"}, "er\n", 0},
		"a signal":            {runctl.Job{Args: []string{"sh", "-c", "kill -9 $$"}}, "", 137},
		"nothing to read":     {runctl.Job{Args: []string{"cat"}}, "", 0},
		"bytes that are none": {runctl.Job{Args: []string{"printf", `\377a`}}, "\ufffda", 0},
	} {
		j := x.job
		j.ID = "k1"
		s := newServer(t, map[string][]reply{"POST /execution/streaming/start": ok(`{"execution_id":"e-1","status":"pending"}`)})
		_, err := s.provider().Launch(t.Context(), runRequest(func(r *runctl.LaunchRequest) {
			r.Job, r.Options = &j, []runctl.LaunchOption{LaunchOptions{Requirements: "numpy"}}
		}))
		require.NoError(t, err, name)
		body := fields(t, s.calls("POST /execution/streaming/start")[0].body)
		assert.Equal(t, []any{0.0, 300.0, "numpy", testLabel, "gpu.h100"}, []any{body["nbcode"], body["timeout"], body["requirements_content"], body["file_name"], body["execution_type"]})
		cmd := exec.CommandContext(t.Context(), python, "-c", body["code"].(string))
		cmd.Dir = t.TempDir()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil {
			require.True(t, errors.As(err, &exit), "%s: %v", name, err)
		}
		assert.Equal(t, x.out, out.String(), name)
		assert.Equal(t, x.code, cmd.ProcessState.ExitCode(), name)
	}
	code, err := pythonCode(&runctl.Job{Args: []string{filepath.Join(t.TempDir(), "no-such-program")}}, map[string]string{})
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, "-c", code)
	out, _ := cmd.CombinedOutput()
	assert.Equal(t, 127, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "no-such-program")
}
