package runctl_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// All runs on a machine, and all that is asked of them, share one connection; one that failed is made anew.
func TestRunsOnAMachineShareOneConnection(t *testing.T) {
	cloud := fake.New(fake.ShellOnly())
	cloud.Script("", fake.Script{Log: "a line\n"})
	c, err := runctl.New(runctl.Config{Owner: "one"}, cloud)
	require.NoError(t, err)
	i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "box", Lifetime: 3600e9, MaxHourly: runctl.USD(99)})
	require.NoError(t, err)
	for _, id := range []string{"a", "b", "c"} {
		r, err := c.Submit(t.Context(), i.Ref(), runctl.Job{ID: id, Args: []string{"train"}})
		require.NoError(t, err)
		_, err = r.Wait(t.Context())
		require.NoError(t, err)
		for _, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
			require.NoError(t, err)
		}
	}
	m, err := c.Machine(t.Context(), i.Ref())
	require.NoError(t, err)
	var out strings.Builder
	code, err := m.Exec(t.Context(), []string{"echo", "hello"}, nil, &out, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 0, code)
	require.Equal(t, "hello\n", out.String())
	require.Equal(t, 1, cloud.Calls(fake.OpConnect))

	r, err := c.Attach(t.Context(), runctl.Ref{Provider: "fake", Owner: "one", Key: "box", ID: i.ID, Run: "a"})
	require.NoError(t, err)
	cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1, Err: runctl.ErrUnavailable})
	_, err = r.Status(t.Context())
	require.Error(t, err, "the connection broke")
	_, err = r.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, cloud.Calls(fake.OpConnect))
}
