package sshmachine_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// config enters s by known_hosts.
func config(t testing.TB, s *enginetest.Server) sshmachine.Config {
	t.Helper()
	auth, err := sshmachine.Signer(s.Signer)
	require.NoError(t, err)
	trust, err := sshmachine.KnownHosts(s.KnownHosts())
	require.NoError(t, err)
	return sshmachine.Config{Addr: s.Addr, User: s.User, Auth: []ssh.AuthMethod{auth}, Trust: trust}
}

func dial(t testing.TB, c sshmachine.Config) *sshmachine.Machine {
	t.Helper()
	m, err := sshmachine.Dial(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// run runs argv and returns what it wrote.
func run(t testing.TB, m runctl.Machine, stdin string, argv ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := m.Exec(t.Context(), argv, strings.NewReader(stdin), &out, &errs)
	require.NoError(t, err, "%q: %s", argv, errs.String())
	return code, out.String(), errs.String()
}

func TestACommandHasItsStreamsAndItsCode(t *testing.T) {
	m := dial(t, config(t, enginetest.SSHD(t)))
	code, out, errs := run(t, m, "in", "sh", "-c", `cat; echo err >&2; exit 7`)
	assert.Equal(t, 7, code)
	assert.Equal(t, "in", out)
	assert.Equal(t, "err\n", errs)
	code, _, _ = run(t, m, "", "sh", "-c", `kill -s TERM $$`)
	assert.Equal(t, 128+15, code, "by the signal's name")
	fp, grade := m.HostKey()
	assert.True(t, strings.HasPrefix(fp, "SHA256:"))
	assert.Equal(t, runctl.TrustRead, grade)
}
