package fake_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// request is a launch of a plain GPU machine under a key.
func request(key string) runctl.LaunchRequest {
	mark := runctl.Mark{Owner: "me", Key: key, Controller: "abc", Lifetime: 2 * time.Hour, Digest: "aaaa"}
	return runctl.LaunchRequest{Label: mark.Label(nil), Token: "t-" + key, Offer: runctl.Offer{ID: "h100-1.fake-1a"}, Lifetime: 2 * time.Hour}
}

// withJob is a launch with a job on it.
func withJob(key string, args ...string) runctl.LaunchRequest {
	r := request(key)
	r.Job = &runctl.Job{Args: args}
	return r
}

func TestThreeLinesAreEnough(t *testing.T) {
	cloud := fake.New()
	i, err := cloud.Launch(t.Context(), withJob("tune", "train", "--fast"))
	require.NoError(t, err)
	assert.Equal(t, runctl.StateTerminated, i.State, "the job ended at once, and its vessel with it")
	require.NotNil(t, i.Exit)
	assert.True(t, i.Exit.Succeeded())
	assert.Empty(t, cloud.Billing())
	assert.Equal(t, 1, cloud.Launched())

	p, err := cloud.Process(t.Context(), i)
	require.NoError(t, err)
	assert.Equal(t, "fake: train --fast\n", logOf(t, p), "the log outlives the machine")
}

func logOf(t *testing.T, p runctl.Process) string {
	t.Helper()
	var b []byte
	for chunk, err := range p.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
		require.NoError(t, err)
		require.EqualValues(t, len(b), chunk.Offset)
		b = append(b, chunk.Data...)
	}
	return string(b)
}

func TestALostReplyLeavesAMachine(t *testing.T) {
	cloud := fake.New()
	cloud.Inject(fake.Fault{Op: fake.OpLaunch, Nth: 1, After: true, Err: io.ErrUnexpectedEOF})
	_, err := cloud.Launch(t.Context(), request("a"))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	list, err := cloud.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, request("a").Label, list[0].Label)
	assert.Len(t, cloud.Billing(), 1)
	require.NoError(t, cloud.Terminate(t.Context(), list[0].ID))
	assert.Empty(t, cloud.Billing())
}
