package sshmachine_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/internal/job"
	"runctl/local"
	"runctl/sshmachine"
)

// TestTheJobProtocolRunsOverSSH goes once through every verb, past a start-up file that talks.
func TestTheJobProtocolRunsOverSSH(t *testing.T) {
	s := enginetest.SSHD(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.Home, ".bashrc"), []byte("echo welcome; echo RUNCTL1; printf 'last words'\n"), 0o600))
	p := enginetest.Proxy(t, s.Addr, 1)
	m := dial(t, through(t, config(t, s), p))
	spec := job.Spec{Run: "smoke", Digest: "d1", Argv: []string{"sh", "-c", `echo out; echo err >&2; echo "$SECRET" | wc -c; read x; exit 23`},
		Env: map[string]string{"SECRET": "0123456789"}}
	require.NoError(t, job.Start(t.Context(), m, spec))
	require.NoError(t, job.Start(t.Context(), m, spec), "again is the same run")
	var used *job.Used
	require.ErrorAs(t, job.Start(t.Context(), m, job.Spec{Run: "smoke", Digest: "d2", Argv: []string{"true"}}), &used)
	st, err := job.Wait(t.Context(), m, "smoke", time.Minute)
	require.NoError(t, err)
	require.Equal(t, job.PhaseDone, st.Phase, st.Evidence)
	assert.Equal(t, 23, st.Receipt.Code)
	var log bytes.Buffer
	next, err := job.Log(t.Context(), m, "smoke", 0, true, &log)
	require.NoError(t, err)
	assert.Equal(t, "out\nerr\n11\n", log.String())
	assert.EqualValues(t, log.Len(), next)

	spec = job.Spec{Run: "long", Digest: "d3", Argv: []string{"sh", "-c", "echo begun; sleep 1000"}, Grace: time.Second}
	require.NoError(t, job.Start(t.Context(), m, spec))
	p.Cut() // the run goes on without us
	eventually(t, func() bool {
		st, err = job.Inspect(t.Context(), m, "long")
		return err == nil && st.LogBytes > 0
	}, "the log of a run that a cut link did not end")
	assert.Equal(t, job.PhaseRunning, st.Phase)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = job.Log(ctx, m, "long", 0, true, onFirst(cancel))
	assert.Error(t, err, "the end of a reader's context")
	require.NoError(t, job.Cancel(t.Context(), m, "long", time.Second))
	st, err = job.Wait(t.Context(), m, "long", time.Minute)
	require.NoError(t, err)
	require.Equal(t, job.PhaseDone, st.Phase, st.Evidence)
	assert.Equal(t, "cancel", st.Receipt.Cause)
}

// door is this computer as a cloud whose machines are entered by SSH, at s.
type door struct {
	*local.Provider
	s *enginetest.Server
}

func (d door) Info() runctl.Info {
	i := d.Provider.Info()
	i.InPlace = false
	return i
}

func (d door) Launch(ctx context.Context, r runctl.LaunchRequest) (runctl.Instance, error) {
	d.s.AuthorizedKeys(r.AuthorizedKey)
	return d.Provider.Launch(ctx, r)
}

func (d door) Connect(ctx context.Context, _ runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	auth, err := sshmachine.Signer(a.Signer)
	if err != nil {
		return nil, err
	}
	return sshmachine.Dial(ctx, sshmachine.Config{Addr: d.s.Addr, User: d.s.User, Auth: []ssh.AuthMethod{auth},
		Trust: sshmachine.Pinned(ssh.FingerprintSHA256(d.s.HostKey))})
}

// TestTheKeyOfTheOwnersSecretLogsIn launches with the line that a launch is given for authorized_keys, and enters with
// the signer that a connect is given.
func TestTheKeyOfTheOwnersSecretLogsIn(t *testing.T) {
	s := enginetest.SSHD(t)
	s.AuthorizedKeys()
	here, err := local.New(local.Config{Dir: filepath.Join(t.TempDir(), "state")})
	require.NoError(t, err)
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("a secret of the owner's")}, door{here, s})
	require.NoError(t, err)
	defer c.Close()
	receipt, err := c.Run(t.Context(), runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{Args: []string{"sh", "-c", "echo $HOME"}}})
	require.NoError(t, err)
	assert.EqualValues(t, len(s.Home)+1, receipt.LogBytes)
	assert.Contains(t, s.Log(), "Accepted publickey for "+s.User)
}
